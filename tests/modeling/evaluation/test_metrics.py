import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from clm_ler.modeling.evaluation import metrics as evaluation
from clm_ler.modeling.evaluation.bootstrap import patient_weights, unit_weights
from clm_ler.modeling.evaluation.groups import SMALL_GROUPS
from clm_ler.modeling.evaluation.metrics import (
    alert_metrics,
    binary_metrics,
    calibration_curve,
    decision_curve,
    multiclass_metrics,
    subgroup_metrics,
    threshold_metrics,
)

EXACT = {"rel": 0, "abs": 1e-9}


@pytest.fixture
def sample():
    """Predictions that discriminate and are too extreme, several samples a person, ties included."""
    rng = np.random.default_rng(3)
    risk = np.round(rng.beta(1, 3, 300), 2)
    labels = (rng.random(300) < risk).astype(int)
    probabilities = np.clip(expit(2 * logit(np.clip(risk, 0.01, 0.99))), 0, 1)
    return labels, probabilities, rng.integers(0, 120, 300)


def value_of(report, name):
    return report[name]["value"]


def test_binary_metrics_are_scikit_learns(sample):
    labels, probabilities, persons = sample
    report = binary_metrics(labels, probabilities, patient_weights(persons, 5))
    expected = {
        "auroc": sk.roc_auc_score(labels, probabilities),
        "auprc": sk.average_precision_score(labels, probabilities),
        "brier": sk.brier_score_loss(labels, probabilities),
        "log_loss": sk.log_loss(labels, probabilities),
    }
    assert {name: value_of(report, name) for name in expected} == pytest.approx(expected, **EXACT)


def test_calibration_slope_is_an_unpenalised_logistic_regression(sample):
    labels, probabilities, _ = sample
    fit = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    fit.fit(logit(probabilities)[:, None], labels)
    slope = evaluation.calibration_slope(labels, probabilities, np.ones(300))
    assert slope == pytest.approx(fit.coef_[0, 0], **EXACT)
    assert slope < 1  # the fixture is too extreme


def test_calibration_solves_its_score_equations(sample):
    labels, probabilities, persons = sample
    weights = patient_weights(persons, 1).dense()[0].astype(float)
    intercept = evaluation.calibration_intercept(labels, probabilities, weights)
    expected = brentq(
        lambda a: np.sum(weights * (labels - expit(a + logit(probabilities)))), -5, 5, xtol=1e-13
    )
    assert intercept == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize(("mean", "shift"), [(-3, 3), (-5, 3), (3, -4), (-8, 7)])
def test_calibration_in_the_large_is_known_however_wrong_the_risks_are(mean, shift):
    rng = np.random.default_rng(0)
    scores = rng.normal(mean, 1, 2000)
    labels = (rng.random(2000) < expit(scores + shift)).astype(int)
    for weights in patient_weights(np.arange(2000), 5).dense().astype(float):
        expected = brentq(lambda a, w=weights: w @ (labels - expit(scores + a)), -30, 30)
        found = evaluation.calibration_intercept(labels, expit(scores), weights)
        assert found == pytest.approx(expected, abs=1e-6)
    assert np.isnan(evaluation.calibration_intercept(0 * labels, expit(scores), weights))


def test_calibration_without_a_maximum_is_undefined():
    labels, probabilities = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    report = binary_metrics(labels, probabilities, unit_weights(4))
    assert report["calibration_slope"]["value"] is None
    assert report["auroc"]["value"] == 1.0


def test_expected_to_observed_counts_outcomes_by_weight():
    labels, risks, weights = (
        np.array([1, 0, 0, 1]),
        np.array([0.5, 0.5, 0.25, 0.75]),
        np.array([1, 2, 0, 3]),
    )
    assert evaluation.expected_to_observed(labels, risks, weights) == pytest.approx(3.75 / 4)
    assert np.isnan(evaluation.expected_to_observed(labels * 0, risks, weights))


def test_ece_is_the_weighted_gap_by_bin():
    labels = np.array([0, 1, 1, 1])
    probabilities = np.array([0.1, 0.3, 0.9, 0.8])
    error = evaluation.expected_calibration_error(labels, probabilities, np.ones(4), bins=2)
    assert error == pytest.approx(0.5 * abs(0.5 - 0.2) + 0.5 * abs(1 - 0.85), **EXACT)


def test_one_class_leaves_discrimination_undefined():
    report = binary_metrics(np.zeros(5, int), np.linspace(0.1, 0.5, 5), unit_weights(5))
    assert report["auroc"] == {"value": None, "lower": None, "upper": None}
    assert report["brier"]["value"] > 0


def test_intervals_are_a_bootstrap_over_persons(sample):
    labels, probabilities, persons = sample
    weights = patient_weights(persons, 50)
    report = binary_metrics(labels, probabilities, weights)
    by_hand = {
        "auroc": lambda w: sk.roc_auc_score(labels, probabilities, sample_weight=w),
        "log_loss": lambda w: sk.log_loss(labels, probabilities, sample_weight=w),
    }
    for name, metric in by_hand.items():
        lower, upper = np.percentile([metric(w) for w in weights.dense()], [2.5, 97.5])
        assert report[name]["lower"] == pytest.approx(lower, **EXACT)
        assert report[name]["upper"] == pytest.approx(upper, **EXACT)


def test_multiclass_is_one_against_the_rest():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 200)
    probabilities = rng.dirichlet(np.ones(3) + 2 * np.eye(3)[rng.integers(0, 3)], 200)
    report = multiclass_metrics(labels, probabilities, unit_weights(200))
    macro = sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert value_of(report["macro"], "auroc") == pytest.approx(macro, **EXACT)
    assert value_of(report["overall"], "accuracy") == pytest.approx(
        sk.accuracy_score(labels, probabilities.argmax(1)), **EXACT
    )
    assert value_of(report["overall"], "log_loss") == pytest.approx(
        sk.log_loss(labels, probabilities), **EXACT
    )
    assert value_of(report["overall"], "brier") == pytest.approx(
        sk.brier_score_loss(labels, probabilities, scale_by_half=False), **EXACT
    )
    assert value_of(report["class_2"], "auprc") == pytest.approx(
        sk.average_precision_score(labels == 2, probabilities[:, 2]), **EXACT
    )


def test_threshold_metrics_count_the_confusion_table(sample):
    labels, probabilities, _ = sample
    (row,) = threshold_metrics(labels, probabilities, [0.2], unit_weights(300))
    flagged = probabilities >= 0.2
    expected = {
        "sensitivity": sk.recall_score(labels, flagged),
        "specificity": sk.recall_score(labels, flagged, pos_label=0),
        "ppv": sk.precision_score(labels, flagged),
        "npv": sk.precision_score(labels, flagged, pos_label=0),
        "flagged": flagged.mean(),
    }
    assert {name: value_of(row, name) for name in expected} == pytest.approx(expected, **EXACT)


def test_who_is_flagged_is_counted_in_persons():
    persons, risks = np.array([0, 0, 1, 1, 2]), np.array([0.9, 0.8, 0.7, 0.1, 0.2])
    (row,) = threshold_metrics(np.ones(5, int), risks, [0.5], patient_weights(persons, 5))
    assert (row["persons"], row["persons_not_flagged"]) == (2, 2)


def test_who_flags_all_gains_nothing_not_even_by_rounding():
    rng = np.random.default_rng(0)
    for size in range(50, 150):
        labels, risks = rng.integers(0, 2, size), rng.uniform(0.5, 1, size)
        curve = decision_curve(labels, risks, np.arange(0.01, 0.5, 0.01))
        assert curve["model"] == curve["treat_all"]


def test_net_benefit_by_its_definition(sample):
    labels, probabilities, _ = sample
    curve = decision_curve(labels, probabilities, np.array([0.25]))
    flagged = probabilities >= 0.25
    benefit = (flagged & (labels == 1)).mean() - (flagged & (labels == 0)).mean() / 3
    assert curve["model"] == pytest.approx([benefit], **EXACT)
    assert curve["treat_all"] == pytest.approx([labels.mean() - (1 - labels.mean()) / 3], **EXACT)


def test_calibration_curve_keeps_every_sample(sample):
    labels, probabilities, _ = sample
    curve = calibration_curve(labels, probabilities)
    assert sum(curve["n"]) == 300
    assert curve["predicted"] == sorted(curve["predicted"])
    assert np.dot(curve["observed"], curve["n"]) == pytest.approx(labels.sum())


def test_small_groups_cannot_be_read_or_computed(sample):
    labels, probabilities, _ = sample
    persons = np.arange(300)
    group = np.where(persons < 4, "tiny", np.where(persons < 150, "middle", "large"))
    rows = subgroup_metrics(
        labels, probabilities, {"site": group}, persons, unit_weights(300), smallest_cell=10
    )
    # Only "tiny" hidden would leave its size to a subtraction: one more group goes. Neither has a name.
    shown, hidden = rows
    assert hidden == {"attribute": "site", "group": SMALL_GROUPS, "suppressed": True}
    mask = group == shown["group"]
    assert shown["n"] == mask.sum()
    sick, n = int(labels[mask].sum()), int(mask.sum())
    assert shown["persons_by_class"] == {"0": n - sick, "1": sick}
    assert value_of(shown, "auroc") == pytest.approx(
        sk.roc_auc_score(labels[mask], probabilities[mask]), **EXACT
    )


def test_the_highest_risks_are_alerted_and_no_other():
    risks = np.arange(100) / 100
    labels = (risks >= 0.9).astype(int)
    rows = alert_metrics(labels, risks, [0.05, 0.2], patient_weights(np.arange(100), 20))
    assert [row["persons"] for row in rows] == [5, 20]
    assert [row["sensitivity"]["value"] for row in rows] == [0.5, 1.0]
    assert [row["ppv"]["value"] for row in rows] == [1.0, 0.5]
    tied = alert_metrics(labels, np.full(100, 0.5), [0.05], patient_weights(np.arange(100), 20))
    assert tied[0]["persons"] == 100
