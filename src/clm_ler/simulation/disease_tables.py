"""The figures of the disease model: conditions, labs, panels and short illnesses of ``data/*.csv``.

A table has a column for each attribute of its class. The spread of labs between and within healthy
persons follows the published biological variation (Ricos et al., Scand J Clin Lab Invest 1999,
59:491, as updated 2014).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clm_ler.simulation.codes import DRUG_EFFECTS, DRUGS, read, weights


@dataclass(frozen=True)
class Condition:
    """A chronic condition.

    Attributes:
        rate: Onsets per person-year at ages well above ``age`` for an average person.
        age: The age (years) at which half that rate is reached.
        spread: How sharply the rate rises around ``age`` (years).
        years: Median years from onset to overt disease.
        recognition: Diagnoses per year when severity is far above ``recognised_at``.
        recognised_at: The severity at which half the recognition rate is reached.
        visits: Follow-up visits per year after diagnosis.
        admission: How much a severity of 1 adds to the log rate of hospital admission.
        factors: Log hazard ratios of the latent factors.
        after: Hazard ratios once another condition, listed before this one, has begun.
    """

    name: str
    rate: float
    age: float
    spread: float
    years: float
    recognition: float
    recognised_at: float
    visits: float
    admission: float
    factors: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True)
class Lab:
    """A laboratory test, in its base unit.

    Attributes:
        mean: Of a healthy woman.
        person: Standard deviation between healthy persons.
        noise: Standard deviation between two tests of one person.
        decimals: Of the reported value.
        male: Added for men.
        acuity: Shift per unit of acuity of a hospital stay.
        log: The figures are those of the natural logarithm of the value.
        effects: Shift per unit of severity of a condition, or of a latent factor.
    """

    name: str
    loinc: str
    unit: str
    mean: float
    person: float
    noise: float
    decimals: int
    male: float
    acuity: float
    log: bool
    effects: Mapping[str, float]


@dataclass(frozen=True)
class Panel:
    """Labs that are drawn together.

    Attributes:
        cpt: The billed procedure.
        base: Chance to be drawn at an adult's office visit.
        inpatient: Chance to be drawn on a day in hospital.
        known: Added once a condition is diagnosed.
        suspected: Added for each unit of severity of a condition that nobody has named yet.
    """

    name: str
    cpt: str
    labs: tuple[str, ...]
    base: float
    inpatient: float
    known: Mapping[str, float]
    suspected: Mapping[str, float]


@dataclass(frozen=True)
class Acute:
    """A short illness.

    Attributes:
        rate: Per person-year.
        emergency: The share that is seen as an emergency.
        factors: Log hazard ratios of the latent factors.
        known: Hazard ratios of conditions.
        then: The chance that a short illness (this one again, or another) follows within weeks.
    """

    name: str
    rate: float
    emergency: float
    factors: Mapping[str, float]
    known: Mapping[str, float]
    then: Mapping[str, float]


def _rows(table: str, words: set[str], maps: set[str], whole: set[str]) -> list[dict]:
    """Return the rows of a table with the columns that are not ``words`` as what they mean."""

    def value(column: str, text: str) -> object:
        if column in words:
            return text
        if column in maps:
            return weights(text)
        return int(text) if column in whole else float(text)

    return [{name: value(name, text) for name, text in row.items()} for row in read(table)]


NAMED, HAZARDS = {"name", "cpt", "loinc", "unit", "labs"}, {"factors", "after", "known", "then"}
CONDITIONS = tuple(Condition(**row) for row in _rows("conditions", NAMED, HAZARDS, set()))
CONDITION_NAMES: tuple[str, ...] = tuple(condition.name for condition in CONDITIONS)
CONDITION: dict[str, int] = {name: index for index, name in enumerate(CONDITION_NAMES)}
LABS = tuple(Lab(**row) for row in _rows("labs", NAMED, {"effects"}, {"decimals", "log"}))
LAB: dict[str, int] = {lab.name: index for index, lab in enumerate(LABS)}
PANELS = tuple(
    Panel(**row | {"labs": tuple(row["labs"].split("; "))})
    for row in _rows("panels", NAMED, {"known", "suspected"}, set())
)
PANEL: dict[str, int] = {panel.name: index for index, panel in enumerate(PANELS)}
ACUTES = tuple(Acute(**row) for row in _rows("acutes", NAMED, HAZARDS, set()))
ACUTE: dict[str, int] = {acute.name: index for index, acute in enumerate(ACUTES)}
# By lab: the conditions whose drugs shift it, with the shift by each drug of the condition.
TREATMENTS: dict[str, dict[int, np.ndarray]] = {
    lab.name: {
        CONDITION[name]: shifts
        for name, heads in DRUGS.groups.items()
        if name in CONDITION
        and (shifts := np.array([DRUG_EFFECTS[h].get(lab.name, 0.0) for h in heads])).any()
    }
    for lab in LABS
}
