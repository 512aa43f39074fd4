from clm_ler.terminology import omop

CONCEPT = {
    "concept_id": "int64",
    "vocabulary_id": "string",
    "concept_code": "string",
    "standard_concept": "string",
}
RELATIONSHIP = {
    "concept_id_1": "int64",
    "concept_id_2": "int64",
    "relationship_id": "string",
    "invalid_reason": "string",
}
CONCEPTS = [
    (317009, "SNOMED", "195967001", "S"),  # asthma
    (257581, "SNOMED", "281239006", "S"),  # its exacerbation
    (45769351, "ICD10CM", "J45.901", None),
    (44821988, "ICD9CM", "49392", None),
    (1, "CPT4", "83036", "S"),
    (2, "ICD10CM", "J45", None),  # mapped in an earlier release only
]
RELATIONSHIPS = [
    (317009, 317009, "Maps to", None),
    (257581, 257581, "Maps to", None),
    (45769351, 257581, "Maps to", None),
    (45769351, 257581, "Maps to", None),
    (44821988, 257581, "Maps to", None),
    (44821988, 317009, "Maps to", None),
    (2, 317009, "Maps to", "D"),
    (257581, 317009, "Is a", ""),  # some databases have no null here
    (317009, 257581, "Subsumes", None),
    (257581, 2, "Is a", "U"),
]


def rows_of(table):
    return sorted(tuple(row.values()) for row in table.to_pyarrow().to_pylist())


def test_a_code_stands_for_the_standard_concepts_it_maps_to(as_table):
    codes = omop.concept_codes(as_table(CONCEPTS, CONCEPT), as_table(RELATIONSHIPS, RELATIONSHIP))
    assert rows_of(codes) == [
        ("1", "CPT", "83036"),
        ("257581", "ICD10CM", "J45.901"),
        ("257581", "ICD9CM", "493.92"),
        ("257581", "SNOMEDCT_US", "281239006"),
        ("317009", "ICD9CM", "493.92"),
        ("317009", "SNOMEDCT_US", "195967001"),
    ]


def test_parents_are_valid_is_a_relationships(as_table):
    links = omop.concept_links(as_table(RELATIONSHIPS, RELATIONSHIP))
    assert rows_of(links) == [("257581", "317009", "parent")]
