"""The smooth calibration curve finds what the risks are off by, as sure as the persons let it be."""

import numpy as np
import pytest
from scipy.special import expit, logit

from clm_ler.modeling.evaluation.bootstrap import patient_weights, unit_weights
from clm_ler.modeling.evaluation.smooth import SPAN, loess, smooth_calibration

RNG = np.random.default_rng(3)
N = 4000
RISKS = expit(RNG.normal(-1, 1, N))
TRUTH = expit(0.6 * logit(RISKS) - 0.3)
LABELS = (RNG.random(N) < TRUTH).astype(int)
WEIGHTS = patient_weights(np.arange(N), 60)


def test_it_finds_the_truth_and_how_far_the_risks_are_from_it():
    found = smooth_calibration(LABELS, RISKS, WEIGHTS)
    truth = expit(0.6 * logit(np.array(found["predicted"])) - 0.3)
    assert found["observed"] == pytest.approx(truth, abs=0.06)
    inside = (np.array(found["lower"]) < truth) & (truth < np.array(found["upper"]))
    assert inside.mean() > 0.7
    wrong = np.abs(TRUTH - RISKS).mean()
    assert found["ici"]["value"] == pytest.approx(wrong, abs=0.02)
    honest = smooth_calibration(LABELS, TRUTH, WEIGHTS)
    assert honest["ici"]["value"] < 0.02 < wrong


def test_it_is_the_local_line_that_weighted_least_squares_gives():
    at, few = 0.3, slice(0, 200)
    away = np.abs(RISKS[few] - at)
    width = np.sort(away)[int(SPAN * 200) - 1]
    near = np.sqrt(np.clip(1 - (away / width) ** 3, 0, None) ** 3)
    slope, constant = np.polyfit(RISKS[few], LABELS[few], 1, w=near)
    once = loess(LABELS[few], RISKS[few], np.array([at]), unit_weights(200))
    assert once[0, 0] == pytest.approx(constant + slope * at, rel=1e-6)


def test_intervals_are_those_of_persons():
    def widths(persons):
        found = smooth_calibration(LABELS, RISKS, patient_weights(persons, 60))
        return np.mean(np.array(found["upper"]) - found["lower"])

    again = np.repeat(np.arange(N // 20), 20)
    order = np.argsort(LABELS)  # persons of one label each: twenty samples tell no more than one
    together = np.empty(N, int)
    together[order] = again
    assert widths(together) > 2 * widths(np.arange(N))


def test_equal_risks_have_the_mean():
    labels = np.array([0, 0, 1, 0])
    assert loess(labels, np.full(4, 0.2), np.array([0.2]), unit_weights(4)) == pytest.approx(0.25)
