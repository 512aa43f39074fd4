import pytest

from clm_ler.terminology import omop, translation
from clm_ler.terminology.umls import concept_links

NAMES = {"SNOMED": "SNOMEDCT_US", "RxNorm": "RXNORM", "ICD9Proc": "ICD9CM"}
CODES = {"system": "string", "code": "string", "events": "int64"}
SOURCES = dict.fromkeys(["source_system", "source_code", "system", "code"], "string")
TOKENS = {"vocab_token": "string", "frequency_rank": "int64", "system": "string", "code": "string"}
CONCEPTS = {"cui": "string", "system": "string", "code": "string"}
LINKS = {"cui": "string", "linked_cui": "string", "system": "string"}


@pytest.fixture
def sources(as_table):
    """Codes of the data, already in the common naming."""

    def make(*codes):
        return as_table([(*code, *code) for code in codes], SOURCES)

    return make


@pytest.fixture
def targets(as_table):
    """Tokens, already in the common naming."""

    def make(*tokens):
        return as_table([(t, n, *t.split(":", 1)) for n, t in enumerate(tokens)], TOKENS)

    return make


def found(candidates):
    rows = candidates.to_pyarrow().to_pylist()
    assert set(candidates.columns) == set(translation.CANDIDATE)
    return sorted((r["source_code"], r["vocab_token"], r["distance"]) for r in rows)


def test_sources_get_the_common_names_and_spelling(as_table):
    codes = [
        ("ICD10CM", "j45901", "ICD10CM", "J45.901"),
        ("RxNorm", "860975", "RXNORM", "860975"),
        ("NDC", "0093-7214-01", "NDC", "000937214"),
        ("Local", "a/b", "LOCAL", "A/B"),
        # The same digits are a diagnosis and a procedure.
        ("ICD9CM", "3601", "ICD9CM", "360.1"),
        ("ICD9Proc", "3601", "ICD9CM", "36.01"),
        # Both readings of an ambiguous package code.
        ("NDC", "5024204062", "NDC", "502420406"),
        ("NDC", "5024204062", "NDC", "502420040"),
    ]
    counted = as_table(list({(*code[:2], 1) for code in codes}), CODES)
    named = translation.name_sources(counted, NAMES)
    rows = named.to_pyarrow().to_pylist()
    assert {tuple(row[name] for name in SOURCES) for row in rows} == set(codes)
    assert len(rows) == len(codes)


def test_targets_get_the_common_names_and_spelling(as_table):
    tokens = ["CPT4:83036", "ICD10CM:J45901", "LOINC:4548-4"]
    rows = [(token, rank, *token.split(":")) for rank, token in enumerate(tokens)]
    named = translation.name_targets(as_table(rows, TOKENS), {"CPT4": "CPT"})
    assert [tuple(row[name] for name in TOKENS) for row in named.to_pyarrow().to_pylist()] == [
        ("CPT4:83036", 0, "CPT", "83036"),
        ("ICD10CM:J45901", 1, "ICD10CM", "J45.901"),
        ("LOINC:4548-4", 2, "LOINC", "4548-4"),
    ]


def test_a_system_has_its_common_name_however_a_site_writes_it(as_table):
    codes = [
        ("http://hl7.org/fhir/sid/icd-10-cm", "E119", "ICD10CM", "E11.9"),
        ("urn:oid:2.16.840.1.113883.6.104", "3601", "ICD9CM", "36.01"),
        ("icd-10-cm", "E119", "ICD10CM", "E11.9"),
        ("SNOMED-CT", "44054006", "SNOMEDCT_US", "44054006"),
        ("http://example.org/own", "a", "HTTP://EXAMPLE.ORG/OWN", "A"),
    ]
    counted = as_table([(*code[:2], 1) for code in codes], CODES)
    rows = translation.name_sources(counted, NAMES).to_pyarrow().to_pylist()
    assert {tuple(row[name] for name in SOURCES) for row in rows} == set(codes)


def test_codes_of_an_omop_vocabulary_in_small_letters_find_their_concept(as_table):
    concepts = as_table(
        [("1", "Read", "C10F.00", None), ("2", "SNOMED", "44054006", "S")],
        dict.fromkeys(omop.CONCEPT, "string"),
    )
    maps = as_table(
        [("1", "2", "Maps to", None)], dict.fromkeys(omop.CONCEPT_RELATIONSHIP, "string")
    )
    named = translation.name_sources(as_table([("Read", "C10F.00", 1)], CODES), NAMES)
    found = translation.concepts_of(named, omop.concept_codes(concepts, maps))
    assert found.cui.to_pyarrow().to_pylist() == ["2"]


def test_without_names_systems_keep_theirs(as_table):
    named = translation.name_sources(as_table([("Local", "a", 1)], CODES), {})
    assert named.system.to_pyarrow().to_pylist() == ["LOCAL"]


def test_the_same_code(sources, targets):
    codes = sources(("ICD10CM", "J45.901"), ("NDC", "000937214"), ("ICD10CM", "J45"))
    tokens = targets("ICD10CM:J45.901", "NDC:000937214", "CPT:J45")
    assert found(translation.same_code(codes, tokens)) == [
        ("000937214", "NDC:000937214", 0),
        ("J45.901", "ICD10CM:J45.901", 0),
    ]


def ends(sources, targets, concepts):
    return translation.concepts_of(sources, concepts), translation.concepts_of(targets, concepts)


def test_codes_of_one_concept_translate_and_each_pair_comes_once(as_table, sources, targets):
    concepts = as_table(
        [
            ("C1", "SNOMEDCT_US", "195967001"),
            ("C2", "SNOMEDCT_US", "195967001"),
            ("C1", "ICD10CM", "J45.909"),
            ("C2", "ICD10CM", "J45.909"),
            ("C1", "ICD9CM", "493.90"),
            ("C3", "ICD10CM", "J45.901"),
        ],
        CONCEPTS,
    )
    tokens = targets("ICD10CM:J45.909", "ICD9CM:493.90", "ICD10CM:J45.901")
    pairs = translation.same_concept(*ends(sources(("SNOMEDCT_US", "195967001")), tokens, concepts))
    assert found(pairs) == [("195967001", "ICD10CM:J45.909", 0), ("195967001", "ICD9CM:493.90", 0)]


@pytest.fixture
def chain(as_table, sources, targets):
    """SNOMED 0 and its parents 1, 2, 3, the first also under an ICD code; and their links."""
    concepts = [(f"C{n}", "SNOMEDCT_US", str(n)) for n in range(5)] + [("C9", "ICD10CM", "J45")]
    links = [(f"C{n}", f"C{n + 1}", "SNOMEDCT_US") for n in range(4)]
    circle, elsewhere = ("C1", "C0", "SNOMEDCT_US"), ("C0", "C4", "MSH")
    tokens = targets("SNOMEDCT_US:1", "SNOMEDCT_US:3", "SNOMEDCT_US:4", "ICD10CM:J45")
    start, end = ends(sources(("SNOMEDCT_US", "0")), tokens, as_table(concepts, CONCEPTS))
    return start, end, as_table([*links, ("C1", "C9", "SNOMEDCT_US"), circle, elsewhere], LINKS)


def test_links_of_the_own_vocabulary_lead_as_far_as_asked(chain):
    assert found(translation.linked_concept(*chain, 2)) == [
        ("0", "ICD10CM:J45", 2),
        ("0", "SNOMEDCT_US:1", 1),
    ]


def test_longer_ways_and_circles(chain):
    ways = set(found(translation.linked_concept(*chain, 3)))
    assert ways == {
        ("0", "ICD10CM:J45", 2),
        ("0", "SNOMEDCT_US:1", 1),
        ("0", "SNOMEDCT_US:1", 3),
        ("0", "SNOMEDCT_US:3", 3),
    }


def test_maps_between_snomed_and_icd_are_followed_in_both_directions(as_table, sources, targets):
    """Of MRREL: two concepts that only a map relates, told in both directions as releases do."""
    rows = [
        ("ICD", "RO", "SCT", "mapped_to", "SNOMEDCT_US", "N"),
        ("SCT", "RO", "ICD", "mapped_from", "SNOMEDCT_US", "N"),
    ]
    names = dict.fromkeys(["CUI1", "REL", "CUI2", "RELA", "SAB", "SUPPRESS"], "string")
    links = concept_links(as_table(rows, names), ["mapped_to", "mapped_from"], False)
    concepts = as_table(
        [("SCT", "SNOMEDCT_US", "195967001"), ("ICD", "ICD10CM", "J45.909")], CONCEPTS
    )
    codes = ("SNOMEDCT_US:195967001", "ICD10CM:J45.909")
    for start, end in (codes, codes[::-1]):
        pair = ends(sources(tuple(start.split(":"))), targets(end), concepts)
        ways = translation.linked_concept(*pair, links.drop("system"), 1)
        assert found(ways) == [(start.split(":")[1], end, 1)]


def test_links_without_a_system_are_followed_in_every_vocabulary(chain):
    start, end, links = chain
    anywhere = translation.linked_concept(start, end, links.drop("system"), 1)
    assert found(anywhere) == [("0", "SNOMEDCT_US:1", 1), ("0", "SNOMEDCT_US:4", 1)]


def test_the_categories_of_an_icd_code(sources, targets):
    codes = sources(
        ("ICD10CM", "S52.501A"), ("ICD9CM", "493.90"), ("SNOMEDCT_US", "1.2"), ("ICD10CM", "J45")
    )
    tokens = targets("ICD10CM:S52.50", "ICD10CM:S52", "ICD9CM:493", "SNOMEDCT_US:1", "ICD10CM:J4")
    assert found(translation.category_code(codes, tokens, 4)) == [
        ("493.90", "ICD9CM:493", 2),
        ("S52.501A", "ICD10CM:S52", 4),
        ("S52.501A", "ICD10CM:S52.50", 2),
    ]
    assert found(translation.category_code(codes, tokens, 1)) == []


def test_equivalent_codes_keep_their_distance(as_table, sources, targets):
    schema = {
        "system": "string",
        "code": "string",
        "to_system": "string",
        "to_code": "string",
        "distance": "int64",
    }
    maps = as_table(
        [
            ("ICD9CM", "493.90", "ICD10CM", "J45.909", 1),
            ("ICD9CM", "493.90", "ICD10CM", "J45.998", 1),
            ("ICD9CM", "001.0", "ICD10CM", "A00.0", 0),
        ],
        schema,
    )
    codes = sources(("ICD9CM", "493.90"), ("ICD9CM", "001.0"), ("ICD10CM", "493.90"))
    tokens = targets("ICD10CM:J45.998", "ICD10CM:A00.0", "ICD9CM:493.90")
    assert found(translation.equivalent_code(codes, tokens, maps)) == [
        ("001.0", "ICD10CM:A00.0", 0),
        ("493.90", "ICD10CM:J45.998", 1),
    ]
