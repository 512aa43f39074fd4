"""Logits to probabilities that can be believed, as the configuration of a model says.

Each binary outcome has its own recalibration (:mod:`.recalibration`); several classes share a temperature, one
number (Guo et al., ICML 2017).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from clm_ler.modeling.evaluation.recalibration import Recalibration

LARGEST_LOG_TEMPERATURE = 4.0


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature T > 0 that gives ``logits / T`` the smallest log loss.

    Args:
        logits: Of samples that the model was not fitted on, ``[samples, classes]``.
        labels: Class numbers ``[samples]``.
    """

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        log_probabilities = log_softmax(scaled, axis=1)
        return float(-np.take_along_axis(log_probabilities, labels[:, None], 1).mean())

    bounds = (-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return float(np.exp(best.x))


def probabilities_of(
    logits: NDArray[np.floating], temperature: float = 1.0, multi_label: bool = False
) -> NDArray[np.float64]:
    """Return the probabilities of logits, in float64: softmax, or a sigmoid per task."""
    scaled = logits.astype(np.float64) / temperature
    return np.asarray(expit(scaled) if multi_label else softmax(scaled, axis=1))


def log_odds(logits: NDArray[np.floating], multi_label: bool) -> NDArray[np.float64]:
    """Return the log-odds of each binary outcome: each task, or the second one of two classes."""
    exact = logits.astype(np.float64)
    return exact if multi_label else exact[:, 1:] - exact[:, :1]


def calibrated(logits: NDArray[np.floating], config: Any) -> NDArray[np.float64]:
    """Return the probabilities that a fine-tuned model means by its logits, as :func:`probabilities_of` does.

    A model of several classes, or of an earlier version, has a temperature in place of recalibrations.
    """
    multi_label = config.problem_type == "multi_label_classification"
    maps = getattr(config, "recalibration", None)
    if maps is None:
        temperature = getattr(config, "calibration_temperature", 1.0)
        return probabilities_of(logits, temperature, multi_label)
    odds = log_odds(logits, multi_label).T
    found = [Recalibration(**m).apply(o) for m, o in zip(maps, odds, strict=True)]
    risks = np.asarray(expit(np.column_stack(found)))
    return risks if multi_label else np.hstack([1 - risks, risks])
