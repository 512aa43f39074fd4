"""The disease model that both simulated sites share: how conditions unfold, and what labs show.

A condition begins unseen (``onset``), grows (``severity`` rises linearly from 0; 1 is overt
disease), shows in the labs, and is at some point recognised (``diagnosis``, see ``recognition.py``).
Times are days since 1970-01-01 (float).

What differs between persons: how fast a disease grows, so that a trend says more than a level; how
soon they see a doctor (the factor ``care``); which drug they take, and drugs shift labs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from clm_ler.simulation.disease_tables import CONDITION, CONDITIONS, LAB, LABS, TREATMENTS, Lab

YEAR = 365.25
MAX_SEVERITY = 2.0
FACTORS = ("male", "smoking", "adiposity", "frailty", "autoimmunity", "care")
PACE = 0.6  # standard deviation of the logarithm of how fast a condition grows
STEADY = 0.8  # the fixed part of a person's lab level
WANDERING = 0.85  # the amplitude of a slow wave in it


@dataclass(frozen=True)
class Persons:
    """The hidden state of n persons; every array has n rows.

    Attributes:
        person_id: Increasing, with gaps.
        birth: Day of birth, with its minute as the fraction.
        start, end: The days between which the person is seen.
        factors: The latent factors by name.
        race, ethnicity, region: Indexes into the tables of the sites.
        onset: Day a condition begins, [n, conditions]; infinite where it never does.
        pace: Severity gained per year after onset, [n, conditions].
        diagnosis: Day a condition is recognised, [n, conditions]; infinite where never.
        liking: Which drugs of a condition the person is given, [n, conditions], from 0 to 1.
        lab_level: The person's own deviation of each lab, [n, labs], in standard deviations.
        lab_phase: Where in its slow wave each lab is on day 0, [n, labs], in radians.
        lab_period: How long such a wave takes, [n, labs], in days.
    """

    person_id: np.ndarray
    birth: np.ndarray
    start: np.ndarray
    end: np.ndarray
    factors: dict[str, np.ndarray]
    race: np.ndarray
    ethnicity: np.ndarray
    region: np.ndarray
    onset: np.ndarray
    pace: np.ndarray
    diagnosis: np.ndarray
    liking: np.ndarray
    lab_level: np.ndarray
    lab_phase: np.ndarray
    lab_period: np.ndarray

    def __len__(self) -> int:
        return len(self.person_id)


def onset_ages(
    factors: dict[str, np.ndarray], referrals: Mapping[str, "Referral"], rng: np.random.Generator
) -> np.ndarray:
    """Draw the age (years) at which each condition begins, [n, conditions]; infinite for never.

    The hazard of a condition is constant within a year of age; an onset is where the cumulative
    hazard passes an exponential draw.
    """
    n, ages = len(factors["male"]), np.arange(101.0)
    onset_age = np.full((n, len(CONDITIONS)), np.inf)
    for index, condition in enumerate(CONDITIONS):
        risk = sum((weight * factors[name] for name, weight in condition.factors.items()), 0.0)
        hazard = np.exp(risk + np.zeros(n))[:, None] * (
            condition.rate * expit((ages[:-1] - condition.age) / condition.spread)
        )
        if condition.name in referrals:
            hazard *= referrals[condition.name].frequency
        for name, ratio in condition.after.items():
            hazard *= np.where(onset_age[:, [CONDITION[name]]] < ages[:-1], ratio, 1.0)
        onset_age[:, index] = _first_passage(hazard, rng.exponential(size=n))
    return onset_age


def _first_passage(hazard: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Return the year (fractions included) at which the summed yearly hazards pass a threshold."""
    total = np.cumsum(hazard, axis=1)
    year = (total < threshold[:, None]).sum(axis=1)
    happens = year < hazard.shape[1]
    row, column = np.flatnonzero(happens), year[happens]
    left = threshold[row] - (total[row, column] - hazard[row, column])
    passage = np.full(len(threshold), np.inf)
    passage[row] = column + left / hazard[row, column]
    return passage


def untreated(persons: Persons, row: np.ndarray, time: np.ndarray, condition: int) -> np.ndarray:
    """Return how far a condition would have come without treatment: 0 before onset, at most 2."""
    years = np.maximum(time - persons.onset[row, condition], 0) / YEAR
    return np.minimum(persons.pace[row, condition] * years, MAX_SEVERITY)


def severity(persons: Persons, row: np.ndarray, time: np.ndarray, condition: int) -> np.ndarray:
    """Return how far a condition has come at a time: 0 before onset, 1 overt, at most 2.

    Treatment halves the pace once the condition is diagnosed.
    """
    onset, pace = persons.onset[row, condition], persons.pace[row, condition]
    diagnosis = persons.diagnosis[row, condition]
    free = np.maximum(np.minimum(time, diagnosis) - onset, 0)
    treated = np.maximum(time - diagnosis, 0)
    return np.minimum(pace * (free + 0.5 * treated) / YEAR, MAX_SEVERITY)


def drug_choice(
    persons: Persons, row: np.ndarray, time: np.ndarray, condition: int, drugs: int
) -> np.ndarray:
    """Return which of a condition's drugs a person is given: a habit, later ones when it is severe."""
    harder = 0.5 + 0.4 * severity(persons, row, time, condition)
    return np.minimum((persons.liking[row, condition] * harder * drugs).astype(int), drugs - 1)


def lab_mean(
    persons: Persons, row: np.ndarray, time: np.ndarray, acuity: np.ndarray, lab: Lab
) -> np.ndarray:
    """Return what a lab is expected to show (its logarithm where ``lab.log``).

    A person's level, a slow wave around it, the diseases, what is taken against those that are
    known, and how ill the person is in hospital.
    """
    number = LAB[lab.name]
    turn = 2 * np.pi * time / persons.lab_period[row, number] + persons.lab_phase[row, number]
    own = STEADY * persons.lab_level[row, number] + WANDERING * np.sin(turn)
    mean = lab.mean + lab.person * own + lab.male * persons.factors["male"][row]
    mean = mean + lab.acuity * acuity
    for name, shift in lab.effects.items():
        if name in CONDITION:
            mean = mean + shift * severity(persons, row, time, CONDITION[name])
        else:
            mean = mean + shift * persons.factors[name][row]
    for condition, shifts in TREATMENTS[lab.name].items():
        treated = time > persons.diagnosis[row, condition]
        taken = drug_choice(persons, row, time, condition, len(shifts))
        mean = mean + treated * shifts[taken]
    return mean


def lab_value(mean: np.ndarray, noise: np.ndarray, lab: Lab) -> np.ndarray:
    """Return a reported value: the mean, its noise in standard deviations, rounded, positive."""
    value = mean + lab.noise * noise
    smallest = 10.0**-lab.decimals
    return np.maximum(np.round(np.exp(value) if lab.log else value, lab.decimals), smallest)


class Referral(NamedTuple):
    """How a site attracts persons with a condition.

    Attributes:
        frequency: How many times more often than elsewhere its persons get it.
        early: The share of those persons who first come in the years around its unseen beginning.
    """

    frequency: float
    early: float


def draw_persons(
    person_id: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    age: np.ndarray,
    referrals: Mapping[str, Referral],
    rng: np.random.Generator,
) -> Persons:
    """Draw the hidden state of persons, of whom nothing is recognised yet.

    Args:
        person_id: One for each person.
        start: The first day each is seen.
        end: The last.
        age: Years at ``start``, of those who do not come because of a condition's beginning.
        referrals: Whom the site attracts, by condition; an earlier one goes before a later.
        rng: A random stream.
    """
    n = len(person_id)
    smoking = (rng.random(n) < 0.3) * rng.uniform(0.5, 1.5, n)
    factors = {"male": (rng.random(n) < 0.48).astype(float), "smoking": smoking}
    factors |= {name: rng.standard_normal(n) for name in FACTORS[2:]}
    onset_age = onset_ages(factors, referrals, rng)
    # Who comes when depends on the hidden onset alone, so the probabilities given it stay true.
    settled = np.zeros(n, bool)
    for name, referral in referrals.items():
        begins = onset_age[:, CONDITION[name]]
        early = (rng.random(n) < referral.early) & (begins > 20) & (begins < 75)
        age = np.where(early & ~settled, begins + rng.uniform(-6, 4, n), age)
        settled |= early
    birth = np.floor(start - age * YEAR) + rng.integers(0, 1440, n) / 1440
    onset = birth[:, None] + onset_age * YEAR
    years = np.array([condition.years for condition in CONDITIONS])
    pace = rng.lognormal(0, PACE, onset.shape) / years
    return Persons(
        person_id=person_id,
        birth=birth,
        start=start,
        end=end,
        factors=factors,
        race=rng.choice(6, n, p=[0.01, 0.08, 0.14, 0.01, 0.66, 0.10]),
        ethnicity=rng.choice(3, n, p=[0.14, 0.80, 0.06]),
        region=rng.integers(0, 10, n),
        onset=onset,
        pace=pace,
        diagnosis=np.full(onset.shape, np.inf),
        liking=rng.random(onset.shape),
        lab_level=rng.standard_normal((n, len(LABS))),
        lab_phase=rng.uniform(0, 2 * np.pi, (n, len(LABS))),
        lab_period=rng.uniform(1.5, 8, (n, len(LABS))) * YEAR,
    )
