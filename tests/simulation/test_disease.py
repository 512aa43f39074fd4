import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit

from clm_ler.simulation import disease
from clm_ler.simulation.codes import DRUGS
from clm_ler.simulation.disease import YEAR, Persons, draw_persons
from clm_ler.simulation.disease_tables import CONDITION, CONDITIONS

PACE = st.floats(0.05, 3)


def draw(n: int, seed: int = 0) -> Persons:
    rng = np.random.default_rng(seed)
    start = np.full(n, 16_000.0)
    age = rng.uniform(20, 80, n)
    return draw_persons(np.arange(n), start, start + 4000, age, {}, rng)


@given(PACE, st.floats(0, 15), st.sampled_from(range(len(CONDITIONS))))
def test_cumulative_recognition_is_the_integral_of_its_intensity(pace, years, condition):
    spec = CONDITIONS[condition]

    def intensity(year: float) -> float:
        rise = (pace * year - spec.recognised_at) / disease.RECOGNITION_WIDTH
        return spec.recognition * float(expit(rise))

    expected, _ = quad(intensity, 0, years, limit=200)
    onset, pace_of_all = np.array([1000.0]), np.array([pace])
    time = onset + years * YEAR
    found = disease.cumulative_recognition(onset, pace_of_all, time, condition)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_diagnoses_invert_the_cumulative_recognition():
    # At a diagnosis the integral is an exponential draw: its mean and deviation are 1.
    n, index = 20_000, CONDITION["diabetes"]
    onset = np.zeros((n, len(CONDITIONS)))
    pace = np.full(onset.shape, 0.4)
    alert = np.repeat([0.5, 2.0], n // 2)
    diagnosis = disease.diagnoses(onset, pace, alert, np.random.default_rng(1))[:, index]
    total = disease.cumulative_recognition(onset[:, index], pace[:, index], diagnosis, index)
    total *= alert
    assert abs(total.mean() - 1) < 0.03
    assert abs(total.std() - 1) < 0.05


def test_who_never_gets_a_condition_has_no_severity_diagnosis_or_risk():
    persons = draw(500)
    index = CONDITION["diabetes"]
    never = np.flatnonzero(np.isinf(persons.onset[:, index]))
    time = np.full(len(never), 19_000.0)
    assert len(never)
    assert np.isinf(persons.diagnosis[never, index]).all()
    assert not disease.severity(persons, never, time, index).any()
    risk = disease.diagnosis_probability(persons, never, time, time + 365, "diabetes")
    assert not risk.any()


@given(st.integers(0, 499), st.floats(0, 365), st.floats(0, 365))
def test_a_longer_interval_is_never_less_likely(row, first, second):
    persons = SOME
    rows, time = np.array([row]), np.array([18_000.0])
    shorter, longer = sorted([first, second])
    probabilities = [
        disease.diagnosis_probability(persons, rows, time, time + days, "hypertension")[0]
        for days in (shorter, longer)
    ]
    assert 0 <= probabilities[0] <= probabilities[1] <= 1


SOME = draw(500)


@pytest.mark.parametrize(
    ("lab", "condition"),
    [
        ("Hemoglobin A1c", "diabetes"),
        ("Glucose", "diabetes"),
        ("Creatinine", "ckd"),
        ("NT-proBNP", "heart_failure"),
        ("LDL cholesterol", "hyperlipidemia"),
        ("TSH", "hypothyroidism"),
        ("PSA", "prostate_cancer"),
    ],
)
def test_labs_rise_before_the_disease_is_named(lab, condition):
    persons = draw(4000, seed=2)
    index = CONDITION[condition]
    rows = np.flatnonzero(np.isfinite(persons.diagnosis[:, index]))
    spec = disease.LABS[disease.LAB[lab]]
    calm = np.zeros(len(rows))
    before = disease.lab_mean(persons, rows, persons.onset[rows, index], calm, spec)
    at = disease.lab_mean(persons, rows, persons.diagnosis[rows, index], calm, spec)
    assert (at > before).mean() > 0.9


def at(persons: Persons, time: float, lab: str) -> np.ndarray:
    rows = np.arange(len(persons))
    when, calm = np.full(len(persons), time), np.zeros(len(persons))
    return disease.lab_mean(persons, rows, when, calm, disease.LABS[disease.LAB[lab]])


def test_a_lab_is_more_than_a_level_and_its_wave_keeps_the_published_spread():
    persons = draw(4000)
    well = np.isinf(persons.onset[:, CONDITION["ckd"]]) & np.isinf(
        persons.onset[:, CONDITION["lupus"]]
    )
    male = persons.factors["male"]
    now, soon, later = (
        (at(persons, time, "Creatinine") - disease.LABS[disease.LAB["Creatinine"]].male * male)[
            well
        ]
        for time in (18_000.0, 18_060.0, 19_500.0)
    )
    assert np.corrcoef(now, soon)[0, 1] > 0.95
    assert 0.3 < np.corrcoef(now, later)[0, 1] < 0.9
    spread = disease.LABS[disease.LAB["Creatinine"]].person
    assert now.std() == pytest.approx(spread, rel=0.05)


def test_a_drug_shifts_labs_only_of_those_who_are_treated():
    persons = draw(6000)
    index, rows = CONDITION["hypertension"], np.arange(6000)
    time = np.full(6000, 18_500.0)
    drugs = len(DRUGS.groups["hypertension"])
    taken = disease.drug_choice(persons, rows, time, index, drugs)
    names = np.array([DRUGS.heads[head].name for head in DRUGS.groups["hypertension"]])[taken]
    thiazide = np.char.startswith(names, "hydrochlorothiazide")
    known = persons.diagnosis[:, index] < 18_500
    others = ["heart_failure", "cirrhosis", "depression"]
    well = np.isinf(persons.onset[:, [CONDITION[name] for name in others]]).all(axis=1)
    sodium = at(persons, 18_500.0, "Sodium")
    treated, spared = sodium[well & known & thiazide], sodium[well & known & ~thiazide]
    unknown = sodium[well & ~known & thiazide]
    assert spared.mean() - treated.mean() == pytest.approx(2.5, abs=0.3)
    assert unknown.mean() == pytest.approx(spared.mean(), abs=0.3)


def test_who_seeks_care_is_diagnosed_sooner():
    persons = draw(20_000)
    index = CONDITION["diabetes"]
    ever = np.isfinite(persons.onset[:, index])
    assert ever.sum() > 1000
    delay = persons.diagnosis[ever, index] - persons.onset[ever, index]
    care = persons.factors["care"][ever]
    assert np.median(delay[care > 0.5]) < np.median(delay[care < -0.5])


def test_referrals_bring_more_persons_and_bring_them_early():
    rng = np.random.default_rng(3)
    n, index = 3000, CONDITION["lupus"]
    start, age = np.full(n, 16_000.0), rng.uniform(20, 80, n)
    referral = {"lupus": disease.Referral(20.0, 1.0)}
    persons = draw_persons(np.arange(n), start, start + 4000, age, referral, rng)
    plain = draw(n)
    ever = np.isfinite(persons.onset[:, index])
    assert ever.mean() > 5 * np.isfinite(plain.onset[:, index]).mean()
    onset_age = (persons.onset[ever, index] - persons.birth[ever]) / YEAR
    settled = onset_age < 75
    assert (persons.diagnosis[ever, index] > 16_000)[settled].mean() > 0.7
