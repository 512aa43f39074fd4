"""What codes are called."""

from collections.abc import Collection

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.terminology.codes import canonical_code
from clm_ler.terminology.systems import token_system, usual_name
from clm_ler.tokens import code_token, system_of

SYSTEMS = ibis.schema(dict.fromkeys(("system", "usual", "shown"), "string"))


def names_of(tokens: Collection[str], code_names: ir.Table | None) -> dict[str, str]:
    """Return the names of those of the tokens that have one.

    Args:
        tokens: Without bins.
        code_names: ``token, name``; or ``system, code, name`` of a vocabulary in its own spelling, such
            as OMOP's; or ``MRCONSO`` of UMLS; nothing where there are no names.
    """
    if code_names is None:
        return {}
    if "STR" in code_names.columns:
        code_names = _of_umls(code_names)
    if "token" not in code_names.columns:
        code_names = _by_token(code_names, {system_of(token) for token in tokens})
    asked = ibis.memtable({"token": list(tokens)}, schema={"token": "string"})
    found = code_names.semi_join(asked, "token").group_by("token").agg(name=_.name.min())
    return {row["token"]: row["name"] for row in found.to_pyarrow().to_pylist() if row["name"]}


def _of_umls(atoms: ir.Table) -> ir.Table:
    """Return ``system, code, name`` of the English atoms of UMLS: its preferred term, where a code has one."""
    english = atoms.filter(_.LAT == "ENG", _.SUPPRESS == "N")
    preferred = _.STR.min(where=_.TTY == "PT")
    named = english.group_by("SAB", "CODE").agg(name=ibis.coalesce(preferred, _.STR.min()))
    return named.select(system=_.SAB.substitute({"LNC": "LOINC"}), code="CODE", name="name")


def _by_token(vocabulary: ir.Table, wanted: Collection[str]) -> ir.Table:
    """Return ``token, name`` of the systems that are wanted: a vocabulary has millions of codes."""
    listed = vocabulary.select("system").distinct().to_pyarrow()["system"].to_pylist()
    rows = [(one, usual_name(one), token_system(one, {})) for one in listed if one]
    known = [dict(zip(SYSTEMS, row, strict=True)) for row in rows if row[-1] in wanted]
    systems = ibis.memtable(known, schema=SYSTEMS)
    codes = vocabulary.join(systems, "system").select("usual", "shown", "code", "name")
    # An id of a vocabulary may be written as a number.
    token = code_token(codes.shown, canonical_code(codes.usual, codes.code.cast("string")))
    return codes.select("name", token=token)
