"""What is recorded at the visits of simulated persons: diagnoses, prescriptions, procedures, labs.

Both sites share it; each then writes the facts with its own faults.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from clm_ler.simulation import habits
from clm_ler.simulation.codes import (
    CHEST_XRAY,
    DIAGNOSES,
    DRUGS,
    INPATIENT,
    KINDS,
    PROCEDURES,
    Catalogue,
)
from clm_ler.simulation.disease import YEAR, Persons, drug_choice, lab_mean, lab_value, severity
from clm_ler.simulation.disease_tables import (
    ACUTES,
    CONDITION,
    CONDITION_NAMES,
    CONDITIONS,
    LAB,
    LABS,
    PANELS,
)
from clm_ler.simulation.recognition import recognise
from clm_ler.simulation.streams import own_stream
from clm_ler.simulation.visits import (
    CONTACT,
    Admissions,
    Visits,
    care,
    draw_admissions,
    draw_visits,
)

MISSING = 0.04  # share of the results of a panel that never come


@dataclass(frozen=True)
class Facts:
    """What was recorded; one row each, in order of person, time and item.

    Attributes:
        visit: The row of ``Visits``.
        row: The person, as a row of ``Persons``.
        time: When (days, minutes as fractions).
        item: What is meant: a head of the catalogue of its kind, or a lab.
        code: What is written down: a code of the catalogue, or a lab.
        value: Of a lab result.
        mean: What the lab was expected to show, as :func:`~disease.lab_mean` gives it.
    """

    visit: np.ndarray
    row: np.ndarray
    time: np.ndarray
    item: np.ndarray
    code: np.ndarray
    value: np.ndarray
    mean: np.ndarray

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True)
class Chart:
    """What is known and what is hidden at each visit of a site; arrays are [visits, conditions]."""

    site: str
    persons: Persons
    admissions: Admissions
    visits: Visits
    known: np.ndarray
    first: np.ndarray
    severity: np.ndarray


def draw_chart(
    site: str,
    persons: Persons,
    stream: Callable[[str], np.random.Generator],
    stays: float = 1.0,
    scale: float = 1.0,
) -> Chart:
    """Draw stays, diagnoses and visits: what is known at each visit, for the first time or not.

    Args:
        site: Whose habits count.
        persons: The hidden state.
        stream: Returns the random stream of a purpose.
        stays: A factor on the rate of hospital stays.
        scale: A factor on the rate of other visits.
    """
    admissions = draw_admissions(persons, stream("stays"), stays)
    persons = recognise(persons, admissions, stream("diagnosis"))
    visits = draw_visits(persons, admissions, stream("visits"), scale)
    # Visits are timed to the minute, so the one that makes a diagnosis may seem to precede it.
    known = persons.diagnosis[visits.row] < visits.time[:, None] + 1 / 1440
    same_person = np.diff(visits.row, prepend=-1) == 0
    before = np.zeros_like(known)
    before[1:] = known[:-1]
    hidden = [severity(persons, visits.row, visits.time, i) for i in range(len(CONDITIONS))]
    return Chart(
        site=site,
        persons=persons,
        admissions=admissions,
        visits=visits,
        known=known,
        first=known & ~(before & same_person[:, None]),
        severity=np.stack(hidden, axis=1),
    )


Picks = list[tuple[np.ndarray, np.ndarray]]  # rows of visits, and items picked at them


def _collect(chart: Chart, catalogue: Catalogue, picks: Picks, rng: np.random.Generator) -> Facts:
    visit = np.concatenate([rows for rows, _ in picks])
    item = np.concatenate([items for _, items in picks])
    order = np.lexsort((item, visit))
    visit, item = visit[order], item[order]
    visits, nothing = chart.visits, np.empty(0)
    row, time = visits.row[visit], visits.time[visit]
    code = habits.write_down(catalogue, chart.site, item, visits.clinic[visit], time, row, rng)
    return Facts(visit, row, time, item, code, nothing, nothing)


def _some(chance: np.ndarray | float, rows: int, rng: np.random.Generator) -> np.ndarray:
    return np.flatnonzero(rng.random(rows) < chance)


def draw_diagnoses(chart: Chart, rng: np.random.Generator) -> Facts:
    """Draw the coded diagnoses; a condition is always coded at the first visit that knows it."""
    visits, picks = chart.visits, list[tuple[np.ndarray, np.ndarray]]()
    for index, name in enumerate(CONDITION_NAMES):
        items, first = DIAGNOSES.groups[name], chart.first[:, index]
        repeated = 0.2 * chart.known[:, index] * (visits.reason != CONTACT)
        rows = _some(np.where(first, 1.0, repeated), len(visits), rng)
        worse = rng.random(len(rows)) * chart.severity[rows, index] / 2 * len(items)
        pick = np.where(first[rows], 0, np.minimum(worse.astype(int), len(items) - 1))
        picks.append((rows, items[pick]))
        sign = DIAGNOSES.groups.get(f"sign of {name}")
        if sign is not None:
            # Most who have a sign do not have the disease.
            unnamed = np.where(chart.known[:, index], 0, chart.severity[:, index])
            rows = _some(0.02 + 0.1 * unnamed * (visits.reason != CONTACT), len(visits), rng)
            picks.append((rows, np.full(len(rows), sign[0])))
    picks += _acute_picks(visits, DIAGNOSES.groups, 0.4, rng)
    for number, item in enumerate(DIAGNOSES.groups["admission"]):
        chance = expit(1.6 * (visits.acuity - 0.45 * number) - 1.2)
        rows = _some(np.where(visits.kind == INPATIENT, chance, 0), len(visits), rng)
        picks.append((rows, np.full(len(rows), item)))
    picks.append(_background(visits, DIAGNOSES.groups["background"], 0.5, rng))
    return _collect(chart, DIAGNOSES, picks, rng)


def _acute_picks(
    visits: Visits, groups: Mapping[str, np.ndarray], chance: float, rng: np.random.Generator
) -> Picks:
    """Return the items of the acute illness of a visit: the first nearly always, others at times."""
    picks = []
    for number, acute in enumerate(ACUTES):
        reason = np.flatnonzero(visits.reason == number)
        for position, item in enumerate(groups.get(acute.name, ())):
            rows = reason[_some(0.9 if position == 0 else chance, len(reason), rng)]
            picks.append((rows, np.full(len(rows), item)))
    return picks


def _background(
    visits: Visits, items: np.ndarray, mean: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return everyday items, the first of the list most often; each person tends to a few."""
    rows = np.repeat(np.arange(len(visits)), rng.poisson(mean, len(visits)))
    weights = 1 / np.arange(2, len(items) + 2)
    weights /= weights.sum()
    habits = rng.choice(len(items), (visits.row.max() + 1, 3), p=weights)
    habitual = habits[visits.row[rows], rng.integers(0, 3, len(rows))]
    other = rng.choice(len(items), len(rows), p=weights)
    return rows, items[np.where(rng.random(len(rows)) < 0.6, habitual, other)]


def draw_prescriptions(chart: Chart, rng: np.random.Generator) -> Facts:
    """Draw the prescriptions: most follow the diagnosis, and they grow with severity."""
    visits, picks = chart.visits, list[tuple[np.ndarray, np.ndarray]]()
    for index, name in enumerate(CONDITION_NAMES):
        items = DRUGS.groups.get(name)
        if items is None:
            continue
        # Some are treated before anybody has named the disease.
        unnamed = np.maximum(chart.severity[:, index] - 0.6, 0) * 0.12
        chance = np.where(chart.known[:, index], 0.2, unnamed) * (visits.reason != CONTACT)
        for repeat in range(2):
            rows = _some(chance / (1 + repeat), len(visits), rng)
            choice = drug_choice(
                chart.persons, visits.row[rows], visits.time[rows], index, len(items)
            )
            picks.append((rows, items[np.minimum(choice + repeat, len(items) - 1)]))
    picks += _acute_picks(visits, DRUGS.groups, 0.5, rng)
    picks.append(_background(visits, DRUGS.groups["background"], 0.15, rng))
    return _collect(chart, DRUGS, picks, rng)


@dataclass(frozen=True)
class Draws:
    """Blood draws: the visit, the time, the panel, and how ill the person is."""

    visit: np.ndarray
    time: np.ndarray
    panel: np.ndarray
    acuity: np.ndarray


def draw_panels(chart: Chart, rng: np.random.Generator) -> Draws:
    """Draw which panels are ordered: at visits by what is known or suspected, in hospital daily."""
    visits = chart.visits
    nights = np.where(visits.kind == INPATIENT, visits.discharge - visits.time, 0)
    days = np.minimum(nights.astype(int), 10) + 1
    visit = np.repeat(np.arange(len(visits)), days)
    day = np.arange(len(visit)) - np.repeat(np.cumsum(days) - days, days)
    morning = np.floor(visits.time[visit]) + day + rng.integers(5 * 60, 9 * 60, len(visit)) / 1440
    arrival = visits.time[visit] + rng.integers(5, 45, len(visit)) / 1440
    time = np.where(day > 0, np.minimum(morning, visits.discharge[visit]), arrival)
    found = [
        (drawn, np.full(len(drawn), number))
        for number in range(len(PANELS))
        for drawn in [_some(_panel_chance(chart, number)[visit], len(visit), rng)]
    ]
    drawn, panel = (np.concatenate(columns) for columns in zip(*found, strict=True))
    order = np.lexsort((panel, drawn))
    drawn, panel = drawn[order], panel[order]
    fading = visits.acuity[visit] * 0.85**day
    return Draws(visit[drawn], np.floor(time[drawn] * 1440) / 1440, panel, fading[drawn])


def _panel_chance(chart: Chart, number: int) -> np.ndarray:
    """Return the chance of a panel at each visit (each day of a stay)."""
    panel, visits = PANELS[number], chart.visits
    age = (visits.time - chart.persons.birth[visits.row]) / YEAR
    chance = np.where(age < 18, 0.3, 1.0) * panel.base
    for name, weight in panel.known.items():
        chance = chance + weight * chart.known[:, CONDITION[name]]
    for name, weight in panel.suspected.items():
        unnamed = ~chart.known[:, CONDITION[name]]
        chance = chance + weight * unnamed * chart.severity[:, CONDITION[name]]
    if panel.labs == ("PSA",):
        chance = chance * chart.persons.factors["male"][visits.row] * (age > 45)
    # The more ill a person, the more is tested.
    ward = np.array([0.0, 0.5, 1.0])[visits.kind] * panel.inpatient * (0.3 + 0.45 * visits.acuity)
    # Labs are ordered for those who are ill or ask for them, and by the custom of the clinic.
    custom = own_stream(chart.site, "panels", number).standard_normal(habits.CLINICS)
    chance = (
        chance * np.exp(0.5 * custom[visits.clinic] - 0.125) * care(chart.persons, 0.3)[visits.row]
    )
    chance = chance * np.where(visits.reason >= 0, 1.0, 0.7) * (visits.reason != CONTACT)
    return np.where(visits.kind == INPATIENT, ward, np.maximum(chance, ward))


def draw_procedures(chart: Chart, draws: Draws, rng: np.random.Generator) -> Facts:
    """Draw the billed procedures: the visit itself, the panels drawn, what a condition brings."""
    visits, picks = chart.visits, list[tuple[np.ndarray, np.ndarray]]()
    for kind in range(len(KINDS)):
        rows, items = np.flatnonzero(visits.kind == kind), PROCEDURES.groups[KINDS[kind]]
        picks.append((rows, rng.choice(items, len(rows))))
    billed = _some(0.4, len(draws.visit), rng)
    picks.append((draws.visit[billed], PROCEDURES.groups["panels"][draws.panel[billed]]))
    for index, name in enumerate(CONDITION_NAMES):
        for item in PROCEDURES.groups.get(name, ()):
            rows = _some(0.04 * chart.known[:, index], len(visits), rng)
            picks.append((rows, np.full(len(rows), item)))
    picks += _acute_picks(visits, PROCEDURES.groups, 0.5, rng)
    lungs = np.isin(visits.reason, [0, 1]) * 0.3 + (visits.kind == INPATIENT) * 0.5
    rows = _some(lungs, len(visits), rng)
    picks.append((rows, np.full(len(rows), CHEST_XRAY)))
    picks.append(_background(visits, PROCEDURES.groups["background"], 0.15, rng))
    return _collect(chart, PROCEDURES, picks, rng)


def draw_labs(chart: Chart, draws: Draws, rng: np.random.Generator) -> Facts:
    """Draw the results of the panels; ``item`` is an index into ``LABS``."""
    found = []
    for number, panel in enumerate(PANELS):
        drawn = np.flatnonzero(draws.panel == number)
        row = chart.visits.row[draws.visit[drawn]]
        for name in panel.labs:
            lab = LABS[LAB[name]]
            mean = lab_mean(chart.persons, row, draws.time[drawn], draws.acuity[drawn], lab)
            value = lab_value(mean, rng.standard_normal(len(drawn)), lab)
            kept = rng.random(len(drawn)) > MISSING
            columns = (drawn, row, np.full(len(drawn), LAB[name]), value, mean)
            found.append(tuple(column[kept] for column in columns))
    drawn, row, item, value, mean = (
        np.concatenate(columns) for columns in zip(*found, strict=True)
    )
    order = np.lexsort((item, drawn))
    drawn, item = drawn[order], item[order]
    visit, time = draws.visit[drawn], draws.time[drawn]
    return Facts(visit, row[order], time, item, item, value[order], mean[order])
