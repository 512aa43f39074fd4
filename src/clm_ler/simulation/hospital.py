"""The main site: the facts of the clinic as five raw tables, with the faults of real extracts."""

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clm_ler.simulation import clinic, codes, streams
from clm_ler.simulation.disease import YEAR, Persons, Referral, draw_persons
from clm_ler.simulation.disease_tables import LABS
from clm_ler.simulation.options import CohortOptions
from clm_ler.simulation.texts import LAST_DAY, choose, clock, ndc11, ndc_digits

ICD10_FROM = float(np.datetime64("2015-10-01").astype(int))
PLACEHOLDERS = np.array(["1800-01-01", "1900-01-01", "2300-12-31"], "datetime64[s]")
GENDERS = ("F", "M")
RACES = ("American Indian", "Asian", "Black", "Pacific Islander", "White", "Unknown")
ETHNICITIES = ("Hispanic", "Not Hispanic", "")
REGIONS = ("CA", "TX", "FL", "NY", "PA", "IL", "OH", "GA", "NC", "MI")

# How each lab reports: unit as spelt, factor from the base unit, share. None: the unit is missing.
UNITS: dict[str, tuple[tuple[str | None, float, float], ...]] = {
    "mg/dL": (("mg/dL", 1, 0.86), ("MG/DL", 1, 0.08), ("mg/dl", 1, 0.03), (None, 1, 0.03)),
    "%": (("%", 1, 0.9), ("% of total Hgb", 1, 0.05), (None, 1, 0.05)),
    "mmol/L": (("mmol/L", 1, 0.62), ("mEq/L", 1, 0.3), ("meq/l", 1, 0.05), (None, 1, 0.03)),
    "g/dL": (("g/dL", 1, 0.8), ("g/L", 10, 0.1), ("GM/DL", 1, 0.07), (None, 1, 0.03)),
    "10*3/uL": (
        ("10*3/uL", 1, 0.4),
        ("K/uL", 1, 0.3),
        ("x10E3/uL", 1, 0.2),
        ("10*9/L", 1, 0.07),
        (None, 1, 0.03),
    ),
    "U/L": (("U/L", 1, 0.7), ("IU/L", 1, 0.25), (None, 1, 0.05)),
    "m[IU]/L": (("m[IU]/L", 1, 0.4), ("uIU/mL", 1, 0.4), ("mIU/L", 1, 0.17), (None, 1, 0.03)),
    "mm[Hg]": (("mm[Hg]", 1, 0.6), ("mmHg", 1, 0.4)),
    "kg/m2": (("kg/m2", 1, 0.7), ("kg/m^2", 1, 0.3)),
}
# Labs that some laboratories report in moles: the factor from the base unit.
MOLAR: dict[str, tuple[str, float]] = {
    "Glucose": ("mmol/L", 1 / 18.016),
    "Creatinine": ("umol/L", 88.42),
    "LDL cholesterol": ("mmol/L", 1 / 38.67),
    "HDL cholesterol": ("mmol/L", 1 / 38.67),
    "Triglycerides": ("mmol/L", 1 / 88.57),
    "Bilirubin": ("umol/L", 17.1),
    "Calcium": ("mmol/L", 1 / 4.008),
}
MOLAR_SHARE = 0.12
TEXT_RESULTS = ("normal", ">300", "<0.1", "see comment", "NEG", "pending", "")


DUPLICATED, PLACEHOLDER, BEFORE_BIRTH = 0.008, 0.0004, 0.0004  # shares of the rows
MIDNIGHT = 0.4  # share of diagnoses and prescriptions known by the day only
DOTLESS = 0.08  # share of persons whose diagnoses come without dots
TEXT_SHARE = 0.008  # of lab results
# The hospital is known for its diabetes clinic.
REFERRALS = {"diabetes": Referral(frequency=2.0, early=0.4)}
BARELY_KNOWN = 0.04  # share of persons seen for a few days only


def draw_hospital_persons(options: CohortOptions, seed: int, chunk: int) -> Persons:
    """Return the hidden state of the persons of a chunk."""
    rng = streams.stream(seed, chunk, "hospital persons")
    size = options.chunk_persons
    n = min(size, options.persons - chunk * size)
    start, end = _windows(n, options.years, rng)
    adult = 18 + 72 * rng.beta(2.2, 2.4, n)
    age = np.where(rng.random(n) < 0.08, rng.uniform(0, 18, n), adult)
    person_id = 1_000_000 + chunk * size * 10 + np.cumsum(rng.integers(1, 10, n))
    return draw_persons(person_id, start, end, age, REFERRALS, rng)


def _windows(n: int, years: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw when persons are first and last seen: from a day to all the years of the records."""
    opening = LAST_DAY - years * YEAR
    late = rng.random(n) < 0.35
    start = np.floor(opening + late * rng.beta(1, 2, n) * (years - 0.5) * YEAR)
    stays = rng.random(n) < 0.8
    end = np.where(stays, LAST_DAY, start + rng.uniform(0.2, 1, n) * (LAST_DAY - start))
    barely = rng.random(n) < BARELY_KNOWN
    return start, np.where(barely, start + rng.integers(1, 20, n), np.floor(end))


@lru_cache(maxsize=2)  # a small hospital is drawn once for all its tables
def draw_hospital_chart(options: CohortOptions, seed: int, chunk: int) -> clinic.Chart:
    """Return the persons of a chunk with their visits."""
    persons = draw_hospital_persons(options, seed, chunk)
    return clinic.draw_chart(
        "hospital", persons, lambda purpose: streams.stream(seed, chunk, f"hospital {purpose}")
    )


def _recorded(
    persons: Persons, facts: clinic.Facts, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return which facts come out, some of them twice, and when they are said to have been."""
    n = len(facts)
    index = np.repeat(np.arange(n), 1 + (rng.random(n) < DUPLICATED))
    time, fault = facts.time.copy(), rng.random(n)
    unknown = fault < PLACEHOLDER
    days = PLACEHOLDERS.astype("datetime64[D]").astype(int)
    time[unknown] = rng.choice(days, unknown.sum())
    unborn = ~unknown & (fault < PLACEHOLDER + BEFORE_BIRTH)
    time[unborn] = persons.birth[facts.row[unborn]] - rng.integers(1, 4000, unborn.sum())
    return index, time[index]


def patient_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return the patients of a chunk."""
    persons = draw_hospital_persons(options, seed, chunk)
    rng = streams.stream(seed, chunk, "patient")
    n = len(persons)
    gender = np.where(rng.random(n) < 0.005, rng.integers(2, 4, n), persons.factors["male"])
    unknown_region = np.where(rng.random(n) < 0.03, len(REGIONS), persons.region)
    return pa.table(
        {
            "person_id": persons.person_id,
            "birth_datetime": clock(persons.birth),
            "gender_source_value": choose([*GENDERS, "U", None], gender.astype(int)),
            "race_source_value": choose([*RACES], persons.race),
            "ethnicity_source_value": choose([*ETHNICITIES], persons.ethnicity),
            "location_state": choose([*REGIONS, None], unknown_region),
        }
    )


def diagnosis_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return the diagnoses of a chunk: ICD-9-CM before October 2015, ICD-10-CM from then on."""
    chart = draw_hospital_chart(options, seed, chunk)
    rng = streams.stream(seed, chunk, "diagnosis")
    facts = clinic.draw_diagnoses(chart, rng)
    dotless = (rng.random(len(chart.persons)) < DOTLESS)[facts.row]
    index, time = _recorded(chart.persons, facts, rng)
    items = codes.DIAGNOSES.codes
    dotted = [f"ICD-10-CM {i.icd10cm}" for i in items] + [f"ICD-9-CM {i.icd9cm}" for i in items]
    form = (facts.time < ICD10_FROM) + 2 * dotless
    source = choose(
        [*dotted, *(text.replace(".", "") for text in dotted)], form * len(items) + facts.code
    )
    return pa.table(
        {
            "person_id": chart.persons.person_id[facts.row[index]],
            "condition_start_datetime": clock(_by_day(time, rng)),
            "condition_source_value": source.take(pa.array(index)),
        }
    )


def _by_day(time: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(len(time)) < MIDNIGHT, np.floor(time), time)


def prescription_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return the prescriptions of a chunk: RxNorm concepts, or NDC packages in several forms."""
    chart = draw_hospital_chart(options, seed, chunk)
    rng = streams.stream(seed, chunk, "prescription")
    facts = clinic.draw_prescriptions(chart, rng)
    index, time = _recorded(chart.persons, facts, rng)
    items = codes.DRUGS.codes
    forms = (
        [f"RxNorm_drug:{item.rxnorm}" for item in items]
        + [f"NDC:{ndc11(item.ndc)}" for item in items]
        + [f"NDC:{ndc_digits(item.ndc)}" for item in items]
    )
    form = rng.choice(3, len(facts), p=[0.5, 0.25, 0.25])
    source = choose(forms, form * len(items) + facts.code)
    return pa.table(
        {
            "person_id": chart.persons.person_id[facts.row[index]],
            "drug_exposure_start_datetime": clock(_by_day(time, rng)),
            "drug_source_value": source.take(pa.array(index)),
        }
    )


def procedure_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return the procedures of a chunk: CPT4 and HCPCS."""
    chart = draw_hospital_chart(options, seed, chunk)
    draws = clinic.draw_panels(chart, streams.stream(seed, chunk, "hospital panels"))
    rng = streams.stream(seed, chunk, "procedure")
    facts = clinic.draw_procedures(chart, draws, rng)
    index, time = _recorded(chart.persons, facts, rng)
    prefix = {"CPT": "CPT4", "HCPCS": "HCPCS"}
    names = [f"{prefix[item.system]} {item.code}" for item in codes.PROCEDURES.codes]
    return pa.table(
        {
            "person_id": chart.persons.person_id[facts.row[index]],
            "procedure_datetime": clock(time),
            "procedure_source_value": choose(names, facts.code[index]),
        }
    )


def lab_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return the lab results of a chunk, as text, in whatever unit the laboratory uses."""
    chart = draw_hospital_chart(options, seed, chunk)
    draws = clinic.draw_panels(chart, streams.stream(seed, chunk, "hospital panels"))
    rng = streams.stream(seed, chunk, "lab")
    facts = clinic.draw_labs(chart, draws, rng)
    value, unit = _reported(facts, rng)
    index, time = _recorded(chart.persons, facts, rng)
    names = [f"LOINC {lab.loinc}" for lab in LABS]
    return pa.table(
        {
            "person_id": chart.persons.person_id[facts.row[index]],
            "measurement_datetime": clock(time),
            "measurement_source_value": choose([*names], facts.item[index]),
            "value_source_value": value.take(pa.array(index)),
            "unit_source_value": unit.take(pa.array(index)),
        }
    )


def _spellings(number: int) -> list[tuple[str | None, float, float]]:
    """Return unit, factor and share of everything a lab may be reported in."""
    lab = LABS[number]
    found = list(UNITS.get(lab.unit, ((lab.unit, 1, 0.97), (None, 1, 0.03))))
    if lab.name in MOLAR:
        unit, factor = MOLAR[lab.name]
        found = [(u, f, share * (1 - MOLAR_SHARE)) for u, f, share in found]
        found.append((unit, factor, MOLAR_SHARE))
    return found


def _reported(facts: clinic.Facts, rng: np.random.Generator) -> tuple[pa.Array, pa.Array]:
    """Return values and units as reported; a few values are words."""
    choice, factor, decimals = (np.zeros(len(facts)) for _ in range(3))
    spelt: list[str | None] = []
    for number in range(len(LABS)):
        rows = np.flatnonzero(facts.item == number)
        units, factors, shares = zip(*_spellings(number), strict=True)
        pick = rng.choice(len(units), len(rows), p=np.array(shares) / sum(shares))
        choice[rows] = len(spelt) + pick
        factor[rows] = np.array(factors)[pick]
        decimals[rows] = LABS[number].decimals + (factor[rows] < 1) * 2
        spelt += units
    scale = 10.0**decimals
    text = pa.array(np.round(facts.value * factor * scale) / scale).cast("string")
    words = rng.random(len(facts)) < TEXT_SHARE
    word = choose([*TEXT_RESULTS], rng.integers(0, len(TEXT_RESULTS), len(facts)))
    return pc.if_else(pa.array(words), word, text), choose(spelt, choice.astype(int))
