import pytest

from clm_ler.terminology.systems import is_address, is_known, token_system, usual_name

SYSTEMS = {
    "ICD-10-CM": "ICD10CM",
    "icd10cm": "ICD10CM",
    "ICD9Proc": "ICD9CM",
    "ICD-10-GM": "ICD10GM",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": "ICD10GM",
    "SNOMED-CT": "SNOMED",
    "RxNorm_drug": "RXNORM",
    "http://loinc.org": "LOINC",
    "https://loinc.org/": "LOINC",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "urn:oid:2.16.840.1.113883.6.96": "SNOMED",
    "2.16.840.1.113883.6.104": "ICD9CM",
    "Visit": "Visit",
    "RxNorm Extension": "RxNorm Extension",
    "http://hospital.example/labs": "http://hospital.example/labs",
    "ours": "LOINC",
}


@pytest.mark.parametrize(("system", "name"), SYSTEMS.items())
def test_a_system_has_one_name_whatever_a_site_calls_it(system, name):
    assert token_system(system, {"ours": "LOINC"}) == name


def test_procedures_of_icd_9_are_told_from_its_diagnoses_by_their_oid():
    assert usual_name("2.16.840.1.113883.6.104") == "ICD9Proc"


@pytest.mark.parametrize(
    ("system", "is_one"),
    [("http://x.y/z", True), ("urn:oid:1.2.3", True), ("1.2.3.4", True), ("ICD-10-CM", False)],
)
def test_an_address_is_known(system, is_one):
    assert is_address(system) == is_one


def test_a_name_is_known_if_it_is_usual_or_the_sites_own():
    assert is_known(token_system("ICD-10-CM", {}), {})
    assert is_known(token_system("Visit", {}), {})
    address = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    assert is_known(token_system(address, {}), {})
    assert not is_known(token_system("LOCAL", {}), {})
    assert is_known(token_system("local labs", own := {"local labs": "LOCAL"}), own)
