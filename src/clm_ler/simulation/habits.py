"""Which code of a family is written down: by rank, year, site, clinic and person.

Codes follow Zipf's law, and practices differ in how they code (Kalankesh et al., J Biomed Semantics
2014, 5:2). So within a family the weight of a code falls with its rank, is shifted by a habit of the
site and one of each clinic, drifts over the years, and is zero in years in which the code does not
exist. Habits belong to a site whatever the seed: another seed gives other persons of the same site.
A person's code tends to be carried forward from visit to visit.
"""

from functools import lru_cache

import numpy as np

from clm_ler.simulation.codes import Catalogue
from clm_ler.simulation.streams import own_stream

CLINICS = 16  # of a site
FIRST_YEAR, YEARS = 2005, 20  # for which habits differ; earlier years are as the first
ZIPF = 1.4  # exponent of the ranks within a family
SITE_HABIT, CLINIC_HABIT = 0.6, 0.9  # standard deviations of the logarithm of a weight
DRIFT = 0.06  # of its change per year
NEW, RETIRED = 0.25, 0.15  # shares of the variants that are introduced or retired in these years
FORWARD = 0.6  # share of the codes that are carried forward


@lru_cache(maxsize=8)
def _shares(catalogue: Catalogue, site: str) -> np.ndarray:
    """Return the running shares of the codes of each family, [clinics, years, codes].

    Of a family they end at 1; the number of the row and of the family is added, so that the flat
    array rises from end to end and one binary search finds any code.
    """
    n = len(catalogue.codes)
    family_of = np.repeat(np.arange(len(catalogue.heads)), np.diff(catalogue.start))
    rank = np.arange(n) - catalogue.start[family_of]
    years = np.arange(YEARS)[:, None]
    world = own_stream("codes", n)
    born = np.where(world.random(n) < NEW, world.integers(1, YEARS, n), 0)
    retired = np.where(world.random(n) < RETIRED, world.integers(1, YEARS, n), YEARS)
    exists = (rank == 0) | ((years >= born) & (years < retired))
    drift = DRIFT * world.standard_normal(n) * (years - YEARS / 2)
    own = own_stream(site, "codes", n)
    habit = SITE_HABIT * own.standard_normal(n)
    habit = habit + CLINIC_HABIT * own.standard_normal((CLINICS, 1, n))
    weight = np.exp(habit + drift) * exists / (rank + 1.0) ** ZIPF
    running = np.cumsum(weight, axis=2)
    ends = catalogue.start[1:] - 1
    before = np.concatenate([np.zeros((CLINICS, YEARS, 1)), running[..., ends[:-1]]], axis=2)
    total = running[..., ends] - before
    share = (running - before[..., family_of]) / total[..., family_of]
    share[..., ends] = 1.0  # without a rounding error
    row = np.arange(CLINICS * YEARS).reshape(CLINICS, YEARS, 1)
    return (share + family_of + row * len(catalogue.heads)).ravel()


def write_down(
    catalogue: Catalogue,
    site: str,
    head: np.ndarray,
    clinic: np.ndarray,
    time: np.ndarray,
    person: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the number of the code that stands for each head.

    Args:
        catalogue: Of the kind of code.
        site: Whose habits count.
        head: What is meant, one for each fact.
        clinic: Where it is written down.
        time: When (days).
        person: Who: a code that is carried forward depends on person, head and clinic.
        rng: A random stream.
    """
    heads = len(catalogue.heads)
    year = 1970 + (time / 365.25).astype(int) - FIRST_YEAR
    row = clinic * YEARS + np.clip(year, 0, YEARS - 1)
    usual = rng.random((int(person.max(initial=0)) + 1, heads))
    draw = np.where(rng.random(len(head)) < FORWARD, usual[person, head], rng.random(len(head)))
    place = np.searchsorted(_shares(catalogue, site), row * heads + head + draw)
    return place % len(catalogue.codes)
