"""What the simulated sites call things: families of codes, each in every vocabulary.

``data/*.csv`` name the heads: real codes, where one is well known, that stand for a disease, a drug or
a procedure. Each head has a family: itself and its ``variants`` (other sites of the body, strengths,
packages ...), made up inside the head's own category, the most used first. The hospital writes ICD10CM,
ICD9CM, NDC, RXNORM, CPT, HCPCS and LOINC, the EHRSHOT site SNOMED, RxNorm, CPT4, HCPCS and LOINC; the
miniature UMLS links them. Before October 2015 three variants share one ICD-9-CM code.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Generic, NamedTuple, TypeVar

import numpy as np

OFFICE, EMERGENCY, INPATIENT = 0, 1, 2
KINDS = ("office", "emergency", "inpatient")
SHARE_ICD9 = 3  # variants that share an ICD-9-CM code
PACKAGES = 4  # of each strength of a drug


class Diagnosis(NamedTuple):
    """One diagnosis in the vocabularies of both sites."""

    name: str
    icd10cm: str
    icd9cm: str
    snomed: str


class Drug(NamedTuple):
    """One package of a clinical drug: its RxNorm concept and its NDC, hyphenated as labelled."""

    name: str
    rxnorm: str
    ndc: str


class Procedure(NamedTuple):
    """One billed procedure: ``system`` is ``CPT`` or ``HCPCS``."""

    name: str
    system: str
    code: str


Code = TypeVar("Code", Diagnosis, Drug, Procedure)


@dataclass(frozen=True, eq=False)
class Catalogue(Generic[Code]):
    """The codes of one kind.

    Attributes:
        groups: The numbers of the heads of each condition (or other occasion), the mildest first.
        heads: The code of each head.
        codes: Every code: the family of the first head, that of the second ...
        start: Where the family of each head begins in ``codes``, and their number at the end.
    """

    groups: dict[str, np.ndarray]
    heads: tuple[Code, ...]
    codes: tuple[Code, ...]
    start: np.ndarray

    def family(self, head: int) -> tuple[Code, ...]:
        """Return the codes of a head, its own first."""
        return self.codes[self.start[head] : self.start[head + 1]]


def read(table: str) -> list[dict[str, str]]:
    """Return the rows of a table of ``data/``."""
    text = resources.files(__package__).joinpath(f"data/{table}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def weights(text: str) -> dict[str, float]:
    """Return what a cell such as ``male:0.2; adiposity:0.4`` says."""
    parts = [part.rpartition(":") for part in text.split("; ") if part]
    return {name: float(number) for name, _, number in parts}


def _diagnoses(rows: list[dict[str, str]]) -> Iterator[tuple[Diagnosis, ...]]:
    used = {row[system] for row in rows for system in ("icd10cm", "icd9cm")}
    number = 10_000
    for row in rows:
        family = [Diagnosis(row["name"], row["icd10cm"], row["icd9cm"], row["snomed"])]
        for variant in range(1, int(row["variants"]) + 1):
            shares = variant % SHARE_ICD9 != 0
            icd9cm = family[-1].icd9cm if shares else _refined(row["icd9cm"], used)
            icd10cm, number = _refined(row["icd10cm"], used), number + 1
            name = f"{row['name']}, form {variant}"
            # The form of codes that the US edition of SNOMED CT adds.
            family.append(Diagnosis(name, icd10cm, icd9cm, f"{number}1000119105"))
        yield tuple(family)


def _refined(code: str, used: set[str]) -> str:
    """Return an unused code of the category: with one digit after the dot, then with two."""
    category = code.split(".")[0]
    digits = [*map(str, range(10)), *(f"{n:02d}" for n in range(100))]
    found = next(new for new in (f"{category}.{digit}" for digit in digits) if new not in used)
    used.add(found)
    return found


def _drugs(rows: list[dict[str, str]]) -> Iterator[tuple[Drug, ...]]:
    package, strength = 0, 2_600_000
    for row in rows:
        family = [Drug(row["name"], row["rxnorm"], row["ndc"])]
        for variant in range(1, int(row["variants"]) + 1):
            name, rxnorm = family[-1].name, family[-1].rxnorm
            if variant % PACKAGES == 0:
                name, strength = f"{row['name']}, strength {variant // PACKAGES + 1}", strength + 1
                rxnorm = str(strength)
            labeler, product = 70_000 + package % 40, package // 40
            family.append(Drug(name, rxnorm, f"{labeler}-{product:03d}-{package % 90 + 10}"))
            package += 1
        yield tuple(family)


def _procedures(rows: list[dict[str, str]]) -> Iterator[tuple[Procedure, ...]]:
    used = {row["code"] for row in rows}
    for row in rows:
        family = [Procedure(row["name"], row["system"], row["code"])]
        for variant in range(1, int(row["variants"]) + 1):
            code = family[-1].code
            while code in used:
                code = re.sub(
                    r"\d+", lambda digits: f"{int(digits[0]) + 1:0{len(digits[0])}d}", code
                )
            used.add(code)
            family.append(Procedure(f"{row['name']}, form {variant}", row["system"], code))
        yield tuple(family)


def _catalogue(
    rows: list[dict[str, str]], identity: str, families: list[tuple[Code, ...]]
) -> Catalogue[Code]:
    groups: dict[str, list[int]] = {}
    number = {row[identity]: n for n, row in enumerate(_unique(rows, identity))}
    for row in rows:
        groups.setdefault(row["group"], []).append(number[row[identity]])
    return Catalogue(
        groups={name: np.array(heads) for name, heads in groups.items()},
        heads=tuple(family[0] for family in families),
        codes=tuple(code for family in families for code in family),
        start=np.cumsum([0, *map(len, families)]),
    )


def _unique(rows: list[dict[str, str]], identity: str) -> list[dict[str, str]]:
    """Return each head once: a drug or a procedure may serve several conditions."""
    return list({row[identity]: row for row in rows}.values())


_DRUGS, _PROCEDURES, _DIAGNOSES = read("drugs"), read("procedures"), read("diagnoses")
_PROCEDURES += [
    {
        "group": "panels",
        "name": panel["name"],
        "system": "CPT",
        "code": panel["cpt"],
        "variants": "6",
    }
    for panel in read("panels")
]
DIAGNOSES = _catalogue(_DIAGNOSES, "icd10cm", list(_diagnoses(_unique(_DIAGNOSES, "icd10cm"))))
DRUGS = _catalogue(_DRUGS, "rxnorm", list(_drugs(_unique(_DRUGS, "rxnorm"))))
PROCEDURES = _catalogue(_PROCEDURES, "code", list(_procedures(_unique(_PROCEDURES, "code"))))
# What a drug does to labs while it is taken, by its number.
DRUG_EFFECTS: dict[int, dict[str, float]] = {
    head: weights(row["effects"]) for head, row in enumerate(_unique(_DRUGS, "rxnorm"))
}
CHEST_XRAY = int(PROCEDURES.groups["chest x-ray"][0])
