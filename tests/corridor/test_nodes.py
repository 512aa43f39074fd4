"""A site whose codes are translated into another's vocabulary while its tables are read."""

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clm_ler.corridor import nodes
from clm_ler.tables.coding import translate_codes, translate_demographics
from clm_ler.tables.screening import NO_TOKEN, REASONS, count_codes
from clm_ler.tables.sources import CODED_TABLES
from tests.engines import both_engines
from tests.pipelines.preprocess.site import handed_over, listed, options, rows, selected_rows

RAW = {
    "patient": [(1, "1980-01-01", "FEMALE", "NJ"), (2, "1990-01-01", "other", None)],
    "diagnosis": [
        (1, "2020-01-01 10:00:00", "SNOMED 195967001"),
        (1, "2020-01-02 10:00:00", "SNOMED 195967001"),
        (1, "2020-01-03 10:00:00", "SNOMED 38341003"),  # without a token
        (1, "1979-01-03 10:00:00", "SNOMED 38341003"),  # lost before that
        (2, "2020-01-03 10:00:00", "ICD-10-CM j45901"),
    ],
    "prescription": [(1, "2020-01-04 10:00:00", "NDC:0093-7214-01")],
    "lab": [
        (1, "2020-01-05 10:00:00", "GLUC", "90", "mg/dL"),
        (1, "2020-01-05 10:00:00", "UNKNOWN", "1", "mg/dL"),
    ],
}
# The vocabulary is of a site that writes its systems in its own way: a token stays as it is.
TOKENS = [
    ("GENDER", "FEMALE", "GENDER:F"),
    ("SNOMED", "195967001", "ICD10CM:J45.909"),
    ("ICD-10-CM", "j45901", "ICD-10-CM:j45901"),
    ("NDC", "0093-7214-01", "RxNorm:a:b"),
    ("LOINC", "GLUC", "LOINC:2345-7"),
]
TRANSLATIONS = {
    "source_system": "string",
    "source_code": "string",
    "vocab_token": "string",
    "method": "string",
    "rank": "int64",
}


EVENT = {"person_id": "int64", "start": "string", "source": "string"}
SCHEMAS = {
    "patient": {"person_id": "int64", "birth": "string", "gender": "string", "region": "string"},
    "diagnosis": EVENT,
    "prescription": EVENT,
    "lab": EVENT | {"value": "string", "unit": "string"},
}


@pytest.fixture
def read(as_table):
    """Read the raw tables with the translations."""

    def make(**changes):
        raw = {name: as_table(rows, SCHEMAS[name]) for name, rows in RAW.items()}
        tokens = handed_over(as_table([(*token, "direct", 2) for token in TOKENS], TRANSLATIONS))
        reading = (options(**changes), tokens)
        raw = selected_rows(raw, reading[0])
        persons = nodes.select_demographics(raw["patient"], *reading)
        coded = nodes.screen_coded_events(
            persons, reading[0], raw["diagnosis"], raw["prescription"], raw["procedure"]
        )
        labs = nodes.screen_lab_events(raw["lab"], persons, reading[0])
        coded, labs = (nodes.name_events(rows, *reading) for rows in (coded, labs))
        counts = nodes.count_raw_rows(raw["patient"], coded, labs, reading[0])
        return {
            "demographics": persons,
            "coded_events": nodes.keep_coded_events(coded, counts, reading[0]),
            "lab_events": nodes.keep_lab_events(labs, counts, reading[0]),
            "raw_row_counts": counts,
        }

    return make


@both_engines
def test_events_and_demographics_take_the_tokens_of_the_vocabulary(read):
    made = read()
    assert rows(made["coded_events"], "person_id", "system", "code") == [
        (1, "ICD10CM", "J45.909"),
        (1, "ICD10CM", "J45.909"),
        (1, "RxNorm", "a:b"),
        (2, "ICD-10-CM", "j45901"),
    ]
    assert rows(made["lab_events"], "system", "code", "value") == [("LOINC", "2345-7", 90.0)]
    persons = rows(made["demographics"], "person_id", "gender", "region")
    assert persons == [(1, "F", None), (2, None, None)]
    # Each row is kept or counted.
    lost = made["raw_row_counts"].filter(made["raw_row_counts"].reason != "all")
    assert rows(lost, "table", "reason", "code", "rows") == [
        ("diagnosis", "before birth", None, 1),
        ("diagnosis", "code without a token", None, 1),
        ("lab", "code without a token", "UNKNOWN", 1),
    ]


def test_too_many_codes_without_a_token_stop_the_run(read):
    with pytest.raises(ValueError, match=r"'read' loses 2 of 5 rows.*max_loss"):
        read(max_loss={"diagnosis": 0.3})


@both_engines
def test_an_empty_unit_is_none_unless_results_may_lack_it(as_table):
    labs = [(1, "2020-01-05 10:00:00", "2345-7", "90", unit) for unit in ("", " ", None)]
    raw = {"patient": RAW["patient"], "lab": labs}
    raw = {name: as_table(rows, SCHEMAS[name]) for name, rows in raw.items()}
    for without_unit, found in ((False, {None}), (True, {""})):
        chosen = options(tables=listed("patient", "lab"), results={"without_unit": without_unit})
        selected = selected_rows(raw, chosen)
        persons = nodes.select_demographics(selected["patient"], chosen)
        screened = nodes.screen_lab_events(selected["lab"], persons, chosen)
        assert {unit for (unit,) in rows(screened, "unit")} == found


@both_engines
def test_the_codes_of_a_site_are_counted_as_they_are_spelt(as_table):
    raw = {name: as_table(rows, SCHEMAS[name]) for name, rows in RAW.items()}
    raw = selected_rows(raw, options())
    persons = nodes.select_demographics(raw["patient"], options())
    counted = count_codes(
        persons,
        nodes.screen_coded_events(
            persons,
            options(tables=listed("diagnosis")),
            *(raw[name] for name in CODED_TABLES),
        ),
        nodes.screen_lab_events(raw["lab"], persons, options()),
    )
    assert rows(counted) == [
        ("GENDER", "FEMALE", 1, 1),
        ("GENDER", "other", 1, 1),
        ("ICD-10-CM", "j45901", 1, 1),
        ("LOINC", "GLUC", 1, 1),
        ("LOINC", "UNKNOWN", 1, 1),
        ("REGION", "NJ", 1, 1),
        ("SNOMED", "195967001", 2, 1),
        ("SNOMED", "38341003", 1, 1),
    ]


@settings(max_examples=25)
@given(
    codes=st.lists(st.sampled_from(["1", "2", "4"]), max_size=8),
    lost=st.booleans(),
    known=st.sets(st.sampled_from(["1", "2", "3"])),
)
def test_never_more_events_than_before_and_each_kept_or_counted(codes, lost, known):
    event = {"system": "string", "code": "string", "reason": "int8"}
    before = REASONS.index("before birth") if lost else None
    screened = ibis.memtable([("A", code, before) for code in codes], schema=event)
    tokens = [("A", code, f"X:{code}", "direct", 1) for code in sorted(known)]
    translated = translate_codes(screened, ibis.memtable(tokens, schema=TRANSLATIONS))
    no_token = REASONS.index(NO_TOKEN)
    expected = [
        ("X" if code in known else "A", code, before or (None if code in known else no_token))
        for code in codes
    ]
    assert rows(translated) == sorted(expected, key=repr)


def test_a_code_without_a_token_may_keep_its_own_name():
    event = {"system": "string", "code": "string", "reason": "int8"}
    written = [("ICD-10-CM", "j45901"), ("ICD-10-CM", "e119"), ("ICD-10-CM", "0")]
    screened = ibis.memtable([(*code, None) for code in written], schema=event)
    token = ("ICD-10-CM", "j45901", "SNOMED:195967001", "relation", 1)
    found = nodes.name_events(
        screened, options(untranslated="keep"), ibis.memtable([token], schema=TRANSLATIONS)
    )
    assert rows(found) == [
        ("ICD-10-CM", "0", REASONS.index(NO_TOKEN)),  # a placeholder
        ("ICD10CM", "E11.9", None),
        ("SNOMED", "195967001", None),
    ]


@both_engines
def test_demographics_go_by_the_upper_case_names_of_their_systems(as_table):
    schema = {"person_id": "int64", "birth_date": "date"}
    schema |= dict.fromkeys(["gender", "race", "ethnicity", "region"], "string")
    persons = as_table([(1, None, "F", "5", None, None), (2, None, "X", "6", None, None)], schema)
    tokens = [("Gender", "F", "GENDER:FEMALE"), ("GENDER", "F", "GENDER:FEMALE")]
    tokens += [("Race", "5", "RACE:White"), ("SNOMED", "X", "GENDER:X")]
    translations = as_table([(*token, "demographic", 1) for token in tokens], TRANSLATIONS)
    found = translate_demographics(persons, translations)
    assert rows(found, "person_id", "gender", "race") == [(1, "FEMALE", "White"), (2, None, None)]
    kept = translate_demographics(persons, translations, keep=True)
    assert rows(kept, "person_id", "gender", "race") == [(1, "FEMALE", "White"), (2, "X", "6")]
