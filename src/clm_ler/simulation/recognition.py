"""When a condition is named for the first time.

Recognition is a point process. Its intensity rises with severity and with how much care a person
seeks, and for three months after each hospital stay a work-up adds to it. So the probability of a
first diagnosis in any interval, given the hidden state and the stays, has a closed form.
"""

from dataclasses import replace

import numpy as np
from scipy.special import expit

from clm_ler.simulation.disease import YEAR, Persons, untreated
from clm_ler.simulation.disease_tables import CONDITION, CONDITIONS
from clm_ler.simulation.visits import Admissions

RECOGNITION_WIDTH = 0.3  # severities over which the intensity of recognition rises
CARE = 0.3  # how much sooner a person is diagnosed for each standard deviation of care-seeking
WORK_UP = 0.6  # diagnoses of an overt disease expected after a stay
WORK_UP_DAYS = 90.0  # for how long


def recognise(persons: Persons, stays: Admissions, rng: np.random.Generator) -> Persons:
    """Return the persons with the day on which each condition is first named."""
    alert = alertness(persons.factors)
    diagnosis = routine_diagnoses(persons.onset, persons.pace, alert, rng)
    for index in range(len(CONDITIONS)):
        hazard, draw = work_up(persons, stays, index), rng.exponential(size=len(stays))
        found = draw < hazard
        time = stays.discharge[found] + WORK_UP_DAYS * draw[found] / hazard[found]
        np.minimum.at(diagnosis[:, index], stays.row[found], time)
    return replace(persons, diagnosis=diagnosis)


def alertness(factors: dict[str, np.ndarray]) -> np.ndarray:
    """Return how many times sooner than others each person is diagnosed."""
    return np.exp(CARE * factors["care"])


def routine_diagnoses(
    onset: np.ndarray, pace: np.ndarray, alert: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the days of recognition outside a work-up, inverting :func:`cumulative_recognition`."""
    rate = np.array([condition.recognition for condition in CONDITIONS])
    at = np.array([condition.recognised_at for condition in CONDITIONS])
    width = RECOGNITION_WIDTH
    level = rng.exponential(size=onset.shape) * pace / (rate * width * alert[:, None])
    level += np.logaddexp(0, -at / width)
    # The inverse of softplus, written so that it neither overflows nor cancels.
    severity = at + width * (level + np.log(-np.expm1(-level)))
    return onset + severity / pace * YEAR


def cumulative_recognition(
    onset: np.ndarray, pace: np.ndarray, time: np.ndarray, condition: int
) -> np.ndarray:
    """Return the integral of a condition's recognition intensity from onset to ``time``.

    It is that of a person of average care-seeking.

    The intensity is ``recognition * sigmoid((severity - recognised_at) / width)`` with a severity
    that grows linearly, so its integral is a difference of two softplus functions.
    """
    spec, width = CONDITIONS[condition], RECOGNITION_WIDTH
    # A condition that never begins has an infinite onset: no severity, no intensity.
    severity = pace * np.maximum(time - onset, 0) / YEAR
    risen = np.logaddexp(0, (severity - spec.recognised_at) / width)
    return spec.recognition * width / pace * (risen - np.logaddexp(0, -spec.recognised_at / width))


def work_up(persons: Persons, stays: Admissions, condition: int) -> np.ndarray:
    """Return how many diagnoses of a condition are expected from the work-up after each stay."""
    severity = untreated(persons, stays.row, stays.discharge, condition)
    seen = expit((severity - CONDITIONS[condition].recognised_at) / RECOGNITION_WIDTH)
    return WORK_UP * np.where(severity > 0, seen, 0) * alertness(persons.factors)[stays.row]


def diagnosis_probability(
    persons: Persons,
    stays: Admissions,
    row: np.ndarray,
    after: np.ndarray,
    until: np.ndarray,
    name: str,
) -> np.ndarray:
    """Return P(first diagnosis in (after, until] | hidden state, stays, none up to ``after``).

    Args:
        persons: The hidden state.
        stays: Every hospital stay, in order of person.
        row: Whose, as row numbers of ``persons``.
        after: Start of the interval (days), one for each row.
        until: Its end (days).
        name: The condition.
    """
    index = CONDITION[name]
    onset, pace = persons.onset[row, index], persons.pace[row, index]
    begun = cumulative_recognition(onset, pace, after, index)
    more = cumulative_recognition(onset, pace, until, index) - begun
    expected = more * alertness(persons.factors)[row]
    # Each pair of an interval and a stay of its person.
    first, last = (np.searchsorted(stays.row, row, side) for side in ("left", "right"))
    pair = np.repeat(np.arange(len(row)), last - first)
    stay = np.arange(len(pair)) - np.repeat(np.cumsum(last - first) - last, last - first)
    begin, end = (
        np.clip((time[pair] - stays.discharge[stay]) / WORK_UP_DAYS, 0, 1)
        for time in (after, until)
    )
    hazard = work_up(persons, stays, index)[stay] * (end - begin)
    return -np.expm1(-expected - np.bincount(pair, hazard, len(row)))
