import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from clm_ler.modeling.evaluation.bootstrap import patient_weights, weighted_auroc
from clm_ler.modeling.evaluation.differences import AurocEstimate, mean_of

PERSONS = 150


def draw(seed, rows=900):
    generator = np.random.default_rng(seed)
    persons = generator.integers(0, PERSONS, rows)
    risk = generator.normal(size=PERSONS)[persons]  # a person's samples are alike
    labels = (risk + generator.normal(size=rows) > 1).astype(np.int8)
    good = risk + generator.normal(size=rows)
    return persons, labels, good, 0.5 * good + generator.normal(size=rows)


@given(st.integers(0, 1000))
def test_the_value_is_the_auroc_and_the_shares_sum_to_nothing(seed):
    persons, labels, good, _ = draw(seed, 60)
    scores = good.round(0)  # with ties
    estimate = AurocEstimate.of_auroc(labels, scores, persons, PERSONS)
    if 0 < labels.sum() < len(labels):
        assert estimate.value == pytest.approx(roc_auc_score(labels, scores))
        assert estimate.shares.sum() == pytest.approx(0, abs=1e-9)
    else:
        assert np.isnan(estimate.value)


def test_the_interval_of_a_difference_is_that_of_a_bootstrap_of_persons():
    persons, labels, good, poor = draw(1)
    ours, theirs = (AurocEstimate.of_auroc(labels, s, persons, PERSONS) for s in (good, poor))
    lower, upper = (ours - theirs).interval
    weights = patient_weights(persons, 1000)
    resampled = weighted_auroc(labels, good, weights) - weighted_auroc(labels, poor, weights)
    assert (upper - lower) / 2 == pytest.approx(1.96 * resampled.std(), rel=0.08)
    assert (upper + lower) / 2 == pytest.approx(
        roc_auc_score(labels, good) - roc_auc_score(labels, poor)
    )


def test_tasks_of_the_same_persons_are_not_taken_as_independent():
    persons, labels, good, _ = draw(2)
    task = AurocEstimate.of_auroc(labels, good, persons, PERSONS)
    twice = mean_of([task, task])
    assert twice.interval == pytest.approx(task.interval), "the same task again tells nothing new"
    assert (task - task).interval == pytest.approx((0, 0))
