import itertools

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from clm_ler.pipelines.umls_mapping import nodes
from clm_ler.pipelines.umls_mapping.options import TranslationOptions

CANDIDATES = {
    "source_system": "string",
    "source_code": "string",
    "vocab_token": "string",
    "method": "string",
    "rank": "int64",
    "frequency_rank": "int64",
    "distance": "int64",
}
COUNTS = {"system": "string", "code": "string", "events": "int64"}
MAPS = dict.fromkeys(["system", "code", "to_system", "to_code"], "string") | {"distance": "int64"}
TRANSLATIONS = ["source_system", "source_code", "vocab_token", "method", "rank"]


def tokenizer(*tokens):
    words = {token: n for n, token in enumerate(["[PAD]", "[UNK]", *tokens])}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="[UNK]")),
        pad_token="[PAD]",
        unk_token="[UNK]",
    )


def options(**values):
    names = {"SNOMED": "SNOMEDCT_US", "ICD10CM": "ICD10CM"}
    return TranslationOptions(
        **{"data_to_umls_source_map": names, "vocab_to_umls_source_map": names, **values}
    )


def rows_of(table, *columns):
    return [tuple(r[name] for name in columns or r) for r in table.to_pyarrow().to_pylist()]


def test_codes_of_the_vocabulary_without_lab_bins_special_tokens_and_ages():
    words = tokenizer("GENDER:F", "AGE:54", "LOINC:4548-4:30-40", "CPT:1", "LOINC:4548-4:0-10")
    vocabulary = words.get_vocab() | {"LOINC:2345-7": 90, "AGE": 91}
    assert sorted(rows_of(nodes.vocabulary_codes(vocabulary))) == [
        ("CPT:1", 5, "CPT", "1"),
        ("GENDER:F", 2, "GENDER", "F"),
        ("LOINC:2345-7", 90, "LOINC", "2345-7"),
        ("LOINC:4548-4", 4, "LOINC", "4548-4"),
    ]


def test_a_lab_with_results_in_words_alone_is_a_code_of_the_vocabulary():
    words = tokenizer("LOINC:5778-6:YELLOW", "LOINC:5778-6:RED", "MEDS:a:b")
    rows = rows_of(nodes.vocabulary_codes(words.get_vocab()), "vocab_token", "frequency_rank")
    assert ("LOINC:5778-6", 2) in rows
    assert ("MEDS:a:b", 4) in rows


def test_the_best_token_by_method_then_distance_then_frequency_then_text(as_table):
    rows = [
        # frequency_rank is the token's id: small is frequent
        ("S", "method", "X:rare", "direct", 2, 900, 0),
        ("S", "method", "X:frequent", "same_cui", 3, 5, 0),
        ("S", "distance", "X:near", "parent", 7, 900, 1),
        ("S", "distance", "X:far", "parent", 7, 5, 2),
        ("S", "frequency", "X:rare", "same_cui", 3, 900, 0),
        ("S", "frequency", "X:frequent", "same_cui", 3, 5, 0),
        ("S", "text", "X:b", "same_cui", 3, 5, 0),
        ("S", "text", "X:a", "same_cui", 3, 5, 0),
    ]
    chosen = nodes.choose_translations(as_table(rows, CANDIDATES))
    assert chosen.columns == tuple(TRANSLATIONS)
    assert sorted(rows_of(chosen)) == [
        ("S", "distance", "X:near", "parent", 7),
        ("S", "frequency", "X:frequent", "same_cui", 3),
        ("S", "method", "X:rare", "direct", 2),
        ("S", "text", "X:a", "same_cui", 3),
    ]


@settings(max_examples=25)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["S", "T"]),
            st.sampled_from(["1", "2", "3"]),
            st.sampled_from(["X:1", "X:2", "Y:1"]),
            st.integers(1, 3),
            st.integers(0, 2),
        ),
        max_size=20,
        unique_by=lambda row: row[:4],
    ),
    data=st.data(),
)
def test_never_more_events_than_before_whatever_the_order_of_rows(rows, data):
    tokens = ["X:1", "X:2", "Y:1"]
    candidates = [
        (system, code, token, f"method {rank}", rank, tokens.index(token), distance)
        for system, code, token, rank, distance in rows
    ]
    shuffled = data.draw(st.permutations(candidates))
    chosen = rows_of(nodes.choose_translations(ibis.memtable(candidates, schema=CANDIDATES)))
    again = rows_of(nodes.choose_translations(ibis.memtable(shuffled, schema=CANDIDATES)))
    assert sorted(chosen) == sorted(again)
    sources = [row[:2] for row in chosen]
    assert len(sources) == len(set(sources)) == len({row[:2] for row in candidates})


def test_a_demographic_value_that_the_vocabulary_lacks_is_an_error(as_table):
    codes = as_table([("Gender", "F", 5), ("Race", "5", 3)], COUNTS)
    words = tokenizer("GENDER:F", "RACE:White")
    with pytest.raises(ValueError, match=r"no token \['RACE:Whtie'\], which .*race_mapping"):
        candidates(codes, words, options(race_mapping={"5": "Whtie"}), as_table)


def test_demographic_values_by_the_map_else_as_they_are_and_null_leaves_one_out(as_table):
    values = ["5", "asian", "Unknown", "1"]
    codes = as_table([("Race", value, 1) for value in values], COUNTS)
    words = tokenizer("RACE:White", "RACE:Asian", "RACE:Unknown")
    chosen = options(race_mapping={"5": "White", "Unknown": None})
    found = nodes.choose_translations(candidates(codes, words, chosen, as_table))
    assert sorted(rows_of(found, "source_code", "vocab_token", "method")) == [
        ("5", "RACE:White", "demographic"),
        ("asian", "RACE:Asian", "direct"),
    ]


def candidates(codes, words, chosen, as_table):
    """The candidates without UMLS, OMOP and ICD maps."""
    empty = {
        "umls_concepts": ["cui", "system", "code"],
        "umls_relations": ["cui", "linked_cui", "relation", "system"],
        "omop_concept": ["concept_id", "vocabulary_id", "concept_code", "standard_concept"],
        "relationship": ["concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"],
    }

    def stored(table):
        return as_table(table.to_pyarrow(), table.schema())

    none = {name: as_table([], dict.fromkeys(columns, "string")) for name, columns in empty.items()}
    sources, targets = map(stored, nodes.name_codes(codes, words, chosen))
    concepts = nodes.find_concepts(
        sources,
        targets,
        none["umls_concepts"],
        none["umls_concepts"],
        none["omop_concept"],
        none["relationship"],
    )
    found = nodes.find_candidates(
        sources,
        targets,
        *map(stored, concepts),
        none["umls_relations"],
        none["relationship"],
        as_table([("ICD9CM", "250.00", "ICD10CM", "E11.9", 1)], MAPS),
        words,
        chosen,
    )
    return stored(found)


def test_without_umls_direct_matches_demographics_categories_and_icd_maps(as_table):
    codes = as_table(
        [
            ("Gender", "F", 5),
            ("Race", "5", 3),
            ("Race", "1", 3),
            ("ICD10CM", "J45901", 2),
            ("ICD9CM", "25000", 2),
            ("SNOMED", "195967001", 1),
        ],
        COUNTS,
    )
    words = tokenizer("GENDER:F", "RACE:White", "ICD10CM:J45", "ICD10CM:E11.9")
    chosen = options(gender_mapping={"F": "F"}, race_mapping={5: "White"})
    found = nodes.choose_translations(candidates(codes, words, chosen, as_table))
    assert sorted(rows_of(found, *TRANSLATIONS[:4])) == [
        ("Gender", "F", "GENDER:F", "demographic"),
        ("ICD10CM", "J45901", "ICD10CM:J45", "parent"),
        ("ICD9CM", "25000", "ICD10CM:E11.9", "icd_gem"),
        ("Race", "5", "RACE:White", "demographic"),
    ]


def test_only_the_named_methods_in_the_named_order(as_table):
    codes = as_table([("ICD10CM", "J45.901", 1)], COUNTS)
    words = tokenizer("ICD10CM:J45.901", "ICD10CM:J45", "ICD9CM:493.92")
    for methods in itertools.permutations(["direct", "parent"]):
        found = candidates(codes, words, options(methods=methods), as_table)
        assert {row[0]: row[1] for row in rows_of(found, "method", "rank")} == {
            methods[0]: 1,
            methods[1]: 2,
        }
        best = rows_of(nodes.choose_translations(found), "method")
        assert best == [(methods[0],)]


@pytest.mark.parametrize("wrong", [{"methods": ["direct", "guess"]}, {"methodz": []}])
def test_unknown_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        options(**wrong)


@pytest.fixture
def report(as_table):
    codes = as_table(
        [("SNOMED", "1", 60), ("SNOMED", "2", 20), ("SNOMED", "3", 10), ("Visit", "IP", 10)], COUNTS
    )
    found = as_table(
        [
            ("SNOMED", "1", "ICD10CM:A", "same_cui", 3, 5, 0),
            ("SNOMED", "1", "ICD9CM:A", "same_cui", 3, 6, 0),
            ("SNOMED", "1", "ICD10CM:A", "omop_maps_to", 4, 5, 0),
            ("SNOMED", "2", "ICD10CM:B", "parent", 7, 7, 1),
            ("SNOMED", "2", "ICD10CM:C", "parent", 7, 8, 2),
            ("SNOMED", "2", "ICD10CM:C", "omop_maps_to", 4, 8, 0),
            ("SNOMED", "3", "ICD10CM:C", "omop_is_a", 8, 8, 1),
        ],
        CANDIDATES,
    )
    words = tokenizer("ICD10CM:A", "ICD9CM:A", "GENDER:F")
    return nodes.report_translations(
        codes, found, nodes.choose_translations(found), words, options()
    )


def test_the_report_counts_codes_and_events(report):
    assert report["all"] == {
        "codes": 4,
        "events": 100,
        "share_of_codes": 0.75,
        "share_of_events": 0.9,
        "methods": {
            "same_cui": {"codes": 1, "events": 60},
            "omop_maps_to": {"codes": 1, "events": 20},
            "omop_is_a": {"codes": 1, "events": 10},
        },
    }
    assert report["systems"]["SNOMED"]["share_of_events"] == 1.0
    assert report["systems"]["Visit"]["methods"] == {}
    assert report["untranslated"] == [{"source_system": "Visit", "source_code": "IP", "events": 10}]
    assert report["systems_without_umls_name"] == {"data": ["Visit"], "vocabulary": ["ICD9CM"]}


def test_the_report_lists_codes_whose_tokens_are_equally_near(report):
    assert report["ambiguous"] == {
        "codes": 1,
        "events": 60,
        "most_frequent": [
            {
                "source_system": "SNOMED",
                "source_code": "1",
                "events": 60,
                "tokens": 2,
                "vocab_token": "ICD10CM:A",
            }
        ],
    }


def test_the_report_compares_umls_with_omop(report):
    assert report["agreement"] == {
        "both": 2,
        "same_token": 1,
        "share": 0.5,
        "only_umls": 0,
        "only_omop": 1,
    }


def test_the_figure_shows_the_share_of_each_method(report):
    figure = nodes.plot_translations(report)
    bars = {
        (bar.name, system): x for bar in figure.data for system, x in zip(bar.y, bar.x, strict=True)
    }
    assert bars == {
        ("same_cui", "SNOMED (90)"): pytest.approx(60 / 90),
        ("omop_maps_to", "SNOMED (90)"): pytest.approx(20 / 90),
        ("omop_is_a", "SNOMED (90)"): pytest.approx(10 / 90),
        ("no token", "SNOMED (90)"): 0,
        ("no token", "Visit (10)"): 1,
    }


def test_a_report_on_nothing(as_table):
    codes, found = as_table([], COUNTS), as_table([], CANDIDATES)
    made = nodes.report_translations(
        codes, found, nodes.choose_translations(found), tokenizer("CPT:1"), options()
    )
    assert made["all"]["share_of_events"] is None
    assert nodes.plot_translations(made).data == ()


def test_without_vocabularies_nothing_is_known_of_any_code(as_table):
    none = [nodes.extract_concepts, nodes.extract_drug_codes, nodes.extract_links]
    concepts, drugs, links = (extract(None, options()) for extract in none)
    codes = as_table([("SNOMED", "1")], {"system": "string", "code": "string"})
    targets = nodes.translation.name_targets(nodes.vocabulary_codes({"SNOMED:1": 3}), {})
    sources = nodes.translation.name_sources(codes.mutate(events=ibis.literal(1)), {})
    found = nodes.find_concepts(sources, targets, concepts, drugs, None, None)
    assert [rows_of(table) for table in (*found, links)] == [[], [], []]
