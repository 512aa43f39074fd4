"""Labels and predictions in MEDS, as the packages `meds` and `meds-evaluation` take them."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from meds import LabelSchema
from meds_evaluation.evaluate import evaluate_binary_classification
from meds_evaluation.schema import PredictionSchema
from sklearn.metrics import roc_auc_score

from clm_ler.tables.meds import PREDICTIONS, meds_labels, meds_predictions

NOON = datetime(2020, 1, 1, 12, 0, 1)
LABELS = {"person_id": "int64", "prediction_time": "timestamp", "label": "int64", "task": "string"}
SCORES = {
    "person_id": "int64",
    "prediction_time": "timestamp",
    "task": "string",
    "probabilities": "array<float64>",
}
MEDS = {"subject_id": "int64", "prediction_time": "timestamp", "boolean_value": "boolean"}
RISKS = np.random.default_rng(0).uniform(size=40)
TRUTH = [(person, NOON, bool(person % 3)) for person in range(40)]


def scores(risks, task="t"):
    return [(n, NOON, task, [1 - risk, risk]) for n, risk in enumerate(risks)]


@pytest.mark.parametrize(
    ("classes", "column", "kind"), [(2, "boolean_value", bool), (3, "integer_value", int)]
)
def test_labels_are_those_of_meds(as_table, classes, column, kind):
    rows = [(2, NOON, 1, "t"), (1, NOON, classes - 1, "t"), (1, datetime(2019, 1, 1), 0, "t")]
    found = meds_labels(as_table(rows, LABELS)).to_pyarrow()
    LabelSchema.validate(LabelSchema.align(found))
    assert found.column_names == ["subject_id", "prediction_time", column]
    assert found[column].to_pylist() == [kind(0), kind(classes - 1), kind(1)]
    assert found["prediction_time"].to_pylist()[1:] == [NOON, NOON]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, NOON, 1, "a"), (1, NOON, 1, "b")], "there are 2 tasks: choose one"),
        ([(1, None, 1, "a")], "1 labels have no prediction time"),
    ],
)
def test_labels_that_meds_cannot_hold_are_refused(as_table, rows, message):
    with pytest.raises(ValueError, match=message):
        meds_labels(as_table(rows, LABELS))


def test_predictions_are_those_that_meds_evaluation_takes(as_table, caplog):
    """Of the hybrid, where there is one; who cannot be predicted counts with the mean."""
    nothing = as_table([], SCORES)
    asked = as_table(TRUTH, MEDS)
    model, hybrid = (as_table(scores(risks), SCORES) for risks in (1 - RISKS, RISKS[:-1]))
    for of_model, of_hybrid, risks in (
        (model, nothing, 1 - RISKS),
        (model, hybrid, [*RISKS[:-1], RISKS[:-1].mean()]),
    ):
        found = meds_predictions(asked, of_model, of_hybrid, "UTC")
        assert found.schema().to_pyarrow() == PREDICTIONS.to_pyarrow()
        table = found.to_pyarrow()
        PredictionSchema.validate(PredictionSchema.align(table))
        assert table["predicted_boolean_probability"].to_pylist() == pytest.approx(risks)
        measured = evaluate_binary_classification(pl.from_arrow(table))
        expected = roc_auc_score([truth for *_, truth in TRUTH], risks)
        assert measured["samples_equally_weighted"]["roc_auc_score"] == pytest.approx(expected)
    assert "1 labels see no event: they get the mean" in caplog.text


def test_there_are_no_predictions_of_meds_without_labels(as_table):
    """Times alone, or labels of another kind, whose boolean_value is empty."""
    model = as_table(scores(RISKS), SCORES)
    empty = as_table([(1, NOON, None)], MEDS | {"boolean_value": "string"})
    for asked in (None, empty.drop("boolean_value"), empty):
        found = meds_predictions(asked, model, model, "UTC")
        assert found.schema() == PREDICTIONS
        assert found.count().execute() == 0


def test_labels_that_are_numbers_are_predicted_as_well(as_table):
    model = as_table(scores(RISKS), SCORES)
    rows = [(person, time, None, int(truth)) for person, time, truth in TRUTH]
    asked = as_table(rows, MEDS | {"integer_value": "int64"})
    found = meds_predictions(asked, model, model.limit(0), "UTC").to_pyarrow()
    assert found["boolean_value"].to_pylist() == [truth for *_, truth in TRUTH]


@pytest.mark.parametrize(
    ("asked", "predicted", "message"),
    [
        ([(1, NOON, True), (2, NOON, None)], scores(RISKS), "1 rows have no label"),
        (TRUTH, scores(RISKS) + scores(RISKS, "u"), "predicts 2 tasks of 2 classes"),
        (TRUTH, [(1, NOON, "t", [0.1, 0.2, 0.7])], "predicts 1 tasks of 3 classes"),
    ],
)
def test_what_is_no_yes_or_no_is_refused(as_table, asked, predicted, message):
    table = as_table(predicted, SCORES)
    with pytest.raises(ValueError, match=message):
        meds_predictions(as_table(asked, MEDS), table, table.limit(0), "UTC")
