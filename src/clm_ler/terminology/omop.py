"""An OMOP vocabulary (``concept``, ``concept_relationship``) in the form of the UMLS tables.

A code stands for the standard concept that it maps to, as it does for a UMLS concept.
"""

import ibis
import ibis.expr.types as ir

from clm_ler.engines.portable import upper
from clm_ler.terminology.codes import canonical_code

# The columns that are read of each table.
CONCEPT = ("concept_id", "vocabulary_id", "concept_code", "standard_concept")
CONCEPT_RELATIONSHIP = ("concept_id_1", "concept_id_2", "relationship_id", "invalid_reason")
CONCEPT_ANCESTOR = ("ancestor_concept_id", "descendant_concept_id")

# The OMOP vocabularies whose name differs from that of their UMLS source.
UMLS_SOURCES = {
    "CPT4": "CPT",
    "ICD9Proc": "ICD9CM",
    "LOINC": "LNC",
    "RxNorm": "RXNORM",
    "SNOMED": "SNOMEDCT_US",
}


def concept_codes(concept: ir.Table, relationship: ir.Table) -> ir.Table:
    """Return which codes stand for which standard concept.

    Args:
        concept: OMOP ``concept``, all columns readable as strings.
        relationship: OMOP ``concept_relationship``.

    Returns:
        Distinct ``cui`` (the id of the standard concept, as text), ``system`` (named as in UMLS, in upper case),
        ``code`` (canonical spelling). A standard concept stands for itself; another concept for
        every concept that a valid ``Maps to`` leads to.
    """
    codes = concept.select(
        concept_id=concept.concept_id.cast("string"),
        system=upper(concept.vocabulary_id.substitute(UMLS_SOURCES)),
        code=canonical_code(concept.vocabulary_id, concept.concept_code.cast("string")),
        standard=concept.standard_concept == "S",
    )
    maps_to = _valid(relationship, "Maps to")
    own = codes.filter(codes.standard).select("system", "code", cui="concept_id")
    mapped = codes.join(maps_to, codes.concept_id == maps_to.first).select(
        "system", "code", cui="second"
    )
    return own.union(mapped, distinct=True).select("cui", "system", "code")


def concept_links(relationship: ir.Table) -> ir.Table:
    """Return the parents of concepts, from the valid ``Is a`` relationships.

    Returns:
        Distinct ``cui``, ``linked_cui`` (the parent), ``relation`` (``parent``).
    """
    return _valid(relationship, "Is a").select(
        cui="first", linked_cui="second", relation=ibis.literal("parent")
    )


def is_valid(invalid_reason: ir.Column) -> ir.BooleanValue:
    """Return whether there is no reason; some databases have an empty text for none."""
    return invalid_reason.cast("string").fill_null("") == ""


def _valid(relationship: ir.Table, name: str) -> ir.Table:
    wanted = relationship.filter(
        relationship.relationship_id == name, is_valid(relationship.invalid_reason)
    )
    return wanted.select(
        first=wanted.concept_id_1.cast("string"), second=wanted.concept_id_2.cast("string")
    ).distinct()
