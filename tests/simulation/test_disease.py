from dataclasses import replace

import numpy as np
import pytest

from clm_ler.simulation import disease
from clm_ler.simulation.codes import DRUGS
from clm_ler.simulation.disease import YEAR, Persons, draw_persons
from clm_ler.simulation.disease_tables import CONDITION
from clm_ler.simulation.recognition import recognise
from clm_ler.simulation.visits import admission_rate, draw_admissions


def draw(n: int, seed: int = 0, referrals: dict[str, disease.Referral] | None = None) -> Persons:
    rng = np.random.default_rng(seed)
    start = np.full(n, 16_000.0)
    age = rng.uniform(20, 80, n)
    persons = draw_persons(np.arange(n), start, start + 4000, age, referrals or {}, rng)
    return recognise(persons, draw_admissions(persons, rng), rng)


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


def test_referrals_bring_more_persons_and_bring_them_early():
    n, index = 6000, CONDITION["lupus"]
    persons = draw(n, seed=3, referrals={"lupus": disease.Referral(20.0, 1.0)})
    plain = draw(n)
    ever, usual = (np.isfinite(p.onset[:, index]) for p in (persons, plain))
    assert ever.mean() > 5 * usual.mean()
    onset_age = (persons.onset[ever, index] - persons.birth[ever]) / YEAR
    settled = (onset_age > 20) & (onset_age < 75)
    before = persons.onset[ever, index][settled] - persons.start[ever][settled]
    assert (np.abs(before / YEAR) < 6.1).all()


def test_who_grows_ill_fast_is_admitted_sooner_than_the_level_says():
    persons = draw(4000)
    index, rows = CONDITION["heart_failure"], np.arange(4000)
    fast = persons.pace[:, index] > np.median(persons.pace[:, index])
    # Everybody has come as far today.
    onset = persons.onset.copy()
    onset[:, index] = 18_000.0 - 0.5 / persons.pace[:, index] * YEAR
    same = replace(persons, onset=onset)
    now = np.full(4000, 18_000.0)
    np.testing.assert_allclose(disease.untreated(same, rows, now, index), 0.5)
    rate = admission_rate(same, rows, now)
    assert np.median(rate[fast]) > 1.1 * np.median(rate[~fast])
