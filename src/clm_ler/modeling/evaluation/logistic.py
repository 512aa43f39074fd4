"""Logistic regression of a few columns, exact and with an offset: what calibration is measured by."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[Any]

# A probability of exactly 0 or 1 has no logit and an infinite loss.
SMALLEST_PROBABILITY = 1e-12
NEWTON_STEPS = 50


def clipped(probabilities: Array) -> Array:
    """Return probabilities that have a logit, in float64."""
    return np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)


def logistic_fit(design: Array, labels: Array, offset: Array, weights: Array) -> Array:
    """Return the unpenalised coefficients by Newton's method; NaN where there is no maximum.

    Args:
        design: One column for each coefficient, ``[samples, coefficients]``.
        labels: 0 or 1, ``[samples]``.
        offset: What is added to the logit of each sample.
        weights: How often each sample counts.
    """
    coefficients = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        fitted = expit(offset + design @ coefficients)
        gradient = design.T @ (weights * (labels - fitted))
        information = design.T @ (design * (weights * fitted * (1 - fitted))[:, None])
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        coefficients = coefficients + step
        if np.abs(step).max() < 1e-10:
            return coefficients
    return np.full(design.shape[1], np.nan)


def log_losses(labels: Array, risks: Array) -> Array:
    """Return the negative log-likelihood of each label (natural logarithm)."""
    inner = clipped(risks)
    return np.asarray(-np.where(labels == 1, np.log(inner), np.log1p(-inner)))
