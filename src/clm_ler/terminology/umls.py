"""The parts of a UMLS release that code mapping needs.

Columns are those of the UMLS Reference Manual (MRCONSO, MRSAT, MRREL). What comes out has one row
per fact: a concept (``cui``) has a code of a source, a concept is linked to another.
"""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from clm_ler.engines.portable import upper
from clm_ler.terminology.codes import canonical_code

# The columns that are read of each file.
MRCONSO = ("CUI", "LAT", "SAB", "CODE", "SUPPRESS")
MRSAT = ("CUI", "SAB", "ATN", "ATV", "SUPPRESS")
MRREL = ("CUI1", "REL", "CUI2", "RELA", "SAB", "SUPPRESS")


def concept_codes(conso: ir.Table, languages: Sequence[str], suppressed: bool) -> ir.Table:
    """Return which codes stand for which concept, from MRCONSO.

    Args:
        conso: MRCONSO with these columns.
        languages: The languages (LAT) whose atoms count.
        suppressed: Whether obsolete and suppressible atoms count too.

    Returns:
        Distinct ``cui``, ``system`` (the source abbreviation in upper case), ``code`` (canonical spelling).
    """
    atoms = conso.filter(conso.LAT.isin(languages), conso.CODE != "NOCODE")
    return (
        _current(atoms, suppressed)
        .select(
            cui="CUI", system=lambda t: upper(t.SAB), code=lambda t: canonical_code(t.SAB, t.CODE)
        )
        .distinct()
    )


def drug_codes(sat: ir.Table, sources: Sequence[str], suppressed: bool) -> ir.Table:
    """Return the NDC product codes of drug concepts, from the attributes in MRSAT.

    Args:
        sat: MRSAT with these columns.
        sources: The sources (SAB) whose NDC attributes count, such as RXNORM and MTHSPL.
        suppressed: Whether suppressed attributes count too.

    Returns:
        Distinct ``cui``, ``system`` (NDC), ``code`` (nine digits).
    """
    attributes = sat.filter(sat.ATN == "NDC", sat.SAB.isin(sources))
    return (
        _current(attributes, suppressed)
        .select(cui="CUI", system="ATN", code=lambda t: canonical_code(t.ATN, t.ATV))
        .distinct()
    )


def concept_links(rel: ir.Table, relations: Sequence[str], suppressed: bool) -> ir.Table:
    """Return parents and chosen relations between concepts, from MRREL.

    MRREL is read from right to left: the second concept stands in the relation to the first. So
    ``CUI1 PAR CUI2`` means that CUI2 is a parent of CUI1, and ``CUI1 has_ingredient CUI2`` that
    CUI1 is an ingredient of CUI2.

    Args:
        rel: MRREL with these columns.
        relations: The relation attributes (RELA) to keep besides the parents.
        suppressed: Whether suppressed relations count too.

    Returns:
        Distinct ``cui``, ``linked_cui``, ``relation`` (``parent`` or a RELA), ``system`` (SAB).
    """
    rows = _current(rel.filter(rel.CUI1 != rel.CUI2), suppressed)
    parent = rows.REL == "PAR"
    return (
        rows.mutate(parent=parent)
        .filter(parent | rows.RELA.isin(relations))
        .select(
            cui=lambda t: ibis.ifelse(t.parent, t.CUI1, t.CUI2),
            linked_cui=lambda t: ibis.ifelse(t.parent, t.CUI2, t.CUI1),
            relation=lambda t: ibis.ifelse(t.parent, "parent", t.RELA),
            system=lambda t: upper(t.SAB),
        )
        .distinct()
    )


def _current(rows: ir.Table, suppressed: bool) -> ir.Table:
    return rows if suppressed else rows.filter(rows.SUPPRESS == "N")
