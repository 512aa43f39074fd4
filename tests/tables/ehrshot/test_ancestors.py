import ibis

from clm_ler.tables.ehrshot.ancestors import token_ancestors


def test_ancestors_of_counted_codes() -> None:
    tokens = ibis.memtable({"token": ["SNOMED/7", "LOINC/1"], "official": [True, False]})
    concept = ibis.memtable(
        {
            "concept_id": ["70", "80", "90"],
            "vocabulary_id": ["SNOMED", "SNOMED", "LOINC"],
            "concept_code": ["7", "8", "1"],
        }
    )
    ancestor = ibis.memtable(
        {"ancestor_concept_id": ["70", "80", "80"], "descendant_concept_id": ["70", "70", "90"]}
    )
    found = token_ancestors(tokens, concept, ancestor)
    pairs = found.order_by("ancestor").to_pyarrow().to_pylist()
    assert [(row["token"], row["ancestor"]) for row in pairs] == [
        ("SNOMED/7", "SNOMED/7"),
        ("SNOMED/7", "SNOMED/8"),
    ]


def test_without_a_vocabulary_codes_have_no_ancestors() -> None:
    tokens = ibis.memtable({"token": ["SNOMED/7"], "official": [True]})
    found = token_ancestors(tokens, None, None)
    assert found.columns == ("token", "ancestor")
    assert found.to_pyarrow().num_rows == 0
