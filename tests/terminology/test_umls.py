import pytest

from clm_ler.terminology import umls

CONSO = dict.fromkeys(["CUI", "LAT", "SAB", "CODE", "SUPPRESS"], "string")
SAT = dict.fromkeys(["CUI", "SAB", "ATN", "ATV", "SUPPRESS"], "string")
REL = dict.fromkeys(["CUI1", "REL", "CUI2", "RELA", "SAB", "SUPPRESS"], "string")


def rows_of(table):
    return sorted(tuple(row.values()) for row in table.to_pyarrow().to_pylist())


def test_concepts_of_valid_codes_in_the_wanted_languages_each_once(as_table):
    conso = as_table(
        [
            ("C1", "ENG", "ICD10CM", "J45.901", "N"),
            ("C1", "ENG", "ICD10CM", "J45.901", "N"),  # another name of it
            ("C1", "ENG", "ICD9CM", "493.92", "N"),
            ("C2", "ENG", "ICD10CM", "J45.901", "N"),  # another meaning
            ("C3", "ENG", "ICD10CM", "J45.901", "O"),  # obsolete
            ("C3", "ENG", "ICD10CM", "J45.901", "E"),  # suppressed by editors
            ("C3", "ENG", "ICD10CM", "J45.901", "Y"),  # suppressed by term type
            ("C4", "SPA", "SCTSPA", "1", "N"),
            ("C5", "ENG", "MTH", "NOCODE", "N"),
        ],
        CONSO,
    )
    valid = [("C1", "ICD10CM", "J45.901"), ("C1", "ICD9CM", "493.92"), ("C2", "ICD10CM", "J45.901")]
    spanish, retired = [("C4", "SCTSPA", "1")], [("C3", "ICD10CM", "J45.901")]
    assert rows_of(umls.concept_codes(conso, ["ENG"], False)) == valid
    assert rows_of(umls.concept_codes(conso, ["ENG", "SPA"], False)) == valid + spanish
    assert rows_of(umls.concept_codes(conso, ["ENG"], True)) == sorted(valid + retired)


def test_drug_codes_of_the_wanted_sources_as_products(as_table):
    sat = as_table(
        [
            ("C1", "RXNORM", "NDC", "00093721401", "N"),
            ("C1", "MTHSPL", "NDC", "0093-7214-01", "N"),
            ("C1", "MTHSPL", "NDC", "0093-7214-10", "N"),
            ("C2", "MTHSPL", "NDC", "50242-040-62", "N"),
            ("C2", "RXNORM", "NDC", "99999999999", "O"),
            ("C3", "VANDF", "NDC", "00093721401", "N"),
            ("C3", "RXNORM", "RXN_STRENGTH", "500 MG", "N"),
        ],
        SAT,
    )
    found = rows_of(umls.drug_codes(sat, ["RXNORM", "MTHSPL"], False))
    assert found == [("C1", "NDC", "000937214"), ("C2", "NDC", "502420040")]


def test_links_are_read_from_right_to_left(as_table):
    rel = as_table(
        [
            # The parent of CHILD is PARENT; the line is there in both directions.
            ("CHILD", "PAR", "PARENT", "inverse_isa", "SNOMEDCT_US", "N"),
            ("PARENT", "CHD", "CHILD", "isa", "SNOMEDCT_US", "N"),
            # DRUG has the ingredient SUBSTANCE.
            ("SUBSTANCE", "RO", "DRUG", "has_ingredient", "RXNORM", "N"),
            ("DRUG", "RO", "SUBSTANCE", "ingredient_of", "RXNORM", "N"),
            ("CHILD", "PAR", "CHILD", None, "MSH", "N"),
            (None, "PAR", "PARENT", None, "MSH", "N"),
            ("CHILD", "PAR", "RETIRED", None, "MSH", "O"),
            ("CHILD", "RB", "BROADER", None, "MSH", "N"),
        ],
        REL,
    )
    found = rows_of(umls.concept_links(rel, ["has_ingredient"], False))
    assert found == [
        ("CHILD", "PARENT", "parent", "SNOMEDCT_US"),
        ("DRUG", "SUBSTANCE", "has_ingredient", "RXNORM"),
    ]


def test_without_relations_only_parents(as_table):
    rel = as_table([("A", "RO", "B", "has_ingredient", "RXNORM", "N")], REL)
    assert rows_of(umls.concept_links(rel, [], False)) == []


@pytest.mark.parametrize("suppressed", [False, True])
def test_an_empty_release_gives_empty_tables(as_table, suppressed):
    assert rows_of(umls.concept_codes(as_table([], CONSO), ["ENG"], suppressed)) == []
    assert rows_of(umls.drug_codes(as_table([], SAT), ["RXNORM"], suppressed)) == []
    assert rows_of(umls.concept_links(as_table([], REL), ["isa"], suppressed)) == []
