import re

import pytest

from clm_ler.simulation.codes import DIAGNOSES, DRUGS, PROCEDURES, weights
from clm_ler.simulation.disease_tables import ACUTES, CONDITION_NAMES

FORMS = {
    "icd10cm": r"[A-Z]\d\d(\.[0-9A-Z]{1,4})?",
    "icd9cm": r"(\d{3}|V\d\d)(\.\d{1,2})?",
    "snomed": r"\d{6,18}",
}


@pytest.mark.parametrize("catalogue", [DIAGNOSES, DRUGS, PROCEDURES])
def test_every_code_is_written_once_and_belongs_to_one_head(catalogue):
    assert len(set(catalogue.codes)) == len(catalogue.codes) == catalogue.start[-1]
    assert [catalogue.family(n)[0] for n in range(len(catalogue.heads))] == list(catalogue.heads)


def test_codes_have_the_form_of_their_vocabulary_and_mean_one_thing():
    for name, form in FORMS.items():
        assert all(re.fullmatch(form, getattr(code, name)) for code in DIAGNOSES.codes), name
    for name in ("icd10cm", "snomed"):
        assert len({getattr(code, name) for code in DIAGNOSES.codes}) == len(DIAGNOSES.codes)
    assert len({code.ndc for code in DRUGS.codes}) == len(DRUGS.codes)
    assert len({code.code for code in PROCEDURES.codes}) == len(PROCEDURES.codes)
    assert all(re.fullmatch(r"[A-Z]?\d{4,5}F?", code.code) for code in PROCEDURES.codes)


def test_a_family_stays_within_the_category_of_its_head():
    for head in range(len(DIAGNOSES.heads)):
        categories = [
            {getattr(code, name).split(".")[0] for code in DIAGNOSES.family(head)}
            for name in ("icd10cm", "icd9cm")
        ]
        assert [len(found) for found in categories] == [1, 1]


def test_conditions_illnesses_and_drugs_have_twenty_codes_and_more():
    for name in (*CONDITION_NAMES, *(acute.name for acute in ACUTES)):
        assert 20 <= sum(len(DIAGNOSES.family(head)) for head in DIAGNOSES.groups[name]) <= 50
    assert all(20 <= len(DRUGS.family(head)) <= 50 for head in range(len(DRUGS.heads)))


def test_several_new_codes_share_an_old_one():
    assert len({code.icd9cm for code in DIAGNOSES.codes}) < len(DIAGNOSES.codes) / 2


def test_weights_reads_a_cell():
    assert weights("male:0.2; Hemoglobin A1c:-0.6") == {"male": 0.2, "Hemoglobin A1c": -0.6}
    assert weights("") == {}
