"""The smooth calibration curve: observed against predicted risk by LOESS, with intervals of persons.

Local lines through the nearest ``SPAN`` of the samples, weighted by the cube of the distance (Cleveland, JASA
1979;74:829), as Austin and Steyerberg advise for risks (Stat Med 2014;33:517). Its mean distance from the diagonal is
the integrated calibration index (Stat Med 2019;38:4051).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clm_ler.modeling.evaluation.bootstrap import (
    PatientWeights,
    percentile_interval,
    unit_weights,
    weighted_sums,
)
from clm_ler.modeling.evaluation.metrics import estimate

Array = NDArray[Any]

SPAN = 0.75
# Equal shares of the samples: a mean over these points is one over the samples.
PERCENTILES = np.arange(1, 100, 2)


def smooth_calibration(labels: Array, risks: Array, weights: PatientWeights) -> dict[str, Any]:
    """Return the curve, and how far it is from right ones.

    Args:
        labels: 0 or 1, ``[n]``.
        risks: Predicted, ``[n]``.
        weights: How often each sample is drawn in each replicate.

    Returns:
        ``predicted`` (percentiles of the risks), ``observed`` with ``lower`` and ``upper`` (95 %), and ``ici``, the
        integrated calibration index with its interval: 0 is right.
    """
    at = np.percentile(risks, PERCENTILES)
    curve = loess(labels, risks, at, unit_weights(len(labels)))
    drawn = loess(labels, risks, at, weights)
    intervals = np.array([percentile_interval(values) for values in drawn.T])
    return {
        "predicted": at.tolist(),
        "observed": curve[0].tolist(),
        "lower": intervals[:, 0].tolist(),
        "upper": intervals[:, 1].tolist(),
        "ici": estimate(np.abs(curve - at).mean(axis=1), np.abs(drawn - at).mean(axis=1)),
    }


def loess(labels: Array, risks: Array, at: Array, weights: PatientWeights) -> Array:
    """Return the smooth share of 1 at each of the risks ``at``, in each replicate: ``[replicates, points]``."""
    return np.stack([_at_point(labels, risks, point, weights) for point in at], axis=1)


def _at_point(labels: Array, risks: Array, point: float, weights: PatientWeights) -> Array:
    away = risks.astype(np.float64) - point
    nearest = max(int(np.ceil(SPAN * len(away))) - 1, 0)
    width = np.partition(np.abs(away), nearest)[nearest] * (1 + 1e-9) + 1e-12
    near = np.clip(1 - (np.abs(away) / width) ** 3, 0, None) ** 3
    terms = (near, near * away, near * away**2, near * labels, near * away * labels)
    size, moment, spread, events, slope = (weighted_sums(values, weights) for values in terms)
    free = size * spread - moment**2
    with np.errstate(divide="ignore", invalid="ignore"):
        line = (spread * events - moment * slope) / free
        mean = events / size
    straight = free > 1e-9 * size * spread  # else all risks are the same, and there is no line
    return np.clip(np.where(straight, line, mean), 0, 1)
