"""The disease model that both simulated sites share: conditions, labs, and how they unfold.

A condition begins unseen (``onset``), grows (``severity`` rises linearly from 0; 1 is overt
disease), shows in the labs, and is at some point recognised (``diagnosis``). Recognition is a point
process whose intensity rises with severity, so that the probability of a first diagnosis in any
interval, given the hidden state, has a closed form. Times are days since 1970-01-01 (float).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.special import expit

YEAR = 365.25
MAX_SEVERITY = 2.0
FACTORS = ("male", "smoking", "adiposity", "frailty", "autoimmunity")


@dataclass(frozen=True)
class Condition:
    """A chronic condition.

    Attributes:
        rate: Onsets per person-year at ages well above ``age`` for an average person.
        age: The age (years) at which half that rate is reached.
        spread: How sharply the rate rises around ``age`` (years).
        years: Median years from onset to overt disease.
        factors: Log hazard ratios of the latent factors.
        after: Hazard ratios once another condition has begun.
        recognition: Diagnoses per year when severity is far above ``recognised_at``.
        recognised_at: The severity at which half the recognition rate is reached.
        visits: Follow-up visits per year after diagnosis.
        admission: How much a severity of 1 adds to the log rate of hospital admission.
    """

    name: str
    rate: float
    age: float
    spread: float = 8.0
    years: float = 3.0
    factors: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    recognition: float = 0.7
    recognised_at: float = 1.0
    visits: float = 0.3
    admission: float = 0.0


# A condition may only follow conditions listed before it.
CONDITIONS: tuple[Condition, ...] = (
    Condition("obesity", 0.009, 30, factors={"adiposity": 1.2}, visits=0.3),
    Condition("tobacco_dependence", 0.008, 20, factors={"smoking": 2.0}, visits=0.2),
    Condition(
        "hypertension",
        0.035,
        52,
        10,
        factors={"adiposity": 0.4, "male": 0.2},
        after={"obesity": 1.6},
    ),
    Condition(
        "hyperlipidemia",
        0.033,
        50,
        10,
        factors={"adiposity": 0.3, "male": 0.2},
        after={"obesity": 1.4},
    ),
    Condition(
        "diabetes",
        0.03,
        48,
        years=4,
        recognition=0.6,
        factors={"adiposity": 0.8, "male": 0.1},
        after={"obesity": 1.8, "hypertension": 1.3},
        visits=1.2,
        admission=0.25,
    ),
    Condition(
        "ckd",
        0.012,
        62,
        years=5,
        factors={"frailty": 0.2},
        after={"diabetes": 2.5, "hypertension": 1.8},
        visits=0.8,
        admission=0.4,
    ),
    Condition(
        "coronary_disease",
        0.006,
        60,
        factors={"smoking": 0.7, "male": 0.6},
        after={"diabetes": 1.8, "hypertension": 1.6, "hyperlipidemia": 1.8},
        visits=1.0,
        admission=0.4,
    ),
    Condition(
        "heart_failure",
        0.007,
        66,
        factors={"frailty": 0.3},
        after={"coronary_disease": 3.5, "hypertension": 1.7, "ckd": 1.8},
        visits=1.2,
        admission=0.6,
    ),
    Condition(
        "atrial_fibrillation",
        0.010,
        70,
        factors={"male": 0.3},
        after={"heart_failure": 2.5, "hypertension": 1.5},
        admission=0.2,
    ),
    Condition(
        "copd",
        0.003,
        58,
        factors={"smoking": 1.5},
        after={"tobacco_dependence": 3.0},
        visits=0.8,
        admission=0.5,
    ),
    Condition("asthma", 0.002, 8, 3, years=1, factors={"adiposity": 0.2}, admission=0.1),
    Condition("hypothyroidism", 0.006, 45, 10, factors={"male": -1.2, "autoimmunity": 0.5}),
    Condition("depression", 0.010, 22, 6, years=1.5, factors={"male": -0.5}, visits=1.0),
    Condition("osteoarthritis", 0.025, 60, 8, factors={"adiposity": 0.4}),
    Condition(
        "iron_deficiency",
        0.010,
        35,
        12,
        years=1.5,
        factors={"male": -1.0, "frailty": 0.3},
        after={"ckd": 2.0},
    ),
    Condition("cirrhosis", 0.0015, 48, factors={"smoking": 0.4, "male": 0.5}, admission=0.6),
    Condition(
        "celiac",
        0.0005,
        18,
        6,
        factors={"autoimmunity": 1.0, "male": -0.4},
        recognition=0.4,
        admission=0.7,
    ),
    Condition(
        "lupus",
        0.0005,
        22,
        5,
        factors={"autoimmunity": 1.2, "male": -1.8},
        recognition=0.4,
        admission=0.7,
    ),
    Condition("prostate_cancer", 0.001, 66, 6, factors={"male": 2.2}, admission=0.2),
    Condition(
        "pancreatic_cancer",
        0.0006,
        62,
        years=2,
        factors={"smoking": 0.7},
        after={"diabetes": 2.0},
        recognition=0.6,
        visits=2.0,
        admission=0.8,
    ),
    Condition("dementia", 0.03, 78, 5, factors={"frailty": 0.4}, admission=0.3),
)
CONDITION_NAMES: tuple[str, ...] = tuple(condition.name for condition in CONDITIONS)
CONDITION: dict[str, int] = {name: index for index, name in enumerate(CONDITION_NAMES)}
RECOGNITION_WIDTH = 0.3  # severities over which the intensity of recognition rises


@dataclass(frozen=True)
class Lab:
    """A laboratory test, in its base unit.

    Attributes:
        mean: Of a healthy woman.
        male: Added for men.
        person: Standard deviation between healthy persons.
        noise: Standard deviation between two tests of one person.
        decimals: Of the reported value.
        effects: Shift per unit of severity of a condition.
        acuity: Shift per unit of acuity of a hospital stay.
        log: The figures above are those of the natural logarithm of the value.
    """

    name: str
    loinc: str
    unit: str
    mean: float
    person: float
    noise: float
    decimals: int
    male: float = 0.0
    effects: Mapping[str, float] = field(default_factory=dict)
    acuity: float = 0.0
    log: bool = False


LABS: tuple[Lab, ...] = (
    Lab(
        "Glucose",
        "2345-7",
        "mg/dL",
        93,
        6,
        11,
        0,
        effects={"diabetes": 42, "cirrhosis": -12, "pancreatic_cancer": 8},
        acuity=5,
    ),
    Lab("Hemoglobin A1c", "4548-4", "%", 5.3, 0.18, 0.15, 1, effects={"diabetes": 1.25}),
    Lab(
        "Creatinine",
        "2160-0",
        "mg/dL",
        -0.26,
        0.12,
        0.09,
        2,
        0.2,
        {"ckd": 0.55, "lupus": 0.12},
        0.10,
        log=True,
    ),
    Lab("Urea nitrogen", "3094-0", "mg/dL", 2.6, 0.2, 0.15, 0, 0.05, {"ckd": 0.5}, 0.12, log=True),
    Lab(
        "Sodium",
        "2951-2",
        "mmol/L",
        140,
        1.3,
        1.6,
        0,
        0,
        {"heart_failure": -1.8, "cirrhosis": -2.6},
        -1.0,
    ),
    Lab("Potassium", "2823-3", "mmol/L", 4.15, 0.18, 0.28, 1, 0, {"ckd": 0.42}, 0.08),
    Lab("Calcium", "17861-6", "mg/dL", 9.4, 0.25, 0.25, 1, 0, {"ckd": -0.25}, -0.1),
    Lab(
        "Albumin", "1751-7", "g/dL", 4.3, 0.2, 0.2, 1, 0, {"cirrhosis": -0.7, "celiac": -0.2}, -0.25
    ),
    Lab(
        "ALT",
        "1742-6",
        "U/L",
        2.9,
        0.3,
        0.2,
        0,
        0.2,
        {"cirrhosis": 0.6, "obesity": 0.2},
        0.05,
        log=True,
    ),
    Lab(
        "Bilirubin",
        "1975-2",
        "mg/dL",
        -0.6,
        0.25,
        0.2,
        1,
        0.1,
        {"cirrhosis": 0.7, "pancreatic_cancer": 0.8},
        0.05,
        log=True,
    ),
    Lab(
        "Hemoglobin",
        "718-7",
        "g/dL",
        13.4,
        0.7,
        0.6,
        1,
        1.4,
        {
            "iron_deficiency": -2.4,
            "ckd": -1.1,
            "celiac": -1.0,
            "lupus": -0.9,
            "pancreatic_cancer": -0.8,
        },
        -0.55,
    ),
    Lab(
        "Platelets", "777-3", "10*3/uL", 250, 40, 22, 0, -10, {"cirrhosis": -75, "lupus": -40}, -12
    ),
    Lab(
        "Leukocytes", "6690-2", "10*3/uL", 1.88, 0.18, 0.15, 1, 0, {"lupus": -0.15}, 0.22, log=True
    ),
    Lab(
        "MCV",
        "787-2",
        "fL",
        90,
        3,
        1.2,
        0,
        0,
        {"iron_deficiency": -8, "cirrhosis": 5, "celiac": -3},
    ),
    Lab("LDL cholesterol", "13457-7", "mg/dL", 108, 15, 12, 0, 0, {"hyperlipidemia": 42}),
    Lab("HDL cholesterol", "2085-9", "mg/dL", 56, 9, 4, 0, -10, {"obesity": -5}),
    Lab(
        "Triglycerides",
        "2571-8",
        "mg/dL",
        4.6,
        0.3,
        0.2,
        0,
        0.1,
        {"diabetes": 0.2, "hyperlipidemia": 0.2},
        log=True,
    ),
    Lab("TSH", "3016-3", "m[IU]/L", 0.6, 0.35, 0.2, 2, 0, {"hypothyroidism": 1.3}, log=True),
    Lab("PSA", "2857-1", "ng/mL", -0.2, 0.5, 0.15, 2, 0, {"prostate_cancer": 1.4}, log=True),
    Lab(
        "NT-proBNP",
        "33762-6",
        "pg/mL",
        4.2,
        0.5,
        0.3,
        0,
        0,
        {"heart_failure": 1.6, "atrial_fibrillation": 0.6, "ckd": 0.4},
        0.15,
        log=True,
    ),
    Lab(
        "Troponin T",
        "6598-7",
        "ng/mL",
        -4.6,
        0.4,
        0.4,
        3,
        0.2,
        {"coronary_disease": 0.7, "ckd": 0.4},
        0.3,
        log=True,
    ),
    Lab("Lactate", "2524-7", "mmol/L", 0.2, 0.2, 0.2, 1, 0, {}, 0.35, log=True),
    Lab(
        "CRP", "1988-5", "mg/L", 0.7, 0.6, 0.4, 1, 0, {"lupus": 0.9, "obesity": 0.3}, 0.6, log=True
    ),
    Lab(
        "Ferritin",
        "2276-4",
        "ng/mL",
        4.2,
        0.4,
        0.2,
        0,
        0.6,
        {"iron_deficiency": -1.4, "celiac": -0.6},
        0.1,
        log=True,
    ),
    Lab("tTG IgA", "31017-7", "U/mL", 0.9, 0.4, 0.3, 1, 0, {"celiac": 2.4}, log=True),
    Lab(
        "ANA titre",
        "8061-4",
        "titer",
        3.4,
        0.6,
        0.3,
        0,
        0,
        {"lupus": 2.0, "hypothyroidism": 0.3},
        log=True,
    ),
    Lab(
        "Lipase", "3040-3", "U/L", 3.5, 0.3, 0.25, 0, 0, {"pancreatic_cancer": 1.1}, 0.05, log=True
    ),
    Lab(
        "Body mass index",
        "39156-5",
        "kg/m2",
        25.5,
        1.5,
        0.4,
        1,
        0.5,
        {"obesity": 5, "pancreatic_cancer": -2},
    ),
    Lab(
        "Systolic blood pressure",
        "8480-6",
        "mm[Hg]",
        120,
        6,
        8,
        0,
        4,
        {"hypertension": 20, "ckd": 5},
        -3,
    ),
)
LAB: dict[str, int] = {lab.name: index for index, lab in enumerate(LABS)}
FACTOR_EFFECTS: dict[str, dict[str, float]] = {
    # Labs that follow a latent factor directly.
    "Body mass index": {"adiposity": 3.5},
    "Systolic blood pressure": {"adiposity": 3.0},
    "HDL cholesterol": {"adiposity": -4.0, "smoking": -4.0},
    "Hemoglobin": {"frailty": -0.35, "smoking": 0.3},
    "Albumin": {"frailty": -0.12},
    "Glucose": {"adiposity": 2.0, "frailty": -4.0},
    "Hemoglobin A1c": {"adiposity": 0.06},
    "CRP": {"adiposity": 0.3, "smoking": 0.3},
}


@dataclass(frozen=True)
class Panel:
    """Labs that are drawn together.

    Attributes:
        cpt: The billed procedure.
        base: Chance to be drawn at an adult's office visit.
        known: Added once a condition is diagnosed.
        suspected: Added for each unit of severity of a condition that nobody has named yet.
        inpatient: Chance to be drawn on a day in hospital.
    """

    name: str
    cpt: str
    labs: tuple[str, ...]
    base: float
    known: Mapping[str, float] = field(default_factory=dict)
    suspected: Mapping[str, float] = field(default_factory=dict)
    inpatient: float = 0.05


PANELS: tuple[Panel, ...] = (
    Panel(
        "Vital signs", "3074F", ("Body mass index", "Systolic blood pressure"), 0.2, inpatient=0.15
    ),
    Panel(
        "Basic metabolic panel",
        "80048",
        ("Glucose", "Creatinine", "Urea nitrogen", "Sodium", "Potassium", "Calcium"),
        0.10,
        {"ckd": 0.25, "diabetes": 0.1, "heart_failure": 0.15, "hypertension": 0.05},
        {"ckd": 0.15, "diabetes": 0.1},
        inpatient=0.25,
    ),
    Panel(
        "Blood count",
        "85027",
        ("Hemoglobin", "Platelets", "Leukocytes", "MCV"),
        0.08,
        {
            "iron_deficiency": 0.2,
            "ckd": 0.1,
            "lupus": 0.25,
            "cirrhosis": 0.25,
            "pancreatic_cancer": 0.4,
        },
        {"iron_deficiency": 0.15, "celiac": 0.15, "cirrhosis": 0.15},
        inpatient=0.25,
    ),
    Panel(
        "Liver panel",
        "80076",
        ("Albumin", "ALT", "Bilirubin"),
        0.05,
        {"cirrhosis": 0.3, "pancreatic_cancer": 0.3},
        {"cirrhosis": 0.15, "pancreatic_cancer": 0.3},
        inpatient=0.3,
    ),
    Panel(
        "Lipid panel",
        "80061",
        ("LDL cholesterol", "HDL cholesterol", "Triglycerides"),
        0.08,
        {"hyperlipidemia": 0.15, "coronary_disease": 0.1},
        {"hyperlipidemia": 0.1},
    ),
    Panel(
        "Hemoglobin A1c", "83036", ("Hemoglobin A1c",), 0.22, {"diabetes": 0.25}, {"diabetes": 0.3}
    ),
    Panel("Thyrotropin", "84443", ("TSH",), 0.06, {"hypothyroidism": 0.5}, {"hypothyroidism": 0.2}),
    Panel(
        "Prostate antigen",
        "84153",
        ("PSA",),
        0.08,
        {"prostate_cancer": 0.5},
        {"prostate_cancer": 0.1},
    ),
    Panel(
        "Natriuretic peptide",
        "83880",
        ("NT-proBNP",),
        0.01,
        {"heart_failure": 0.4},
        {"heart_failure": 0.25, "atrial_fibrillation": 0.1},
        inpatient=0.2,
    ),
    Panel(
        "Troponin",
        "84484",
        ("Troponin T",),
        0.0,
        {"coronary_disease": 0.05},
        {"coronary_disease": 0.15},
        inpatient=0.25,
    ),
    Panel("Inflammation", "86140", ("CRP", "Lactate"), 0.01, {"lupus": 0.2}, {"lupus": 0.2}, 0.3),
    Panel(
        "Ferritin",
        "82728",
        ("Ferritin",),
        0.02,
        {"iron_deficiency": 0.4, "celiac": 0.2},
        {"iron_deficiency": 0.2, "celiac": 0.15},
    ),
    Panel("Celiac serology", "86364", ("tTG IgA",), 0.005, {"celiac": 0.3}, {"celiac": 0.25}),
    Panel("Antinuclear antibodies", "86038", ("ANA titre",), 0.01, {"lupus": 0.3}, {"lupus": 0.25}),
    Panel(
        "Lipase",
        "83690",
        ("Lipase",),
        0.01,
        {"pancreatic_cancer": 0.1},
        {"pancreatic_cancer": 0.3},
        0.1,
    ),
)
PANEL: dict[str, int] = {panel.name: index for index, panel in enumerate(PANELS)}


@dataclass(frozen=True)
class Acute:
    """A short illness: ``rate`` per person-year, hazard ratios, and whether it is an emergency."""

    name: str
    rate: float
    factors: Mapping[str, float] = field(default_factory=dict)
    known: Mapping[str, float] = field(default_factory=dict)
    emergency: float = 0.1


ACUTES: tuple[Acute, ...] = (
    Acute("respiratory_infection", 0.30, {"smoking": 0.3}, {"asthma": 1.6, "copd": 1.8}, 0.05),
    Acute(
        "pneumonia",
        0.03,
        {"smoking": 0.4, "frailty": 0.4},
        {"copd": 2.5, "heart_failure": 1.5},
        0.5,
    ),
    Acute("urinary_infection", 0.10, {"male": -1.4, "frailty": 0.3}, {"diabetes": 1.5}, 0.15),
    Acute("gastroenteritis", 0.08, {}, {"celiac": 2.0}, 0.25),
    Acute("injury", 0.10, {"frailty": 0.3}, {"dementia": 2.0}, 0.5),
    Acute("back_pain", 0.15, {"adiposity": 0.3}, {"osteoarthritis": 1.6}, 0.08),
    Acute("skin_infection", 0.04, {"adiposity": 0.2}, {"diabetes": 1.8}, 0.15),
)


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
        lab_level: The person's own deviation of each lab, [n, labs], in standard deviations.
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
    lab_level: np.ndarray

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


def _recognition(attribute: str) -> np.ndarray:
    return np.array([getattr(condition, attribute) for condition in CONDITIONS])


def diagnoses(onset: np.ndarray, pace: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the days of recognition by inverting :func:`cumulative_recognition`."""
    rate, at = _recognition("recognition"), _recognition("recognised_at")
    width = RECOGNITION_WIDTH
    level = rng.exponential(size=onset.shape) * pace / (rate * width)
    level += np.logaddexp(0, -at / width)
    # The inverse of softplus, written so that it neither overflows nor cancels.
    severity = at + width * (level + np.log(-np.expm1(-level)))
    return onset + severity / pace * YEAR


def cumulative_recognition(
    onset: np.ndarray, pace: np.ndarray, time: np.ndarray, condition: int
) -> np.ndarray:
    """Return the integral of a condition's recognition intensity from onset to ``time``.

    The intensity is ``recognition * sigmoid((severity - recognised_at) / width)`` with a severity
    that grows linearly, so its integral is a difference of two softplus functions.
    """
    spec, width = CONDITIONS[condition], RECOGNITION_WIDTH
    # A condition that never begins has an infinite onset: no severity, no intensity.
    severity = pace * np.maximum(time - onset, 0) / YEAR
    risen = np.logaddexp(0, (severity - spec.recognised_at) / width)
    return spec.recognition * width / pace * (risen - np.logaddexp(0, -spec.recognised_at / width))


def diagnosis_probability(
    persons: Persons, row: np.ndarray, after: np.ndarray, until: np.ndarray, name: str
) -> np.ndarray:
    """Return P(first diagnosis in (after, until] | hidden state, none up to ``after``).

    Args:
        persons: The hidden state.
        row: Whose, as row numbers of ``persons``.
        after: Start of the interval (days), one for each row.
        until: Its end (days).
        name: The condition.
    """
    index = CONDITION[name]
    onset, pace = persons.onset[row, index], persons.pace[row, index]
    begun = cumulative_recognition(onset, pace, after, index)
    return -np.expm1(begun - cumulative_recognition(onset, pace, until, index))


def severity(persons: Persons, row: np.ndarray, time: np.ndarray, condition: int) -> np.ndarray:
    """Return how far a condition has come at a time: 0 before onset, 1 overt, at most 2.

    Treatment halves the pace once the condition is diagnosed.
    """
    onset, pace = persons.onset[row, condition], persons.pace[row, condition]
    diagnosis = persons.diagnosis[row, condition]
    untreated = np.maximum(np.minimum(time, diagnosis) - onset, 0)
    treated = np.maximum(time - diagnosis, 0)
    return np.minimum(pace * (untreated + 0.5 * treated) / YEAR, MAX_SEVERITY)


def lab_mean(
    persons: Persons, row: np.ndarray, time: np.ndarray, acuity: np.ndarray, lab: Lab
) -> np.ndarray:
    """Return what a lab is expected to show (its logarithm where ``lab.log``)."""
    own = persons.lab_level[row, LAB[lab.name]]
    mean = lab.mean + lab.person * own + lab.male * persons.factors["male"][row]
    mean = mean + lab.acuity * acuity
    for name, shift in lab.effects.items():
        mean = mean + shift * severity(persons, row, time, CONDITION[name])
    for name, shift in FACTOR_EFFECTS.get(lab.name, {}).items():
        mean = mean + shift * persons.factors[name][row]
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
        early: The share of those persons who first come around its unseen beginning.
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
    """Draw the hidden state of persons.

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
        age = np.where(early & ~settled, begins + rng.uniform(-1, 4, n), age)
        settled |= early
    birth = np.floor(start - age * YEAR) + rng.integers(0, 1440, n) / 1440
    onset = birth[:, None] + onset_age * YEAR
    pace = rng.lognormal(0, 0.4, onset.shape) / _recognition("years")
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
        diagnosis=diagnoses(onset, pace, rng),
        lab_level=rng.standard_normal((n, len(LABS))),
    )
