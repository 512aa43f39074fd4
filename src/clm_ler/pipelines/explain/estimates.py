"""Means with 95 % intervals, clustered by person."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clm_ler.modeling.evaluation.bootstrap import patient_weights, weighted_sums
from clm_ler.modeling.evaluation.metrics import Estimate, estimate

REPLICATES = 1000


def clustered_mean(values: NDArray[np.float64], persons: NDArray[Any]) -> Estimate | None:
    """Return the mean of those that are a number; ``None`` where none is."""
    known = ~np.isnan(values)
    return clustered_ratio(values[known], np.ones(known.sum()), persons[known])


def clustered_ratio(above: ArrayLike, below: ArrayLike, persons: NDArray[Any]) -> Estimate | None:
    """Return the ratio of two sums over samples; ``None`` where there is no sample."""
    over, under = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if not len(over):
        return None
    weights = patient_weights(persons, REPLICATES)
    replicates = weighted_sums(over, weights) / weighted_sums(under, weights)
    return estimate(np.array([over.sum() / under.sum()]), replicates)
