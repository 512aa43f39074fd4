"""What happens to simulated persons: admissions, visits, and the facts recorded at them.

Both sites share it; each then writes the facts in its own codes and with its own faults. Every
random choice comes from a stream named after (seed, site, chunk, purpose), so that each table of a
chunk can be made alone and none depends on how many chunks there are.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from clm_ler.simulation import habits
from clm_ler.simulation.codes import (
    CHEST_XRAY,
    DIAGNOSES,
    DRUGS,
    EMERGENCY,
    INPATIENT,
    KINDS,
    OFFICE,
    PROCEDURES,
    Catalogue,
)
from clm_ler.simulation.disease import (
    ACUTE,
    ACUTES,
    CONDITION,
    CONDITION_NAMES,
    CONDITIONS,
    LAB,
    LABS,
    PANELS,
    YEAR,
    Persons,
    drug_choice,
    lab_mean,
    lab_value,
    severity,
)

LONG_STAY = 7.0  # days
LENGTH_SD = 0.55  # of the logarithm of the length of stay
STEP = 90.0  # days for which an admission rate is held constant
AHEAD = 180.0  # days ahead of which a disease already weighs: a fast one more than its level says
HEAVIEST = 1.6  # what all diseases together add to the log rate of admission at most
RECENT, FADING = (
    2.0,
    60.0,
)  # by how much a discharge raises the admission rate, and for how many days
# The log odds of readmission, by what the LACE index counts (van Walraven et al., CMAJ 2010, 182:551):
# length of stay, acuity, illness, and hospital use before.
READMISSION = {"bias": -3.95, "long": 0.4, "acuity": 0.45, "frailty": 0.7, "recent": 1.2}
MISSING = 0.04  # share of the results of a panel that never come
CONTACT = -2  # the reason of a visit at which nothing new is learnt


def stream(seed: int, chunk: int, purpose: str) -> np.random.Generator:
    """Return the random stream of a chunk for one purpose."""
    return np.random.default_rng([seed, chunk, zlib.crc32(purpose.encode())])


@dataclass(frozen=True)
class Admissions:
    """Hospital stays; one row each, in order of person and time.

    Attributes:
        row: The person, as a row of ``Persons``.
        time: Of admission (days, minutes as fractions).
        discharge: Later than midnight of the admission day.
        acuity: How ill, in standard deviations.
        icu: Time of transfer to intensive care; NaN for none.
        long_stay, icu_transfer, readmission: Probabilities given the hidden state.
        readmitted: Whether the next stay begins within 30 days.
    """

    row: np.ndarray
    time: np.ndarray
    discharge: np.ndarray
    acuity: np.ndarray
    icu: np.ndarray
    long_stay: np.ndarray
    icu_transfer: np.ndarray
    readmission: np.ndarray
    readmitted: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: np.ndarray) -> "Admissions":
        """Return the chosen stays."""
        return Admissions(**{name: values[index] for name, values in vars(self).items()})


def admission_rate(persons: Persons, row: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return hospital admissions per year, long after the last, given the hidden state at a time.

    A disease weighs by what it will be in half a year, so that one that grows fast weighs more.
    """
    age = (time - persons.birth[row]) / YEAR
    burden = np.zeros(len(row))
    for index, condition in enumerate(CONDITIONS):
        if condition.admission:
            burden += condition.admission * severity(persons, row, time + AHEAD, index)
    log_rate = 0.4 * persons.factors["frailty"][row] + 0.015 * (age - 55)
    return 0.03 * np.exp(log_rate + HEAVIEST * np.tanh(burden / HEAVIEST))


def year_of_admissions(rate: np.ndarray, since: np.ndarray) -> np.ndarray:
    """Return the admissions expected in a year: the rate, raised for a while after a discharge.

    Args:
        rate: Admissions per year long after the last.
        since: Days since the last discharge; infinite for none.
    """
    raised = RECENT * np.exp(-since / FADING) * FADING / YEAR * -np.expm1(-YEAR / FADING)
    return rate * (1 + raised)


def draw_admissions(persons: Persons, rng: np.random.Generator, scale: float = 1.0) -> Admissions:
    """Draw every hospital stay.

    A stay is followed by another within 2 to 29 days with its readmission probability; otherwise
    the next comes on the 31st day at the earliest, at the admission rate, which is held for 90
    days at a time and fades after a discharge. New stays end 60 days before the end of
    observation, so that each outcome is seen.

    Args:
        persons: The hidden state.
        rng: Its random stream.
        scale: A factor on the rate.
    """
    clock, last = persons.start.copy(), persons.end - 60
    pending, discharged = np.full(len(persons), np.nan), np.full(len(persons), -np.inf)
    stays: list[Admissions] = []
    while len(row := np.flatnonzero((clock < last) | ~np.isnan(pending))):
        rate = scale * admission_rate(persons, row, clock[row]) / YEAR
        rate = rate * (1 + RECENT * np.exp((discharged[row] - clock[row]) / FADING))
        gap = rng.exponential(size=len(row)) / rate
        again = ~np.isnan(pending[row])
        time = np.where(again, pending[row], clock[row] + gap)
        clock[row] += STEP
        admitted = again | ((gap < STEP) & (time < last[row]))
        row, time = row[admitted], time[admitted]
        stay = _stays(persons, row, time, time - discharged[row], rng)
        discharged[row] = stay.discharge
        clock[row] = np.floor(stay.discharge) + 31
        back = np.floor(stay.discharge) + rng.uniform(2, 29, len(stay))
        pending[:] = np.nan
        pending[row] = np.where(stay.readmitted, back, np.nan)
        stays.append(stay)
    together = Admissions(
        **{name: np.concatenate([getattr(s, name) for s in stays]) for name in vars(stays[0])}
    )
    return together.take(np.lexsort((together.time, together.row)))


def _stays(
    persons: Persons,
    row: np.ndarray,
    time: np.ndarray,
    since: np.ndarray,
    rng: np.random.Generator,
) -> Admissions:
    """Draw the course of stays that begin ``since`` days after the discharge before."""
    frailty = persons.factors["frailty"][row]
    time = np.floor(time) + rng.integers(6 * 60, 21 * 60, len(row)) / 1440
    acuity = 0.35 * frailty + rng.gamma(1.5, 0.9, len(row))
    center = 0.68 + 0.45 * acuity
    long_stay = ndtr((center - np.log(LONG_STAY - 1)) / LENGTH_SD)
    length = 1 + np.minimum(rng.lognormal(center, LENGTH_SD), 40)
    discharge = np.floor((time + length) * 1440) / 1440
    icu_transfer = expit(-5.9 + 1.2 * acuity)
    midnight = np.floor(time) + 1
    icu = midnight + rng.uniform(0.01, 0.99, len(row)) * (discharge - midnight)
    weight = READMISSION
    readmission = expit(
        weight["bias"]
        + weight["long"] * (length > 5)
        + weight["acuity"] * acuity
        + weight["frailty"] * frailty
        + weight["recent"] * np.exp(-since / (2 * FADING))
    )
    return Admissions(
        row=row,
        time=time,
        discharge=discharge,
        acuity=acuity,
        icu=np.where(rng.random(len(row)) < icu_transfer, np.floor(icu * 1440) / 1440, np.nan),
        long_stay=long_stay,
        icu_transfer=icu_transfer,
        readmission=readmission,
        readmitted=rng.random(len(row)) < readmission,
    )


@dataclass(frozen=True)
class Visits:
    """Contacts with the hospital; one row each, in order of person and time.

    Attributes:
        row: The person, as a row of ``Persons``.
        time: Its beginning (days, minutes as fractions).
        discharge: Its end.
        kind: ``OFFICE``, ``EMERGENCY`` or ``INPATIENT``.
        clinic: Where: a person's usual clinic, most often; 0 is the emergency room, 1 the ward.
        reason: The number of the acute illness that led to it, -1 for none, or ``CONTACT``.
        acuity: Of a hospital stay; 0 elsewhere.
        stay: The row of ``Admissions``, or -1.
    """

    row: np.ndarray
    time: np.ndarray
    discharge: np.ndarray
    kind: np.ndarray
    clinic: np.ndarray
    reason: np.ndarray
    acuity: np.ndarray
    stay: np.ndarray

    def __len__(self) -> int:
        return len(self.row)


def draw_visits(
    persons: Persons, admissions: Admissions, rng: np.random.Generator, scale: float = 1.0
) -> Visits:
    """Draw every visit: routine, follow-up, diagnosis, acute illness, contacts, the hospital stays."""
    parts = [_routine(persons, rng, scale), _contacts(persons, rng, scale)]
    parts += [_follow_up(persons, rng, scale), _recognised(persons, rng)]
    parts.append(_acute(persons, rng, scale))
    parts.append(_returns(persons, parts[0], rng))
    row, time, kind, reason = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    time = np.floor(time * 1440) / 1440
    usual = rng.integers(2, habits.CLINICS, len(persons))
    elsewhere = rng.integers(2, habits.CLINICS, len(row))
    clinic = np.where(rng.random(len(row)) < 0.75, usual[row], elsewhere)
    outside = np.full(len(row), -1)
    visits = Visits(
        row=np.concatenate([row, admissions.row]),
        time=np.concatenate([time, admissions.time]),
        discharge=np.concatenate([time + 20 / 1440, admissions.discharge]),
        kind=np.concatenate([kind, np.full(len(admissions), INPATIENT)]),
        clinic=np.concatenate(
            [np.where(kind == EMERGENCY, 0, clinic), np.ones(len(admissions), int)]
        ),
        reason=np.concatenate([reason, np.full(len(admissions), -1)]),
        acuity=np.concatenate([np.zeros(len(row)), admissions.acuity]),
        stay=np.concatenate([outside, np.arange(len(admissions))]),
    )
    order = np.lexsort((visits.stay, visits.reason, visits.time, visits.row))
    return Visits(**{name: values[order] for name, values in vars(visits).items()})


Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _poisson(
    rate: np.ndarray, start: np.ndarray, end: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and times of points with a yearly rate between start and end, by office hours."""
    length = np.maximum(end - start, 0)
    row = np.repeat(np.arange(len(rate)), rng.poisson(rate * length / YEAR))
    day = np.floor(start[row] + rng.random(len(row)) * length[row])
    return row, day + rng.integers(8 * 60, 17 * 60, len(row)) / 1440


def _office(row: np.ndarray, time: np.ndarray, reason: int = -1) -> Part:
    return row, time, np.full(len(row), OFFICE), np.full(len(row), reason)


def _care(persons: Persons, strength: float) -> np.ndarray:
    """Return how much more than the mean each person seeks care: 1 in the mean of all persons."""
    return np.exp(strength * persons.factors["care"] - strength**2 / 2)


def _routine(persons: Persons, rng: np.random.Generator, scale: float) -> Part:
    age = (persons.start - persons.birth) / YEAR
    rate = scale * 0.36 * np.exp(0.25 * persons.factors["frailty"] + 0.008 * (age - 45))
    row, time = _poisson(rate * _care(persons, 1.35), persons.start, persons.end, rng)
    # Everybody who is in the records came at least once.
    everybody = np.arange(len(persons))
    return _office(np.append(row, everybody), np.append(time, np.floor(persons.start) + 9.5 / 24))


def _contacts(persons: Persons, rng: np.random.Generator, scale: float) -> Part:
    """Return what says nothing of an illness: calls, forms, vaccinations."""
    rate = scale * 0.8 * _care(persons, 1.35)
    return _office(*_poisson(rate, persons.start, persons.end, rng), CONTACT)


def _returns(persons: Persons, visits: Part, rng: np.random.Generator) -> Part:
    """Return visits that an earlier one asked for, most often within weeks."""
    asked = np.flatnonzero(rng.random(len(visits[0])) < 0.25)
    row, time = visits[0][asked], np.floor(visits[1][asked] + 2 + rng.exponential(25, len(asked)))
    time = time + rng.integers(8 * 60, 17 * 60, len(asked)) / 1440
    seen = time < persons.end[row]
    return _office(row[seen], time[seen])


def _follow_up(persons: Persons, rng: np.random.Generator, scale: float) -> Part:
    rows, times = [], []
    for index, condition in enumerate(CONDITIONS):
        since = np.maximum(persons.diagnosis[:, index], persons.start)
        since = np.minimum(since, persons.end)
        rate = 0.17 * scale * condition.visits * _care(persons, 1.35)
        row, time = _poisson(rate, since, persons.end, rng)
        late = time > persons.diagnosis[row, index]
        rows.append(row[late])
        times.append(time[late])
    return _office(np.concatenate(rows), np.concatenate(times))


def _recognised(persons: Persons, rng: np.random.Generator) -> Part:
    seen = (persons.diagnosis >= persons.start[:, None]) & (
        persons.diagnosis < persons.end[:, None]
    )
    row, condition = np.nonzero(seen)
    return _office(row, persons.diagnosis[row, condition])


def _acute(persons: Persons, rng: np.random.Generator, scale: float) -> Part:
    """Return the short illnesses, and those that follow them within weeks."""
    rows: list[np.ndarray] = []
    times, numbers = list[np.ndarray](), list[np.ndarray]()
    for number, acute in enumerate(ACUTES):
        log_rate = np.log(_care(persons, 0.8))
        for name, weight in acute.factors.items():
            log_rate = log_rate + weight * persons.factors[name]
        for name, ratio in acute.known.items():
            log_rate = log_rate + np.log(ratio) * (
                persons.onset[:, CONDITION[name]] < persons.start
            )
        rate = scale * acute.rate * np.exp(log_rate)
        row, time = _poisson(rate, persons.start, persons.end, rng)
        rows, times = [*rows, row], [*times, time]
        numbers.append(np.full(len(row), number))
        for name, chance in acute.then.items():
            after = rng.random(len(row)) < chance
            later = time + 3 + rng.exponential(30, len(row))
            after &= later < persons.end[row]
            rows, times = [*rows, row[after]], [*times, later[after]]
            numbers.append(np.full(after.sum(), ACUTE[name]))
    row, time, reason = (np.concatenate(parts) for parts in (rows, times, numbers))
    urgent = np.array([acute.emergency for acute in ACUTES])[reason]
    return row, time, np.where(rng.random(len(row)) < urgent, EMERGENCY, OFFICE), reason


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
    visits: Visits
    known: np.ndarray
    first: np.ndarray
    severity: np.ndarray


def read_chart(site: str, persons: Persons, visits: Visits) -> Chart:
    """Return which conditions are known at each visit, for the first time or not, and how severe."""
    # Visits are timed to the minute, so the one that makes a diagnosis may seem to precede it.
    known = persons.diagnosis[visits.row] < visits.time[:, None] + 1 / 1440
    same_person = np.diff(visits.row, prepend=-1) == 0
    before = np.zeros_like(known)
    before[1:] = known[:-1]
    hidden = [severity(persons, visits.row, visits.time, i) for i in range(len(CONDITIONS))]
    return Chart(
        site=site,
        persons=persons,
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
    """Blood draws: the visit, the day of the stay, the time, the panel, and how ill the person is."""

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
    custom = habits.own_stream(chart.site, "panels", number).standard_normal(habits.CLINICS)
    chance = (
        chance * np.exp(0.5 * custom[visits.clinic] - 0.125) * _care(chart.persons, 0.3)[visits.row]
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
