"""Logistic regression of a few columns, exact and with an offset: what calibration is measured by."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[Any]

# A probability of exactly 0 or 1 has no logit and an infinite loss.
SMALLEST_PROBABILITY = 1e-12
NEWTON_STEPS, HALVINGS = 50, 30
ROUNDING = 1e-12  # of a log-likelihood, relative to it


def clipped(probabilities: Array) -> Array:
    """Return probabilities that have a logit, in float64."""
    return np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)


def logistic_fit(design: Array, labels: Array, offset: Array, weights: Array) -> Array:
    """Return the unpenalised coefficients by Newton's method; NaN where there is no maximum.

    A step is halved while it makes the labels less likely: far from the maximum a whole one overshoots.

    Args:
        design: One column for each coefficient, ``[samples, coefficients]``.
        labels: 0 or 1, ``[samples]``.
        offset: What is added to the logit of each sample.
        weights: How often each sample counts.
    """

    def likelihood(coefficients: Array) -> float:
        linear = offset + design @ coefficients
        return float(weights @ (labels * linear - np.logaddexp(0, linear)))

    coefficients = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        fitted = expit(offset + design @ coefficients)
        gradient = design.T @ (weights * (labels - fitted))
        information = design.T @ (design * (weights * fitted * (1 - fitted))[:, None])
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        coefficients = coefficients + _uphill(likelihood, coefficients, step)
        if np.abs(step).max() < 1e-10:
            return coefficients
    return np.full(design.shape[1], np.nan)


def _uphill(likelihood: Callable[[Array], float], coefficients: Array, step: Array) -> Array:
    """Return the step, halved until the likelihood does not fall by more than its rounding."""
    now = likelihood(coefficients)
    least = now - ROUNDING * abs(now)
    parts = (step / 2**n for n in range(HALVINGS))
    return next((part for part in parts if likelihood(coefficients + part) >= least), 0 * step)


def log_losses(labels: Array, risks: Array) -> Array:
    """Return the negative log-likelihood of each label (natural logarithm)."""
    inner = clipped(risks)
    return np.asarray(-np.where(labels == 1, np.log(inner), np.log1p(-inner)))
