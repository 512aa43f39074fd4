"""One name for each code system, whatever a site calls it: a name, a FHIR address, an OID."""

import re
from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from clm_ler.engines.portable import trim

# Addresses of FHIR (https://terminology.hl7.org), and OIDs of HL7, for the usual names.
ADDRESSES = {
    "http://loinc.org": "LOINC",
    "http://snomed.info/sct": "SNOMED",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
    "http://hl7.org/fhir/sid/icd-10": "ICD10",
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
_ADDRESS = r"://|^urn:|^[0-9]+(\.[0-9]+){3,}$"


def usual_name(system: ir.StringColumn) -> ir.StringColumn:
    """Return the usual name of a system that is given by its address or OID, another as it is."""
    plain = trim(system).re_replace("^urn:oid:", "").re_replace("/$", "")
    known = plain.re_replace("^https:", "http:").substitute(ADDRESSES)
    return ibis.cases((system.re_search(_ADDRESS), known), else_=system)


def token_system(system: ir.StringColumn, own: Mapping[str, str]) -> ir.StringColumn:
    """Return the name that the system has in tokens.

    Args:
        system: As the data have it.
        own: The site's own names, which come before all others.
    """
    usual = usual_name(system)
    plain = usual.upper().re_replace("[-_ ]", "")
    named = ibis.cases((plain.isin(list(NAMES)), plain.substitute(NAMES)), else_=usual)
    return system.substitute(dict(own), else_=named) if own else named


def is_address(system: str) -> bool:
    """Return whether a system's name is still an address, which nobody has named."""
    return re.search(_ADDRESS, system) is not None
