"""Risks made honest: what is chosen, what it rests on, and that it never changes the order."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from clm_ler.modeling.evaluation import recalibration
from clm_ler.modeling.evaluation.recalibration import (
    METHODS,
    Recalibration,
    apply_to_risks,
    choose_recalibration,
)
from tests.modeling.evaluation.test_external import LABELS, PERSONS, RISKS, N

RNG = np.random.default_rng(11)
MANY = 6000
ODDS = RNG.normal(-1, 1.5, MANY)
ALONE = np.arange(MANY)
TRUTHS = {
    "none": ODDS,
    "intercept": ODDS - 1,
    "platt": 0.5 * ODDS - 0.5,
    "isotonic": np.where(ODDS > -1, 1.0, -2.5),  # a step, which no line is
}


@pytest.mark.parametrize("right", TRUTHS)
def test_the_plainest_way_that_is_right_is_chosen(right):
    labels = (RNG.random(MANY) < expit(TRUTHS[right])).astype(int)
    found, told = choose_recalibration(labels, ODDS, ALONE)
    assert found.method == told["method"] == right
    assert told["fewest"] == min(labels.sum(), MANY - labels.sum())
    assert np.abs(expit(found.apply(ODDS)) - expit(TRUTHS[right])).mean() < 0.05


def test_few_persons_choose_nothing_that_they_cannot_carry():
    """Of a model that is right, with a dozen cases of the outcome: a freer way would only fit noise."""
    rng = np.random.default_rng(0)
    chosen = []
    for _ in range(20):
        odds = rng.normal(-2.5, 1, 120)
        labels = (rng.random(120) < expit(odds)).astype(int)
        found, told = choose_recalibration(labels, odds, np.arange(120))
        chosen.append(found.method)
        assert told["log_loss"]["isotonic"] is None
    assert chosen.count("none") >= 14


def test_many_samples_of_few_persons_are_few():
    step = (RNG.random(MANY) < expit(TRUTHS["isotonic"])).astype(int)
    assert choose_recalibration(step, ODDS, ALONE // 40)[1]["log_loss"]["isotonic"] is None


@pytest.mark.parametrize("method", METHODS)
def test_a_way_may_be_wanted_and_is_kept_as_json(method):
    found, _told = choose_recalibration(LABELS, logit(RISKS), PERSONS, method)
    again = Recalibration(**json.loads(json.dumps(found.as_json())))
    assert again.method == method
    assert again.apply(logit(RISKS)).tolist() == found.apply(logit(RISKS)).tolist()
    if method != "none":  # as many are expected as were observed
        expected = apply_to_risks(found, RISKS).sum()
        assert expected == pytest.approx(LABELS.sum(), rel=0.1 if method == "isotonic" else 1e-6)


def test_what_cannot_be_fitted_is_told():
    with pytest.raises(ValueError, match=r"finetune\.recalibration: platt cannot be fitted"):
        # It would turn the order round.
        choose_recalibration(LABELS, -logit(RISKS), PERSONS, "platt")
    assert choose_recalibration(LABELS, -logit(RISKS), PERSONS)[1]["log_loss"]["platt"] is None


@given(st.integers(0, 2**32), st.sampled_from([*METHODS]))
def test_who_is_above_whom_stays(seed, method):
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 2, 150)
    labels = (rng.random(150) < expit(odds + rng.normal(0, 1, 150))).astype(int)
    found = METHODS[method](labels, expit(odds), np.arange(150))
    if found is not None:
        order = np.argsort(odds)
        assert (np.diff(found.apply(odds)[order]) > 0).all()


@pytest.mark.parametrize("fewest", [1, 10, 60])
def test_bins_have_enough_persons_of_both_classes_and_lose_nobody(fewest):
    bins = recalibration.merged_bins(LABELS, RISKS, PERSONS, fewest, 10)
    assert sum(row["n"] for row in bins) == N
    assert sum(row["events"] for row in bins) == LABELS.sum()
    assert sum(row["expected"] for row in bins) == pytest.approx(RISKS.sum())
    means = [row["expected"] / row["n"] for row in bins]
    assert means == sorted(means)
    for row in bins:
        assert row["events"] >= fewest
        assert row["n"] - row["events"] >= fewest


def test_equal_risks_are_in_one_bin():
    """Many persons with little record have one risk: which of them come first is chance."""
    rng = np.random.default_rng(0)
    known = rng.normal(-1, 1.5, 3000)
    odds = np.where(rng.random(3000) < 0.5, -2.0, known)
    labels = (rng.random(3000) < expit(odds)).astype(int)
    found = METHODS["isotonic"](labels, expit(odds), np.arange(3000))
    assert (np.diff(found.at) > 1e-6).all()
    assert len(recalibration.merged_bins(labels, np.full(3000, 0.2), np.arange(3000), 10, 20)) == 1


def test_bins_count_persons_not_predictions():
    assert recalibration.merged_bins(LABELS, RISKS, np.zeros(N, int), 2, 10) == []
