"""Temperature scaling: one number that makes a model's probabilities honest (Guo et al., ICML 2017)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, softmax

LARGEST_LOG_TEMPERATURE = 4.0


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature T > 0 that gives ``logits / T`` the smallest log loss.

    Args:
        logits: Of samples that the model was not fitted on, ``[samples, classes]``.
        labels: Class numbers ``[samples]``; or, for several labels per sample, 0, 1 or -100
            (unknown) ``[samples, tasks]``.
    """

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        if labels.ndim == 1:
            return float(
                -np.take_along_axis(log_softmax(scaled, axis=1), labels[:, None], 1).mean()
            )
        sign = np.where(labels == 1, 1.0, -1.0)
        return float(-log_expit(sign * scaled)[labels >= 0].mean())

    bounds = (-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    return float(np.exp(best.x))


def probabilities_of(
    logits: NDArray[np.floating], temperature: float = 1.0, multi_label: bool = False
) -> NDArray[np.float64]:
    """Return the probabilities of logits, in float64: softmax, or a sigmoid per task."""
    scaled = logits.astype(np.float64) / temperature
    return np.asarray(expit(scaled) if multi_label else softmax(scaled, axis=1))
