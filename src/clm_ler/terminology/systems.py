"""One name for each code system, whatever a site calls it: a name, a FHIR address, an OID."""

import re
from collections.abc import Mapping

# Addresses of FHIR (https://terminology.hl7.org), and OIDs of HL7, for the usual names.
ADDRESSES = {
    "http://loinc.org": "LOINC",
    "http://snomed.info/sct": "SNOMED",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
    "http://hl7.org/fhir/sid/icd-10": "ICD10",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": "ICD10GM",
    "http://fhir.de/CodeSystem/dimdi/icd-10-gm": "ICD10GM",
    "http://hl7.org/fhir/sid/ndc": "NDC",
    "http://hl7.org/fhir/sid/cvx": "CVX",
    "http://www.ama-assn.org/go/cpt": "CPT",
    "http://www.cms.gov/Medicare/Coding/ICD10": "ICD10PCS",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HCPCS",
    "http://www.whocc.no/atc": "ATC",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode": "ActCode",
    "2.16.840.1.113883.6.1": "LOINC",
    "2.16.840.1.113883.6.96": "SNOMED",
    "2.16.840.1.113883.6.88": "RxNorm",
    "2.16.840.1.113883.6.90": "ICD10CM",
    "2.16.840.1.113883.6.4": "ICD10PCS",
    "2.16.840.1.113883.6.103": "ICD9CM",
    "2.16.840.1.113883.6.104": "ICD9Proc",
    "2.16.840.1.113883.6.3": "ICD10",
    "2.16.840.1.113883.6.12": "CPT",
    "2.16.840.1.113883.6.285": "HCPCS",
    "2.16.840.1.113883.6.69": "NDC",
    "2.16.840.1.113883.12.292": "CVX",
    "2.16.840.1.113883.6.73": "ATC",
}
# Names of the tokens by what sites write, without case, hyphens, underscores and blanks.
NAMES = {
    "ICD10CM": "ICD10CM",
    "ICD9CM": "ICD9CM",
    "ICD9PROC": "ICD9CM",
    "ICD10PCS": "ICD10PCS",
    "ICD10": "ICD10",
    "ICD10GM": "ICD10GM",
    "CPT": "CPT",
    "CPT4": "CPT",
    "HCPCS": "HCPCS",
    "RXNORM": "RXNORM",
    "RXNORMDRUG": "RXNORM",
    "NDC": "NDC",
    "CVX": "CVX",
    "ATC": "ATC",
    "LOINC": "LOINC",
    "SNOMED": "SNOMED",
    "SNOMEDCT": "SNOMED",
    "SNOMEDCTUS": "SNOMED",
}
# Names of OMOP vocabularies (https://athena.ohdsi.org) and of our doors that tokens have as they are.
AS_THEY_ARE = (
    *("Visit", "Domain", "OMOP Extension", "ICDO3", "Cancer Modifier", "HemOnc", "NAACCR", "PPI"),
    *("DRG", "Revenue Code", "UB04 Typ bill", "CMS Place of Service", "Medicare Specialty"),
    *("SPL", "dm+d", "OPCS4", "Read", "ICD10CN", "KCD7", "UCUM", "Nebraska Lexicon"),
    *("OMOP", "MEDS", "CARE_SITE", "STANFORD_OBS", "STANFORD_NOTE"),
)
_ADDRESS = r"://|^urn:|^[0-9]+(\.[0-9]+){3,}$"


def usual_name(system: str) -> str:
    """Return the usual name of a system that is given by its address or OID, another as it is.

    >>> (
    ...     usual_name("urn:oid:2.16.840.1.113883.6.104"),
    ...     usual_name("https://loinc.org/"),
    ...     usual_name("x"),
    ... )
    ('ICD9Proc', 'LOINC', 'x')
    """
    if not is_address(system):
        return system
    plain = system.strip().removeprefix("urn:oid:").removesuffix("/")
    return ADDRESSES.get(re.sub("^https:", "http:", plain), plain)


def token_system(system: str, own: Mapping[str, str]) -> str:
    """Return the name that the system has in tokens.

    Args:
        system: As the data have it.
        own: The site's own names, which come before all others.
    """
    usual = usual_name(system)
    return own.get(system) or NAMES.get(_plain(usual), usual)


def spelling_system(system: str, own: Mapping[str, str]) -> str:
    """Return the name by whose rules the codes of a system are spelt: of one that nobody knows, the site's.

    The tokens' name would not do: procedures of ICD-9, which have their dot elsewhere, are ``ICD9CM`` there.

    >>> spelling_system("DX 10", {"DX 10": "ICD10CM"}), spelling_system("ICD9 Proc", {})
    ('ICD10CM', 'ICD9 Proc')
    """
    usual = usual_name(system)
    return usual if _plain(usual) in NAMES else own.get(system) or usual


def _plain(name: str) -> str:
    return re.sub("[-_ ]", "", name.upper())


def is_address(system: str) -> bool:
    """Return whether a system's name is still an address, which nobody has named."""
    return re.search(_ADDRESS, system) is not None


def is_known(name: str, own: Mapping[str, str]) -> bool:
    """Return whether a system's name in tokens is a usual one, or one that the site has given."""
    return name in {*NAMES.values(), *ADDRESSES.values(), *AS_THEY_ARE, *own.values()}
