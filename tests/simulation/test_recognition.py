import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit

from clm_ler.simulation import disease, recognition
from clm_ler.simulation.disease import YEAR, Persons, draw_persons
from clm_ler.simulation.disease_tables import CONDITION, CONDITIONS
from clm_ler.simulation.visits import Admissions, draw_admissions

PACE = st.floats(0.05, 3)


def draw(n: int, seed: int = 0, stays: float = 1.0) -> tuple[Persons, Admissions]:
    rng = np.random.default_rng(seed)
    start = np.full(n, 16_000.0)
    age = rng.uniform(20, 80, n)
    persons = draw_persons(np.arange(n), start, start + 4000, age, {}, rng)
    admissions = draw_admissions(persons, rng, stays)
    return recognition.recognise(persons, admissions, rng), admissions


@given(PACE, st.floats(0, 15), st.sampled_from(range(len(CONDITIONS))))
def test_cumulative_recognition_is_the_integral_of_its_intensity(pace, years, condition):
    spec = CONDITIONS[condition]

    def intensity(year: float) -> float:
        rise = (pace * year - spec.recognised_at) / recognition.RECOGNITION_WIDTH
        return spec.recognition * float(expit(rise))

    expected, _ = quad(intensity, 0, years, limit=200)
    onset, pace_of_all = np.array([1000.0]), np.array([pace])
    time = onset + years * YEAR
    found = recognition.cumulative_recognition(onset, pace_of_all, time, condition)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_diagnoses_invert_the_cumulative_recognition():
    # At a diagnosis the integral is an exponential draw: its mean and deviation are 1.
    n, index = 20_000, CONDITION["diabetes"]
    onset = np.zeros((n, len(CONDITIONS)))
    pace = np.full(onset.shape, 0.4)
    alert = np.repeat([0.5, 2.0], n // 2)
    diagnosis = recognition.routine_diagnoses(onset, pace, alert, np.random.default_rng(1))[
        :, index
    ]
    total = recognition.cumulative_recognition(onset[:, index], pace[:, index], diagnosis, index)
    total *= alert
    assert abs(total.mean() - 1) < 0.03
    assert abs(total.std() - 1) < 0.05


def test_who_never_gets_a_condition_has_no_severity_diagnosis_or_risk():
    persons, stays = draw(500)
    index = CONDITION["diabetes"]
    never = np.flatnonzero(np.isinf(persons.onset[:, index]))
    time = np.full(len(never), 19_000.0)
    assert len(never)
    assert np.isinf(persons.diagnosis[never, index]).all()
    assert not disease.severity(persons, never, time, index).any()
    risk = recognition.diagnosis_probability(persons, stays, never, time, time + 365, "diabetes")
    assert not risk.any()


@given(st.integers(0, 499), st.floats(0, 365), st.floats(0, 365))
def test_a_longer_interval_is_never_less_likely(row, first, second):
    persons, stays = SOME
    rows, time = np.array([row]), np.array([18_000.0])
    shorter, longer = sorted([first, second])
    probabilities = [
        recognition.diagnosis_probability(persons, stays, rows, time, time + days, "hypertension")[
            0
        ]
        for days in (shorter, longer)
    ]
    assert 0 <= probabilities[0] <= probabilities[1] <= 1


SOME = draw(500)


def test_first_diagnoses_come_as_often_as_their_probabilities_say():
    persons, stays = draw(20_000, seed=4, stays=3.0)
    name = "hypertension"
    diagnosis = persons.diagnosis[:, CONDITION[name]]
    # A year from each first discharge, and a year from a day on which nothing happened.
    _, first = np.unique(stays.row, return_index=True)
    everyone = np.arange(len(persons))
    for row, after in (
        (stays.row[first], stays.discharge[first] + 1),
        (everyone, np.full(len(persons), 18_000.0)),
    ):
        free = diagnosis[row] > after
        row, after = row[free], after[free]
        probability = recognition.diagnosis_probability(
            persons, stays, row, after, after + 365, name
        )
        found = diagnosis[row] <= after + 365
        for part in np.array_split(np.argsort(probability), 4):
            error = np.sqrt((probability[part] * (1 - probability[part])).sum()) / len(part)
            assert abs(found[part].mean() - probability[part].mean()) < 4 * error + 1e-4


def test_a_stay_uncovers_what_is_hidden():
    often, _ = draw(6000, seed=5, stays=4.0)
    seldom, _ = draw(6000, seed=5, stays=0.01)
    index = CONDITION["hypertension"]
    assert (often.onset == seldom.onset).all()
    known = [(p.diagnosis[:, index] < 18_000).mean() for p in (often, seldom)]
    assert known[0] > 1.05 * known[1]


def test_who_seeks_care_is_diagnosed_sooner():
    persons, _ = draw(20_000)
    index = CONDITION["diabetes"]
    ever = np.isfinite(persons.onset[:, index])
    assert ever.sum() > 1000
    delay = persons.diagnosis[ever, index] - persons.onset[ever, index]
    care = persons.factors["care"][ever]
    assert np.median(delay[care > 0.5]) < np.median(delay[care < -0.5])
