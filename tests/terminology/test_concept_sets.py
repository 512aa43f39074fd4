import ibis
import pytest

from clm_ler.terminology.concept_sets import Item, atlas_items, concept_set_codes, matching_codes

DIABETES, TYPE_1, TYPE_2, SOURCE_2, SOURCE_1 = 201820, 201254, 201826, 1567956, 1567940
CONCEPT = [
    (DIABETES, "SNOMED", "73211009"),
    (TYPE_1, "SNOMED", "46635009"),
    (TYPE_2, "SNOMED", "44054006"),
    (SOURCE_2, "ICD10CM", "E119"),
    (SOURCE_1, "ICD10CM", "E10.9"),
]
ANCESTOR = [(DIABETES, id) for id in (DIABETES, TYPE_1, TYPE_2)] + [(TYPE_1, TYPE_1)]
MAPS = [(SOURCE_2, TYPE_2, "Maps to", None), (SOURCE_1, TYPE_1, "Maps to", "")]
MAPS += [(SOURCE_1, TYPE_2, "Maps to", "D"), (SOURCE_1, TYPE_2, "Is a", None)]


def table(rows, *columns):
    texts = [[None if value is None else str(value) for value in row] for row in rows]
    records = [dict(zip(columns, row, strict=True)) for row in texts]
    return ibis.memtable(records, schema=dict.fromkeys(columns, "string"))


@pytest.fixture
def vocabulary():
    return (
        table(CONCEPT, "concept_id", "vocabulary_id", "concept_code"),
        table(MAPS, "concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"),
        table(ANCESTOR, "ancestor_concept_id", "descendant_concept_id"),
    )


def test_descendants_and_their_source_codes_count_and_an_exclusion_wins(vocabulary):
    everything = {(v.replace("-", ""), code) for _, v, code in CONCEPT if v == "SNOMED"}
    sources = {("ICD10CM", "E11.9"), ("ICD10CM", "E10.9")}
    whole = [Item(DIABETES, descendants=True, excluded=False)]
    assert concept_set_codes(whole, *vocabulary, "d") == everything | sources
    some = [*whole, Item(TYPE_1, descendants=True, excluded=True)]
    assert concept_set_codes(some, *vocabulary, "d") == {
        ("SNOMED", "73211009"),
        ("SNOMED", "44054006"),
        ("ICD10CM", "E11.9"),
    }
    alone = [Item(DIABETES, descendants=False, excluded=False)]
    assert concept_set_codes(alone, *vocabulary, "d") == {("SNOMED", "73211009")}


def test_what_the_vocabulary_lacks_is_said(vocabulary):
    unknown = [Item(1, descendants=True, excluded=False), Item(DIABETES, True, False)]
    with pytest.raises(ValueError, match="d: 1 of 2 concepts are not in the vocabulary, such as 1"):
        concept_set_codes(unknown, *vocabulary, "d")
    with pytest.raises(ValueError, match="there is no vocabulary"):
        concept_set_codes(unknown, None, None, None, "d")
    with pytest.raises(ValueError, match="there is no CONCEPT_ANCESTOR"):
        concept_set_codes(unknown, *vocabulary[:2], None, "d")


ITEMS = [
    {"concept": {"CONCEPT_ID": TYPE_2, "CONCEPT_NAME": "x"}, "includeDescendants": True},
    {"concept": {"CONCEPT_ID": TYPE_1}, "isExcluded": True, "includeMapped": True},
]


@pytest.mark.parametrize(
    "document",
    [
        {"items": ITEMS},
        {"id": 7, "name": "diabetes", "expression": {"items": ITEMS}},
        {"ConceptSets": [{"id": 0, "expression": {"items": ITEMS}}], "PrimaryCriteria": {}},
    ],
)
def test_the_forms_in_which_atlas_exports(document):
    assert atlas_items(document, "f") == [Item(TYPE_2, True, False), Item(TYPE_1, False, True)]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "no list 'items'"),
        ({"items": []}, "no list 'items'"),
        ({"conceptSetItems": ITEMS}, "no list 'items'"),
        ({"items": [{"conceptId": 7}]}, "no whole number at concept.CONCEPT_ID"),
        ({"items": [{"concept": {"CONCEPT_ID": "x"}}]}, "no whole number"),
        ({"ConceptSets": [{}, {}]}, "for one set: it holds 2"),
    ],
)
def test_a_file_of_another_version_is_refused_in_one_line(document, message):
    with pytest.raises(ValueError, match=message) as error:
        atlas_items(document, "f")
    assert "\n" not in str(error.value)


def test_wildcards_mean_what_they_say():
    codes = [("ICD9CM", "250.00"), ("ICD9CM", "250.01"), ("ICD10CM", "E11.9"), ("CPT", "E11.9")]
    assert set(matching_codes({"ICD-9-CM": ["250.?0"]}, codes)) == {codes[0]}
    assert set(matching_codes({"ICD10CM": ["e11*"]}, codes)) == {codes[2]}
    assert matching_codes({"ICD10CM": ["E1.9"]}, [("ICD10CM", "E1x9")]) == {}
