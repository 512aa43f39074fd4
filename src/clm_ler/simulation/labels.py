"""Labels of the main site with their true probabilities.

- ``diabetes_1y``: first diabetes diagnosis within 365 days of an HbA1c test, persons still free of it.
- ``hospitalised_next_year``: a hospital admission in the year after the last day of the records.
- ``ckd_stage``: kidney disease a year after the last day: 0 none, 1 moderate, 2 severe.

The last two are labels of a whole history, so their prediction time is null.
"""

import numpy as np
import pyarrow as pa
from scipy.special import ndtr

from clm_ler.simulation import clinic, codes, streams
from clm_ler.simulation.disease import YEAR, Persons, severity
from clm_ler.simulation.disease_tables import CONDITION, PANEL
from clm_ler.simulation.hospital import draw_hospital_chart
from clm_ler.simulation.options import CohortOptions
from clm_ler.simulation.recognition import diagnosis_probability
from clm_ler.simulation.visits import admission_rate, year_of_admissions

YOUNGEST = 35  # age in years from which diabetes is predicted
LEAST_DAYS = 90  # that a person must have been seen before a prediction
CKD_CUTS = (0.4, 1.5)  # severities at which the stages begin
CKD_NOISE = 0.2  # standard deviation of the severity in a year, given today's

SCHEMA = pa.schema(
    [
        ("person_id", pa.int64()),
        ("prediction_time", pa.timestamp("us")),
        ("task", pa.string()),
        ("label", pa.int64()),
        ("probability", pa.float64()),
        ("observed", pa.bool_()),
    ]
)


def draw_labels(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return one row per sample and class above 0: its probability, and whether it was observed."""
    chart = draw_hospital_chart(options, seed, chunk)
    draws = clinic.draw_panels(chart, streams.stream(seed, chunk, "hospital panels"))
    rng = streams.stream(seed, chunk, "labels")
    parts = [
        _diabetes(chart, draws),
        _hospitalised(chart, rng),
        _ckd_stage(chart.persons, rng),
    ]
    table = pa.concat_tables(parts)
    return table.sort_by([(name, "ascending") for name in SCHEMA.names[:4]])


def _rows(
    person_id: np.ndarray,
    minute: np.ndarray | None,
    task: str,
    label: int,
    probability: np.ndarray,
    observed: np.ndarray,
) -> pa.Table:
    n = len(person_id)
    stamps = pa.nulls(n, pa.timestamp("us"))
    if minute is not None:
        stamps = pa.array(minute * 60_000_000).cast(pa.timestamp("us"))
    columns = [person_id, stamps, [task] * n, np.full(n, label), probability, observed]
    return pa.table(columns, schema=SCHEMA)


def _diabetes(chart: clinic.Chart, draws: clinic.Draws) -> pa.Table:
    """Return the first HbA1c test of a person in a year, predicted from at 23:59 of its day."""
    persons, visits = chart.persons, chart.visits
    row, time = visits.row, np.floor(visits.time) + 1439 / 1440
    diagnosis = persons.diagnosis[:, CONDITION["diabetes"]]
    tested = np.isin(np.arange(len(visits)), draws.visit[draws.panel == PANEL["Hemoglobin A1c"]])
    eligible = (
        (tested & (visits.kind == codes.OFFICE))
        & (time - persons.birth[row] > YOUNGEST * YEAR)
        & (time - persons.start[row] > LEAST_DAYS)
        & (time + 365 < persons.end[row])
        & (diagnosis[row] > time)
    )
    # The choice must not look ahead: picking among all of a person's visits would favour those
    # who are diagnosed soon, because they have few, and the probabilities would be too low.
    year = np.floor(time / YEAR)
    chosen = np.flatnonzero(eligible)
    _, first = np.unique(np.stack([row[chosen], year[chosen]]), axis=1, return_index=True)
    row, time = row[chosen[first]], time[chosen[first]]
    probability = diagnosis_probability(
        persons, chart.admissions, row, time, time + 365, "diabetes"
    )
    minute = np.round(time * 1440).astype("int64")
    observed = diagnosis[row] <= time + 365
    return _rows(persons.person_id[row], minute, "diabetes_1y", 1, probability, observed)


def _hospitalised(chart: clinic.Chart, rng: np.random.Generator) -> pa.Table:
    persons, stays = chart.persons, chart.admissions
    discharged = np.full(len(persons), -np.inf)
    np.maximum.at(discharged, stays.row, stays.discharge)
    rate = admission_rate(persons, np.arange(len(persons)), persons.end)
    expected = year_of_admissions(rate, np.maximum(persons.end - discharged, 0))
    probability = -np.expm1(-expected)
    observed = rng.random(len(persons)) < probability
    return _rows(persons.person_id, None, "hospitalised_next_year", 1, probability, observed)


def _ckd_stage(persons: Persons, rng: np.random.Generator) -> pa.Table:
    everyone = np.arange(len(persons))
    expected = severity(persons, everyone, persons.end + 365, CONDITION["ckd"])
    reached = expected + CKD_NOISE * rng.standard_normal(len(persons))
    above = [ndtr((expected - cut) / CKD_NOISE) for cut in CKD_CUTS]
    stage = np.searchsorted(CKD_CUTS, reached)
    return pa.concat_tables(
        _rows(persons.person_id, None, "ckd_stage", label, probability, stage == label)
        for label, probability in ((1, above[0] - above[1]), (2, above[1]))
    )


def raw_labels(drawn: pa.Table) -> pa.Table:
    """Return the labels as a hospital would have them: one row per sample.

    Args:
        drawn: From :func:`draw_labels`; the label of a sample is its observed class, or 0.
    """
    label = np.where(drawn["observed"], drawn["label"], 0)
    marked = drawn.select(["person_id", "prediction_time", "task"]).append_column(
        "label", pa.array(label)
    )
    keys = ["person_id", "prediction_time", "task"]
    samples = marked.group_by(keys, use_threads=False).aggregate([("label", "max")])
    return samples.rename_columns([*keys, "label"]).select(
        ["person_id", "prediction_time", "label", "task"]
    )


def truth(drawn: pa.Table) -> pa.Table:
    """Return the probability of each class but 0, given the hidden state."""
    return drawn.select(["person_id", "prediction_time", "task", "label", "probability"])
