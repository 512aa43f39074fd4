from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit, softmax

from clm_ler.modeling.evaluation.calibration import calibrated, fit_temperature, probabilities_of
from clm_ler.modeling.evaluation.recalibration import Recalibration


def test_recovers_the_temperature_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(20000, 3))
    draws = rng.random((20000, 1))
    labels = (draws > np.cumsum(softmax(logits, axis=1), axis=1)).sum(axis=1)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.03)


def test_temperature_does_not_change_the_order():
    logits = np.array([[0.0, 2.0], [0.0, -1.0]], np.float32)
    probabilities = probabilities_of(logits, temperature=2.0)
    assert probabilities[:, 1] == pytest.approx(expit([1.0, -0.5]))
    assert probabilities_of(logits, multi_label=True) == pytest.approx(expit(logits))


def test_each_outcome_has_its_own_recalibration():
    shift = Recalibration("intercept", to=(-1.0,)).as_json()
    line = Recalibration("platt", to=(0.5,), slope=2.0).as_json()
    logits = np.array([[0.0, 2.0], [0.5, -1.0]], np.float32)
    config = SimpleNamespace(problem_type=None, recalibration=[line])
    two = calibrated(logits, config)
    assert two[:, 1] == pytest.approx(expit([4.5, -2.5]))
    assert two.sum(axis=1) == pytest.approx(1)
    config = SimpleNamespace(problem_type="multi_label_classification", recalibration=[shift, line])
    several = calibrated(logits, config)
    assert several == pytest.approx(expit([[-1.0, 4.5], [-0.5, -1.5]]))
