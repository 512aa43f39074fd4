import numpy as np

from clm_ler.simulation.codes import DIAGNOSES
from clm_ler.simulation.habits import CLINICS, write_down

DAY_2012, DAY_2022 = 15_500.0, 19_200.0
HEAD = 4  # essential hypertension


def written(n, clinic=3, day=DAY_2022, site="hospital", person=None, seed=0):
    rng = np.random.default_rng(seed)
    person = np.arange(n) if person is None else person
    clinics = np.full(n, clinic) if np.isscalar(clinic) else clinic
    return write_down(DIAGNOSES, site, np.full(n, HEAD), clinics, np.full(n, day), person, rng)


def shares(codes):
    return np.bincount(codes, minlength=len(DIAGNOSES.codes)) / len(codes)


def distance(first, second):
    """Half the sum of differences: 0 for equal habits, 1 for none in common."""
    return np.abs(shares(first) - shares(second)).sum() / 2


def test_a_code_is_of_the_family_of_its_head():
    rng = np.random.default_rng(1)
    n = 50_000
    head = rng.integers(0, len(DIAGNOSES.heads), n)
    clinic, person = rng.integers(0, CLINICS, n), rng.integers(0, 500, n)
    time = rng.uniform(0, 25_000, n)
    code = write_down(DIAGNOSES, "ehrshot", head, clinic, time, person, rng)
    assert (DIAGNOSES.start[head] <= code).all()
    assert (code < DIAGNOSES.start[head + 1]).all()


def test_clinics_sites_and_years_differ_and_seeds_do_not():
    usual = written(20_000)
    assert distance(usual, written(20_000, seed=1)) < 0.03
    assert distance(usual, written(20_000, clinic=4)) > 0.1
    assert distance(usual, written(20_000, site="ehrshot")) > 0.1
    assert distance(usual, written(20_000, day=DAY_2012)) > 0.05


def test_some_codes_are_of_their_time():
    n = 400_000
    head, clinic = np.arange(n) % len(DIAGNOSES.heads), np.arange(n) % CLINICS
    early, late = (
        set(write_down(DIAGNOSES, "hospital", head, clinic, np.full(n, day), np.arange(n), rng))
        for day, rng in ((DAY_2012, np.random.default_rng(1)), (DAY_2022, np.random.default_rng(2)))
    )
    assert len(late - early) > 50
    assert len(early - late) > 50


def test_few_codes_make_up_most_of_the_use():
    found = np.sort(shares(written(200_000, clinic=np.arange(200_000) % CLINICS)))[::-1]
    assert found[:4].sum() > 0.6
    assert (found > 0).sum() > 10


def test_a_code_is_carried_forward():
    person = np.repeat(np.arange(500), 20)
    code = written(10_000, person=person).reshape(500, 20)
    most = np.array([np.bincount(row - row.min()).max() for row in code]) / 20
    alone = written(10_000).reshape(500, 20)
    chance = np.array([np.bincount(row - row.min()).max() for row in alone]) / 20
    assert most.mean() > chance.mean() + 0.1
