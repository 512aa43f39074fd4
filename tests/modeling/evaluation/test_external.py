"""What a site says of risks that a model of another site gives."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from clm_ler.modeling.evaluation import external
from clm_ler.modeling.evaluation.bootstrap import patient_weights
from clm_ler.modeling.evaluation.recalibration import along

N = 400
RNG = np.random.default_rng(7)
SCORES = RNG.normal(-1.5, 1.2, N)
LABELS = (RNG.random(N) < expit(SCORES)).astype(int)
RISKS = expit((SCORES + 0.8) / 0.7)  # too high, and too extreme
PERSONS = np.arange(N) // 2  # two predictions each
WEIGHTS = patient_weights(PERSONS, 60)


@pytest.fixture(scope="module")
def found():
    return external.validate(LABELS, RISKS, PERSONS, WEIGHTS, 10)


def test_it_measures_what_others_measure(found):
    assert found["auroc"]["value"] == pytest.approx(roc_auc_score(LABELS, RISKS))
    assert found["brier"]["value"] == pytest.approx(brier_score_loss(LABELS, RISKS))
    assert found["logit_auroc"]["value"] == pytest.approx(logit(roc_auc_score(LABELS, RISKS)))
    fitted = LogisticRegression(C=1e9, tol=1e-10).fit(logit(RISKS)[:, None], LABELS)
    assert found["calibration_slope"]["value"] == pytest.approx(fitted.coef_[0, 0], rel=1e-4)
    assert found["intercept_with_slope"]["value"] == pytest.approx(fitted.intercept_[0], rel=1e-3)
    ratio = np.exp(found["log_observed_to_expected"]["value"])
    assert ratio == pytest.approx(found["events"] / found["expected"])
    assert (found["n"], found["persons"]) == (N, N // 2)


def test_with_the_intercept_alone_as_many_are_expected_as_were_observed(found):
    line = (found["calibration_intercept"]["value"], 1.0)
    assert along(line, RISKS).sum() == pytest.approx(LABELS.sum())


def test_errors_are_those_of_persons():
    """The same samples by as many persons are surer than by half of them."""
    twice = (np.repeat(values, 2) for values in (LABELS, RISKS, np.arange(N)))
    labels, risks, persons = twice
    once = external.validate(labels, risks, persons, patient_weights(persons, 60), 10)
    alone = np.arange(2 * N)
    more = external.validate(labels, risks, alone, patient_weights(alone, 60), 10)
    assert more["auroc"]["se"] < 0.85 * once["auroc"]["se"]


def test_too_few_are_not_told_of():
    few = np.where(np.cumsum(LABELS) <= 9, LABELS, 0)
    assert external.validate(few, RISKS, np.arange(N), WEIGHTS, 10) == {"suppressed": True}


def test_small_groups_are_one_row_and_cannot_be_had_by_subtraction():
    sizes = np.repeat(["large", "middle", "small"], [250, 140, 10])
    groups = {"site": sizes}
    given = (LABELS, RISKS, np.arange(N), groups, patient_weights(np.arange(N), 20))
    rows = external.validate_groups(*given, 10)
    assert [(row["group"], row["suppressed"]) for row in rows] == [
        ("large", False),
        ("(groups of few persons)", True),
    ]
    assert rows[0]["n"] == 250
    assert rows[1].keys() == {"attribute", "group", "suppressed"}


def test_recalibration_mends_what_is_wrong_on_others_too():
    rungs = external.recalibrate(LABELS, RISKS, PERSONS)
    assert list(rungs) == ["unchanged", "intercept", "intercept and slope"]
    assert rungs["unchanged"]["intercept"] == 0
    assert rungs["intercept"]["slope"] == 1
    losses = [rung["log_loss"] for rung in rungs.values()]
    assert losses == sorted(losses, reverse=True)
    whole = rungs["intercept and slope"]
    mended = along((whole["intercept"], whole["slope"]), RISKS)
    again = external.recalibrate(LABELS, mended, PERSONS)["intercept and slope"]
    assert again["intercept"] == pytest.approx(0, abs=1e-6)
    assert again["slope"] == pytest.approx(1, abs=1e-6)


def test_where_there_is_no_line_there_is_no_number():
    labels = (RISKS > 0.5).astype(int)
    rung = external.recalibrate(labels, RISKS, PERSONS)["intercept and slope"]
    assert rung["slope"] is None  # the larger the better, without an end
    separated = external.validate(labels, RISKS, PERSONS, WEIGHTS, 10)
    assert separated["logit_auroc"]["value"] is None
