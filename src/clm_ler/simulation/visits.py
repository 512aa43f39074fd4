"""When simulated persons are seen: hospital stays and visits. Both sites share it."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr

from clm_ler.simulation.codes import EMERGENCY, INPATIENT, OFFICE
from clm_ler.simulation.disease import YEAR, Persons, untreated
from clm_ler.simulation.disease_tables import ACUTE, ACUTES, CONDITION, CONDITIONS
from clm_ler.simulation.habits import CLINICS

LONG_STAY = 7.0  # days
LENGTH_SD = 0.55  # of the logarithm of the length of stay
STEP = 90.0  # days for which an admission rate is held constant
AHEAD = 180.0  # days ahead of which a disease already weighs: a fast one more than its level says
HEAVIEST = 1.6  # what all diseases together add to the log rate of admission at most
RECENT, FADING = 2.0, 60.0  # how much a discharge adds to the admission rate, and for how many days
# The log odds of readmission, by what the LACE index counts (van Walraven et al., CMAJ 2010, 182:551):
# length of stay, acuity, illness, and hospital use before.
READMISSION = {"bias": -3.95, "long": 0.4, "acuity": 0.45, "frailty": 0.7, "recent": 1.2}
CONTACT = -2  # the reason of a visit at which nothing new is learnt


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

    A disease weighs by what it will be in half a year without treatment, so that one that grows
    fast weighs more.
    """
    age = (time - persons.birth[row]) / YEAR
    burden = np.zeros(len(row))
    for index, condition in enumerate(CONDITIONS):
        if condition.admission:
            burden += condition.admission * untreated(persons, row, time + AHEAD, index)
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
    usual = rng.integers(2, CLINICS, len(persons))
    elsewhere = rng.integers(2, CLINICS, len(row))
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


def care(persons: Persons, strength: float) -> np.ndarray:
    """Return how much more than the mean each person seeks care: 1 in the mean of all persons."""
    return np.exp(strength * persons.factors["care"] - strength**2 / 2)


def _routine(persons: Persons, rng: np.random.Generator, scale: float) -> Part:
    age = (persons.start - persons.birth) / YEAR
    rate = scale * 0.36 * np.exp(0.25 * persons.factors["frailty"] + 0.008 * (age - 45))
    row, time = _poisson(rate * care(persons, 1.35), persons.start, persons.end, rng)
    # Everybody who is in the records came at least once.
    everybody = np.arange(len(persons))
    return _office(np.append(row, everybody), np.append(time, np.floor(persons.start) + 9.5 / 24))


def _contacts(persons: Persons, rng: np.random.Generator, scale: float) -> Part:
    """Return what says nothing of an illness: calls, forms, vaccinations."""
    rate = scale * 0.8 * care(persons, 1.35)
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
        rate = 0.17 * scale * condition.visits * care(persons, 1.35)
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
        log_rate = np.log(care(persons, 0.8))
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
