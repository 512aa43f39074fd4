"""Another simulated site, as a folder in the layout of the EHRSHOT benchmark.

It follows the same disease model as the hospital but speaks SNOMED, RxNorm, LOINC and CPT4, so
that what a model learnt at the hospital helps here only through the UMLS. Conventions of the
benchmark that matter: birth is ``SNOMED/3950001`` and comes first, billing codes lie at the end of
their visit, what is known by the day lies at 23:59.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clm_ler.simulation import clinic, codes, streams
from clm_ler.simulation.disease import YEAR, Persons, Referral, draw_persons
from clm_ler.simulation.disease_tables import CONDITION, LAB, LABS
from clm_ler.simulation.options import SiteOptions
from clm_ler.simulation.texts import LAST_DAY, choose, clock

CHUNK_PERSONS = 200  # of a site with thousands of events a person
VISITS_AT = 330.0  # mean events a person at which visits are as frequent as at the hospital
MOST_VISITS = 6.0  # times as frequent; what is missing beyond are bedside observations
YEARS = 20  # that its records reach back, at most
# The benchmark's patients come from a referral centre: rare diseases (the rarest first) are less rare there.
REFERRALS = {
    "lupus": Referral(3.0, 0.8),
    "celiac": Referral(3.0, 0.8),
    "pancreatic_cancer": Referral(3.0, 0.8),
    "coronary_disease": Referral(2.0, 0.3),
    "hypertension": Referral(1.5, 0.5),
    "hyperlipidemia": Referral(1.5, 0.5),
}
SPLITS = ("train", "val", "test")
WARD, ICU = "CARE_SITE/7929519", "CARE_SITE/7928450"
BEDSIDE = (
    # code, unit, mean, standard deviation, shift by acuity, table
    ("LOINC/8867-4", "/min", 78, 12, 4, "measurement"),
    ("LOINC/9279-1", "/min", 16, 3, 1, "measurement"),
    ("LOINC/59408-5", "%", 97, 2, -0.7, "measurement"),
    ("LOINC/8310-5", "Cel", 36.8, 0.4, 0.1, "measurement"),
    ("STANFORD_OBS/pain_score", None, 3, 2, 0, "observation"),
    ("STANFORD_OBS/braden_scale", None, 19, 3, -1, "observation"),
)
LAB_SPELLINGS = {
    # A second unit of a lab: its factor and share.
    "Glucose": ("mmol/L", 1 / 18, 0.1),
    "Potassium": ("mEq/L", 1.0, 0.3),
    "Sodium": ("mEq/L", 1.0, 0.3),
    "Hemoglobin": ("g/L", 10.0, 0.05),
    "Platelets": ("K/uL", 1.0, 0.4),
}
SCHEMA = pa.schema(
    [
        ("patient_id", pa.int64()),
        ("start", pa.string()),
        ("end", pa.string()),
        ("code", pa.string()),
        ("value", pa.string()),
        ("unit", pa.string()),
        ("visit_id", pa.int64()),
        ("omop_table", pa.string()),
    ]
)


@dataclass(frozen=True)
class Site:
    """A chunk of the site: the split of each person, hidden state, visits, and the recorded facts."""

    split: np.ndarray
    chart: clinic.Chart
    diagnoses: clinic.Facts
    prescriptions: clinic.Facts
    procedures: clinic.Facts
    labs: clinic.Facts


def chunks(options: SiteOptions) -> int:
    """Return how many chunks of patients the site has."""
    return -(-options.persons // CHUNK_PERSONS)


@lru_cache(maxsize=4)  # a small site is drawn once for its events and its labels
def draw_site(options: SiteOptions, seed: int, chunk: int) -> Site:
    """Return a chunk of the site."""

    def stream(purpose: str) -> np.random.Generator:
        return streams.stream(seed, chunk, f"ehrshot {purpose}")

    persons = _draw_site_persons(options, chunk, stream("persons"))
    scale = float(np.clip(options.events_per_person / VISITS_AT, 0.3, MOST_VISITS))
    chart = clinic.draw_chart("ehrshot", persons, stream, options.stays, scale)
    draws = clinic.draw_panels(chart, stream("panels"))
    return Site(
        split=_deal(persons, stream("splits")),
        chart=chart,
        diagnoses=clinic.draw_diagnoses(chart, stream("diagnoses")),
        prescriptions=clinic.draw_prescriptions(chart, stream("prescriptions")),
        procedures=clinic.draw_procedures(chart, draws, stream("procedures")),
        labs=clinic.draw_labs(chart, draws, stream("labs")),
    )


def _draw_site_persons(options: SiteOptions, chunk: int, rng: np.random.Generator) -> Persons:
    """Draw adults seen for one to twenty years."""
    n = min(CHUNK_PERSONS, options.persons - chunk * CHUNK_PERSONS)
    end = LAST_DAY - np.floor(rng.uniform(0, 2, n) * YEAR)
    start = np.floor(end - (1 + (YEARS - 1) * rng.beta(1.3, 2.0, n)) * YEAR)
    age = 20 + 55 * rng.beta(1.8, 1.5, n)
    person_id = 115_960_000 + chunk * CHUNK_PERSONS * 20 + np.cumsum(rng.integers(1, 20, n))
    return draw_persons(person_id, start, end, age, REFERRALS, rng)


def _deal(persons: Persons, rng: np.random.Generator) -> np.ndarray:
    """Return the split of each person: thirds, each with its share of the rare diseases."""
    onset = persons.onset[:, [CONDITION[name] for name in REFERRALS]]
    begins = (onset > persons.start[:, None] - 5 * YEAR) & (onset < persons.end[:, None])
    rarest = np.where(begins.any(axis=1), begins.argmax(axis=1), len(REFERRALS))
    order = np.lexsort((rng.random(len(persons)), rarest))
    split = np.empty(len(persons), int)
    split[order] = (np.arange(len(persons)) + rng.integers(len(SPLITS))) % len(SPLITS)
    return split


def split_table(options: SiteOptions, seed: int) -> pa.Table:
    """Return ``person_id_map.csv``: ``split`` and ``omop_person_id``."""
    parts = []
    for chunk in range(chunks(options)):
        rng = streams.stream(seed, chunk, "ehrshot persons")
        persons = _draw_site_persons(options, chunk, rng)
        split = _deal(persons, streams.stream(seed, chunk, "ehrshot splits"))
        columns = {"split": choose([*SPLITS], split), "omop_person_id": persons.person_id}
        parts.append(pa.table(columns))
    return pa.concat_tables(parts)


def event_table(options: SiteOptions, seed: int, chunk: int) -> pa.Table:
    """Return the events of a chunk, in order of patient and time."""
    site = draw_site(options, seed, chunk)
    rng = streams.stream(seed, chunk, "ehrshot events")
    parts = [
        _person_rows(site),
        _visit_rows(site),
        _ward_rows(site),
        _diagnosis_rows(site, rng),
        _drug_rows(site, rng),
        _procedure_rows(site),
        _lab_rows(site, rng),
    ]
    found = sum(part.num_rows for part in parts)
    missing = options.events_per_person * len(site.chart.persons) - found
    parts.append(_bedside_rows(site, max(missing, found // 20), rng))
    order = [(name, "ascending") for name in ("row", "start", "rank", "code", "value")]
    return _render(site, pa.concat_tables(parts).sort_by(order), chunk)


def _rows(
    row: np.ndarray,
    visit: np.ndarray | None,
    start: np.ndarray,
    code: pa.Array,
    table: str | pa.Array,
    end: np.ndarray | None = None,
    value: pa.Array | None = None,
    unit: pa.Array | None = None,
    rank: int = 2,
) -> pa.Table:
    """Return events before their last touch: persons and visits as row numbers, times as days."""
    n = len(row)
    return pa.table(
        {
            "row": pa.array(row, pa.int64()),
            "visit": pa.nulls(n, pa.int64()) if visit is None else pa.array(visit, pa.int64()),
            "start": np.asarray(start, float),
            "end": pa.nulls(n, pa.float64()) if end is None else pa.array(end, from_pandas=True),
            "code": code,
            "value": pa.nulls(n, pa.string()) if value is None else value,
            "unit": pa.nulls(n, pa.string()) if unit is None else unit,
            "table": pa.repeat(table, n) if isinstance(table, str) else table,
            "rank": np.full(n, rank),
        }
    )


def _render(site: Site, rows: pa.Table, chunk: int) -> pa.Table:
    person_id = pa.array(site.chart.persons.person_id).take(rows["row"].combine_chunks())
    end = np.nan_to_num(rows["end"].to_numpy(), nan=0.0)
    visit_id = pc.add(rows["visit"], 1_000_000 * (chunk + 1))
    columns = [
        person_id,
        clock(rows["start"].to_numpy()),
        pc.if_else(pc.is_valid(rows["end"]), clock(end), None),
        *(rows[name] for name in ("code", "value", "unit")),
        visit_id,
        rows["table"],
    ]
    return pa.table(columns, schema=SCHEMA)


def end_of_day(time: np.ndarray) -> np.ndarray:
    """Return 23:59 of the day."""
    return np.floor(time) + 1439 / 1440


def _person_rows(site: Site) -> pa.Table:
    persons = site.chart.persons
    everyone, male = np.arange(len(persons)), persons.factors["male"].astype(int)
    race, known = persons.race, np.flatnonzero(persons.race < 5)
    spoken = np.flatnonzero(persons.ethnicity < 2)
    birth = pa.repeat("SNOMED/3950001", len(persons))
    gender = choose(["Gender/F", "Gender/M"], male)
    races = choose([f"Race/{number}" for number in range(1, 6)], race[known])
    ethnicities = choose(
        ["Ethnicity/Hispanic", "Ethnicity/Not Hispanic"], persons.ethnicity[spoken]
    )
    parts = [(everyone, birth, 0), (everyone, gender, 1), (known, races, 1)]
    return pa.concat_tables(
        _rows(row, None, persons.birth[row], code, "person", rank=rank)
        for row, code, rank in [*parts, (spoken, ethnicities, 1)]
    )


def _visit_rows(site: Site) -> pa.Table:
    visits = site.chart.visits
    code = choose(["Visit/OP", "Visit/ER", "Visit/IP"], visits.kind)
    everyone = np.arange(len(visits))
    return _rows(
        visits.row, everyone, visits.time, code, "visit_occurrence", visits.discharge, rank=1
    )


def _ward_rows(site: Site) -> pa.Table:
    """Return the stations of the hospital stays: the ward, and intensive care where it came to it."""
    visits, icu = site.chart.visits, site.chart.admissions.icu
    stays = np.flatnonzero(visits.stay >= 0)
    moved = stays[~np.isnan(icu[visits.stay[stays]])]
    parts = [(stays, visits.time[stays], WARD), (moved, icu[visits.stay[moved]], ICU)]
    return pa.concat_tables(
        _rows(
            visits.row[visit],
            visit,
            start,
            pa.repeat(code, len(visit)),
            "visit_detail",
            visits.discharge[visit],
        )
        for visit, start, code in parts
    )


def _diagnosis_rows(site: Site, rng: np.random.Generator) -> pa.Table:
    """Return the conditions: noted during a visit, or billed at its end, or known by the day."""
    facts, visits = site.diagnoses, site.chart.visits
    begin, end = visits.time[facts.visit], visits.discharge[facts.visit]
    start = np.where(rng.random(len(facts)) < 0.5, np.minimum(begin + 1 / 24, end), end)
    by_the_day = (rng.random(len(facts)) < 0.3) | (start == np.floor(start))
    start = np.where(by_the_day, end_of_day(start), start)
    names = [f"SNOMED/{item.snomed}" for item in codes.DIAGNOSES.codes]
    return _rows(facts.row, facts.visit, start, choose(names, facts.code), "condition_occurrence")


def _drug_rows(site: Site, rng: np.random.Generator) -> pa.Table:
    facts, visits = site.prescriptions, site.chart.visits
    begin, end = visits.time[facts.visit], visits.discharge[facts.visit]
    start = np.floor((begin + rng.random(len(facts)) * (end - begin)) * 1440) / 1440
    names = [f"RxNorm/{item.rxnorm}" for item in codes.DRUGS.codes]
    return _rows(
        facts.row, facts.visit, start, choose(names, facts.code), "drug_exposure", start + 30
    )


def _procedure_rows(site: Site) -> pa.Table:
    """Return the billed procedures, at the end of their visit; an X-ray when it was taken."""
    facts, visits = site.procedures, site.chart.visits
    xray = facts.item == codes.CHEST_XRAY
    start = np.where(xray, facts.time, visits.discharge[facts.visit])
    prefix = {"CPT": "CPT4", "HCPCS": "HCPCS"}
    names = [f"{prefix[item.system]}/{item.code}" for item in codes.PROCEDURES.codes]
    code = choose(names, facts.code)
    return _rows(facts.row, facts.visit, start, code, "procedure_occurrence")


def _lab_rows(site: Site, rng: np.random.Generator) -> pa.Table:
    facts = site.labs
    second, factor, unit = rng.random(len(facts)), np.ones(len(facts)), facts.item.copy()
    units: list[str | None] = [lab.unit for lab in LABS]
    for name, (spelling, ratio, share) in LAB_SPELLINGS.items():
        chosen = (facts.item == LAB[name]) & (second < share)
        factor[chosen], unit[chosen] = ratio, len(units)
        units.append(spelling)
    text = pa.array(np.round(facts.value * factor, 3)).cast("string")
    names = [f"LOINC/{lab.loinc}" for lab in LABS]
    code = choose(names, facts.item)
    return _rows(
        facts.row,
        facts.visit,
        facts.time,
        code,
        "measurement",
        value=text,
        unit=choose(units, unit),
    )


def _bedside_rows(site: Site, count: int, rng: np.random.Generator) -> pa.Table:
    """Return observations at the bedside, which make up most of such records."""
    visits = site.chart.visits
    weight = 1 + 5 * (visits.discharge - visits.time)
    visit = np.sort(rng.choice(len(visits), count, p=weight / weight.sum()))
    stay = visits.discharge[visit] - visits.time[visit]
    time = np.floor((visits.time[visit] + rng.random(count) * stay) * 1440) / 1440
    kind = rng.integers(0, len(BEDSIDE), count)
    names, units, means, deviations, shifts, tables = zip(*BEDSIDE, strict=True)
    value = np.array(means)[kind] + np.array(shifts)[kind] * visits.acuity[visit]
    value += np.array(deviations)[kind] * rng.standard_normal(count)
    return _rows(
        visits.row[visit],
        visit,
        time,
        choose(names, kind),
        choose(tables, kind),
        value=pa.array(np.round(value, 1)).cast("string"),
        unit=choose(units, kind),
    )
