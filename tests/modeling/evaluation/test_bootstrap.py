import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.utils import resample

from clm_ler.modeling.evaluation import bootstrap
from clm_ler.modeling.evaluation.bootstrap import (
    PatientWeights,
    patient_weights,
    percentile_interval,
    unit_weights,
    weighted_auroc,
    weighted_brier,
    weighted_metrics,
)

SKLEARN = {
    "auroc": roc_auc_score,
    "auprc": average_precision_score,
    "brier": brier_score_loss,
}


def sample(rows: int, seed: int, decimals: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Patients with several rows each, labels, and probabilities with many ties."""
    generator = np.random.default_rng(seed)
    patients = generator.integers(100, 100 + rows // 2, rows)
    labels = generator.random(rows) < 0.3
    scores = np.clip(0.2 * labels + 0.8 * generator.random(rows), 0, 1).round(decimals)
    return patients, labels.astype(np.int8), scores


def test_each_replicate_draws_what_sklearn_draws() -> None:
    patients = np.array([30, 10, 10, 20, 40, 40, 40])
    weights = patient_weights(patients, replicates=20).dense()
    for seed in range(20):
        drawn = resample(np.array([10, 20, 30, 40]), random_state=seed)
        assert weights[seed].tolist() == [(drawn == patient).sum() for patient in patients]


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(40, 120), seed=st.integers(0, 10**6), decimals=st.integers(1, 4))
def test_metrics_equal_sklearn_with_sample_weight(rows: int, seed: int, decimals: int) -> None:
    patients, labels, scores = sample(rows, seed, decimals)
    weights = patient_weights(patients, replicates=7)
    ours = weighted_metrics(labels, scores, weights)
    for name, metric in SKLEARN.items():
        theirs = [metric(labels, scores, sample_weight=row) for row in weights.dense()]
        np.testing.assert_allclose(ours[name], theirs, rtol=0, atol=1e-12)


def test_one_metric_is_that_of_all_three() -> None:
    patients, labels, scores = sample(200, seed=3, decimals=2)
    weights = patient_weights(patients, replicates=9)
    together = weighted_metrics(labels, scores, weights)
    for name, metric in (("auroc", weighted_auroc), ("brier", weighted_brier)):
        np.testing.assert_array_equal(metric(labels, scores, weights), together[name])


def test_blocks_do_not_change_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    patients, labels, scores = sample(300, seed=1, decimals=2)
    weights = patient_weights(patients, replicates=31)
    whole = weighted_metrics(labels, scores, weights)
    monkeypatch.setattr(bootstrap, "BLOCK_ELEMENTS", 4 * 300)
    for name, values in weighted_metrics(labels, scores, weights).items():
        np.testing.assert_allclose(values, whole[name], rtol=0, atol=1e-14)


def test_unit_weights_give_the_point_estimates() -> None:
    _, labels, scores = sample(150, seed=5, decimals=1)
    for name, values in weighted_metrics(labels, scores, unit_weights(150)).items():
        assert values[0] == pytest.approx(SKLEARN[name](labels, scores), abs=1e-12)


def test_a_replicate_without_a_class_is_nan_and_left_out_of_the_interval() -> None:
    labels, scores = np.array([1, 0, 0]), np.array([0.9, 0.2, 0.4])
    weights = patient_weights(np.array([1, 2, 3]), replicates=50)
    drawn = weights.dense()[:, 0] > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = weighted_metrics(labels, scores, weights)
    assert (~drawn).any()
    assert np.isnan(values["auprc"][~drawn]).all()
    assert np.isnan(values["auroc"][~drawn]).all()
    assert percentile_interval(values["auroc"]) == (1.0, 1.0)
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()


def test_a_replicate_that_draws_nobody_with_a_row_is_nan() -> None:
    labels, scores = np.array([1, 0]), np.array([0.9, 0.2])
    weights = PatientWeights(np.array([[2, 0], [0, 2]]), np.array([1, 1]))  # the first has no row
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = weighted_metrics(labels, scores, weights)
    assert all(np.isnan(value[0]) and np.isfinite(value[1]) for value in values.values())


def test_percentile_interval_is_that_of_numpy() -> None:
    values = np.random.default_rng(0).random(1000)
    assert percentile_interval(values) == tuple(np.percentile(values, [2.5, 97.5]))
