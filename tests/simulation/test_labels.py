import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from clm_ler.simulation import hospital, labels
from clm_ler.simulation.disease_tables import CONDITION
from clm_ler.simulation.options import CohortOptions

OPTIONS = CohortOptions(persons=4000, chunk_persons=4000)


@pytest.fixture(scope="module")
def drawn() -> pa.Table:
    return labels.draw_labels(OPTIONS, 5, 0)


def of_task(drawn: pa.Table, task: str, label: int = 1) -> pd.DataFrame:
    frame = drawn.to_pandas()
    return frame[(frame.task == task) & (frame.label == label)]


@pytest.mark.parametrize(
    ("task", "label"),
    [("diabetes_1y", 1), ("hospitalised_next_year", 1), ("ckd_stage", 1), ("ckd_stage", 2)],
)
def test_labels_happen_as_often_as_their_probabilities_say(drawn, task, label):
    rows = of_task(drawn, task, label)
    # By thirds of the probability, within four standard errors (persons, not rows, are independent).
    for part in np.array_split(np.argsort(rows.probability.to_numpy()), 3):
        expected, found = rows.probability.iloc[part], rows.observed.iloc[part]
        error = np.sqrt((expected * (1 - expected)).sum() * 2) / len(part)
        assert abs(found.mean() - expected.mean()) < 4 * error + 1e-3


def test_the_best_reachable_discrimination_is_high_but_not_perfect(drawn):
    rows = of_task(drawn, "diabetes_1y")
    assert 0.82 < roc_auc_score(rows.observed, rows.probability) < 0.95
    assert 0.08 < rows.observed.mean() < 0.22


def test_default_cohort_has_thousands_of_samples():
    options = CohortOptions()
    rows = [of_task(labels.draw_labels(options, 42, chunk), "diabetes_1y") for chunk in (0, 1)]
    assert 2000 < sum(map(len, rows)) < 5000


def test_prediction_times_lie_before_the_diagnosis_and_within_the_record(drawn):
    persons = hospital.draw_hospital_chart(OPTIONS, 5, 0).persons
    rows = of_task(drawn, "diabetes_1y")
    row = np.searchsorted(persons.person_id, rows.person_id)
    time = rows.prediction_time.astype("int64").to_numpy() / 86_400_000_000
    diagnosis = persons.diagnosis[row, CONDITION["diabetes"]]
    assert (diagnosis > time).all()
    assert (time + 365 < persons.end[row]).all()
    assert (rows.observed == (diagnosis <= time + 365)).all()
    assert (rows.prediction_time.dt.strftime("%H:%M:%S") == "23:59:00").all()


def test_a_positive_is_coded_within_the_year_and_never_before(drawn):
    codes = hospital.diagnosis_table(OPTIONS, 5, 0).to_pandas()
    diabetes = codes[codes.condition_source_value.str.contains(r"CM (?:E11|250)")]
    times = pd.to_datetime(diabetes.condition_start_datetime, errors="coerce", format="ISO8601")
    plausible = times[times.dt.year.between(2005, 2030)]
    first = plausible.groupby(diabetes.person_id).min()
    rows = of_task(drawn, "diabetes_1y")
    delay = (rows.person_id.map(first) - rows.prediction_time).dt.total_seconds() / 86_400
    positive = rows.observed.to_numpy()
    # A coded time may be a fault (before birth), and a day-level one lies at midnight.
    assert delay[positive].between(-1, 366).mean() > 0.99
    assert (delay[~positive].fillna(np.inf) >= 364).mean() > 0.99


def test_raw_labels_have_one_row_per_sample_and_truth_one_per_class(drawn):
    raw, truth = labels.raw_labels(drawn).to_pandas(), labels.truth(drawn).to_pandas()
    keys = ["person_id", "prediction_time", "task"]
    assert not raw.duplicated(keys).any()
    assert set(raw.label[raw.task == "ckd_stage"]) == {0, 1, 2}
    assert set(raw.label[raw.task != "ckd_stage"]) == {0, 1}
    assert not truth.duplicated([*keys, "label"]).any()
    assert (truth.label > 0).all()
    assert truth.groupby(keys, dropna=False).probability.sum().le(1).all()
    assert raw.groupby("task").size().equals(truth.drop_duplicates(keys).groupby("task").size())


def test_labels_of_a_whole_history_have_no_prediction_time(drawn):
    raw = labels.raw_labels(drawn).to_pandas()
    assert raw.prediction_time.isna().equals(raw.task != "diabetes_1y")


def test_labels_are_deterministic(drawn):
    assert labels.draw_labels(OPTIONS, 5, 0).equals(drawn)
