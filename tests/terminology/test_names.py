import ibis

from clm_ler.terminology.names import names_of

TOKENS = ["CPT:99213", "ICD10CM:J45.901", "NDC:000937214", "GENDER:F", "LOINC:1-1", "other"]


def test_a_table_of_tokens_names_those_that_are_asked_for():
    names = ibis.memtable({"token": ["LOINC:1-1", "LOINC:2-2"], "name": ["Glucose", "Sodium"]})
    assert names_of(TOKENS, names) == {"LOINC:1-1": "Glucose"}
    assert names_of(TOKENS, None) == {}


def test_a_vocabulary_names_tokens_however_it_spells_systems_and_codes():
    rows = [
        ("CPT4", "99213", "Office visit"),
        ("ICD10CM", "J45901", "Asthma"),
        ("NDC", "00093721401", "metformin"),
        ("LOINC", "1-1", None),
        ("SNOMED", "1", "of a system that no token has"),
        (None, "F", "of no system"),
    ]
    columns = zip(*rows, strict=True)
    names = ibis.memtable(dict(zip(("system", "code", "name"), map(list, columns), strict=True)))
    assert names_of(TOKENS, names) == {
        "CPT:99213": "Office visit",
        "ICD10CM:J45.901": "Asthma",
        "NDC:000937214": "metformin",
    }
    assert names_of(["GENDER:F"], names) == {}


def test_umls_names_codes_by_its_preferred_english_term():
    rows = [
        ("ENG", "ICD10CM", "PT", "J45.901", "Unspecified asthma with (acute) exacerbation", "N"),
        ("ENG", "ICD10CM", "AB", "J45.901", "Asthma w exacerbation", "N"),
        ("SPA", "ICD10CM", "PT", "J45.901", "Asma", "N"),
        ("ENG", "LNC", "LN", "1-1", "Glucose", "N"),
        ("ENG", "LNC", "LN", "1-1", "An old name", "O"),
    ]
    columns = ("LAT", "SAB", "TTY", "CODE", "STR", "SUPPRESS")
    atoms = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    assert names_of(TOKENS, ibis.memtable(atoms)) == {
        "ICD10CM:J45.901": "Unspecified asthma with (acute) exacerbation",
        "LOINC:1-1": "Glucose",
    }
