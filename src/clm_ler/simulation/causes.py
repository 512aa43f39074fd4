"""What drives the outcomes of the simulated hospital, as tokens; and what codes are called.

A condition is driven by the conditions that it comes after, by latent factors, and shows before it is
named: so its causes are their codes, and the labs that it, they or the factors shift; gender and age,
too, and the panels that are drawn when somebody suspects it.
"""

from collections.abc import Iterator

import pyarrow as pa

from clm_ler.simulation import codes
from clm_ler.simulation.disease_tables import CONDITION, CONDITIONS, LABS, PANELS
from clm_ler.simulation.texts import ndc_digits
from clm_ler.tokens import AGE, OLDEST_AGE, code_token

CONDITION_OF = {"diabetes_1y": "diabetes", "ckd_stage": "ckd"}
CAUSES = pa.schema([("task", pa.string()), ("token", pa.string())])
NAMES = pa.schema([("token", pa.string()), ("name", pa.string())])


def causes() -> pa.Table:
    """Return ``task, token`` of what drives each outcome that is a condition."""
    rows = [
        {"task": task, "token": token}
        for task, condition in CONDITION_OF.items()
        for token in sorted({*_causes(condition)})
    ]
    return pa.Table.from_pylist(rows, schema=CAUSES)


def _causes(name: str) -> Iterator[str]:
    condition = CONDITIONS[CONDITION[name]]
    # Earlier conditions, and theirs.
    before = {
        *condition.after,
        *(e for c in condition.after for e in CONDITIONS[CONDITION[c]].after),
    }
    moving = before | {name} | {*condition.factors}
    for lab in LABS:
        if moving & {*lab.effects}:
            yield code_token("LOINC", lab.loinc)
    for panel in PANELS:
        if name in panel.suspected:
            yield code_token("CPT", panel.cpt)
    for cause in before:
        yield from (token for token, _ in _named(codes.DIAGNOSES, cause))
        yield from (token for token, _ in _named(codes.DRUGS, cause))
        yield from (token for token, _ in _named(codes.PROCEDURES, cause))
    yield from (code_token(AGE, str(age)) for age in range(OLDEST_AGE + 1))
    if "male" in condition.factors:
        yield from (code_token("GENDER", gender) for gender in ("F", "M"))


def code_names() -> pa.Table:
    """Return ``token, name`` of every code that the hospital uses."""
    found = dict(
        pair
        for catalogue in (codes.DIAGNOSES, codes.DRUGS, codes.PROCEDURES)
        for group in catalogue.groups
        for pair in _named(catalogue, group)
    )
    found |= {code_token("LOINC", lab.loinc): lab.name for lab in LABS}
    rows = [{"token": token, "name": found[token]} for token in sorted(found)]
    return pa.Table.from_pylist(rows, schema=NAMES)


def _named(catalogue: codes.Catalogue, group: str) -> Iterator[tuple[str, str]]:
    """Yield token and name of each code of a group, in every vocabulary of the hospital."""
    for head in catalogue.groups.get(group, ()):
        for code in catalogue.family(int(head)):
            for token in _tokens(code):
                yield token, code.name


def _tokens(code: codes.Diagnosis | codes.Drug | codes.Procedure) -> list[str]:
    if isinstance(code, codes.Diagnosis):
        return [code_token("ICD10CM", code.icd10cm), code_token("ICD9CM", code.icd9cm)]
    if isinstance(code, codes.Procedure):
        return [code_token(code.system, code.code)]
    product = ndc_digits(code.ndc)[:9]
    return [code_token("RXNORM", code.rxnorm), code_token("NDC", product)]
