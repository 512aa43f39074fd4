"""Recalibration of predicted risks on held-out persons, on the scale of log-odds.

Four ways, from the plainest: ``none``; ``intercept``, a shift; ``platt``, a line (Platt 1999, Cox 1958);
``isotonic``, a rising curve through bins of rising risk (Zadrozny and Elkan, KDD 2002). Each is a rising
function, so that who is above whom stays.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from clm_ler.modeling.evaluation.groups import smallest_cell
from clm_ler.modeling.evaluation.logistic import clipped, log_losses, logistic_fit

Array = NDArray[Any]
Line = tuple[float, float]  # intercept and slope on the logit

FOLDS = 5
# A curve needs so many persons with and without the outcome (Van Calster et al., J Clin Epidemiol 2016;74:167).
FEWEST_FOR_A_CURVE = 200
# A bin of it is of so many of both at least: less would be noise, and tell of single persons.
MOST_BINS, FEWEST_IN_A_BIN = 20, 10


@dataclass(frozen=True)
class Recalibration:
    """A rising function of log-odds: straight between its points, and beyond them with a given slope.

    Attributes:
        method: How it was made.
        at: Log-odds of the model, rising.
        to: What they become.
        slope: Before the first and after the last point.
    """

    method: str
    at: tuple[float, ...] = (0.0,)
    to: tuple[float, ...] = (0.0,)
    slope: float = 1.0

    def apply(self, log_odds: Array) -> Array:
        """Return the recalibrated log-odds."""
        beyond = np.minimum(log_odds - self.at[0], 0) + np.maximum(log_odds - self.at[-1], 0)
        return np.asarray(np.interp(log_odds, self.at, self.to) + self.slope * beyond)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {name: list(v) if name in ("at", "to") else v for name, v in asdict(self).items()}


def intercept_only(labels: Array, risks: Array, weights: Array) -> Line:
    """Return the line that shifts the logits of risks, as a regression with them as offset says."""
    shift = logistic_fit(np.ones((len(labels), 1)), labels, logit(clipped(risks)), weights)
    return float(shift[0]), 1.0


def intercept_and_slope(labels: Array, risks: Array, weights: Array) -> Line:
    """Return the line of logistic recalibration (Cox, Biometrika 1958;45:562)."""
    scores = logit(clipped(risks))
    design = np.column_stack([np.ones(len(scores)), scores])
    found = logistic_fit(design, labels, np.zeros(len(scores)), weights)
    return float(found[0]), float(found[1])


def along(line: Line, risks: Array) -> Array:
    """Return the recalibrated risks."""
    intercept, slope = line
    return np.asarray(expit(intercept + slope * logit(clipped(risks))))


def merged_bins(
    labels: Array, risks: Array, persons: Array, fewest: int, most: int
) -> list[dict[str, Any]]:
    """Return ``n, expected, events`` of bins of rising risk, each of enough persons of both classes.

    At most so many bins of equal size, but for equal risks, are merged with the next one until they are; what
    is left at the end goes into the last.
    """
    order = np.argsort(risks, kind="stable")
    ordered = risks[order]
    ends = np.cumsum([len(part) for part in np.array_split(order, most)])
    # Equal risks are not parted: which of them come first is chance.
    cuts = np.searchsorted(ordered, ordered[ends[ends < len(order)]])
    bins: list[Array] = []
    waiting = order[:0]
    for part in np.split(order, cuts):
        waiting = np.concatenate([waiting, part])
        if smallest_cell(labels[waiting], persons[waiting]) >= fewest:
            bins.append(waiting)
            waiting = order[:0]
    if bins and len(waiting):
        bins[-1] = np.concatenate([bins[-1], waiting])
    return [
        {
            "n": len(rows),
            "expected": float(risks[rows].sum()),
            "events": int(labels[rows].sum()),
        }
        for rows in bins
    ]


def on_others(
    labels: Array,
    risks: Array,
    persons: Array,
    fit_and_apply: Callable[[Array, Array, Array, Array], Array],
) -> Array:
    """Return the risks recalibrated without the person's own fifth of the persons.

    Args:
        labels: 0 or 1, ``[n]``.
        risks: Predicted, ``[n]``.
        persons: Whose they are, ``[n]``.
        fit_and_apply: Takes labels, risks and persons to fit on and the risks of others; returns these anew.
    """
    fold = np.unique(persons, return_inverse=True)[1] % FOLDS
    found = np.full(len(labels), np.nan)
    for number in range(FOLDS):
        rest, own = fold != number, fold == number
        if own.any():
            found[own] = fit_and_apply(labels[rest], risks[rest], persons[rest], risks[own])
    return found


def _intercept(labels: Array, risks: Array, persons: Array) -> Recalibration | None:
    return _straight("intercept", intercept_only(labels, risks, np.ones(len(labels))))


def _platt(labels: Array, risks: Array, persons: Array) -> Recalibration | None:
    return _straight("platt", intercept_and_slope(labels, risks, np.ones(len(labels))))


def _straight(method: str, line: Line) -> Recalibration | None:
    """Return a line; nothing where there is none, or it falls."""
    intercept, slope = line
    if not (np.isfinite(intercept) and slope > 0):
        return None
    return Recalibration(method, to=(intercept,), slope=slope)


def _isotonic(labels: Array, risks: Array, persons: Array) -> Recalibration | None:
    """Return the rising curve through bins of enough persons; neighbours that would fall are one point."""
    bins = merged_bins(labels, risks, persons, FEWEST_IN_A_BIN, MOST_BINS)
    if not bins:
        return None
    n, expected, events = (np.array([row[k] for row in bins]) for k in ("n", "expected", "events"))
    pooled = isotonic_regression(events / n, weights=n).blocks[:-1]
    n, expected, events = (np.add.reduceat(values, pooled) for values in (n, expected, events))
    return Recalibration(
        "isotonic", tuple(logit(expected / n).tolist()), tuple(logit(events / n).tolist())
    )


METHODS: dict[str, Callable[[Array, Array, Array], Recalibration | None]] = {
    "none": lambda labels, risks, persons: Recalibration("none"),
    "intercept": _intercept,
    "platt": _platt,
    "isotonic": _isotonic,
}


def choose_recalibration(
    labels: Array, log_odds: Array, persons: Array, wanted: str = "auto"
) -> tuple[Recalibration, dict[str, Any]]:
    """Return how log-odds are recalibrated, and what that rests on.

    ``auto`` goes from the plainest method to the freest. A freer one is taken where it lowers the log loss of
    persons that it was not fitted on by more than the standard error of the difference, which is that of
    persons; ``isotonic`` only where 200 of them have and 200 have not the outcome.

    Args:
        labels: 0 or 1, of validation samples, ``[n]``.
        log_odds: Of the model, ``[n]``.
        persons: Whose they are, ``[n]``.
        wanted: ``auto`` or one of ``METHODS``.

    Returns:
        The recalibration; ``method``, ``fewest`` (persons with or without the outcome, the smaller number) and
        the ``log_loss`` of each method on other persons, null where it cannot be fitted.

    Raises:
        ValueError: If the wanted method cannot be fitted.
    """
    risks = expit(log_odds.astype(np.float64))
    fewest = smallest_cell(labels, persons)
    losses = {name: _losses(name, labels, risks, persons) for name in METHODS}
    if fewest < FEWEST_FOR_A_CURVE:
        losses["isotonic"] = None
    method = _clearly_best(losses, persons) if wanted == "auto" else wanted
    found = METHODS[method](labels, risks, persons)
    if found is None:
        raise ValueError(
            f"finetune.recalibration: {method} cannot be fitted on the validation samples of {fewest} persons "
            "with, or without, the outcome. Take auto or none."
        )
    told = {name: None if loss is None else float(loss.mean()) for name, loss in losses.items()}
    return found, {"method": method, "fewest": fewest, "log_loss": told}


def _losses(name: str, labels: Array, risks: Array, persons: Array) -> Array | None:
    """Return the log loss of each sample, its risk recalibrated by other persons."""

    def fit_and_apply(known: Array, given: Array, whose: Array, others: Array) -> Array:
        found = METHODS[name](known, given, whose)
        return np.full(len(others), np.nan) if found is None else apply_to_risks(found, others)

    recalibrated = on_others(labels, risks, persons, fit_and_apply)
    if np.isnan(recalibrated).any():
        return None
    return log_losses(labels, recalibrated)


def apply_to_risks(found: Recalibration, risks: Array) -> Array:
    """Return recalibrated risks."""
    return np.asarray(expit(found.apply(logit(clipped(risks)))))


def _clearly_best(losses: Mapping[str, Array | None], persons: Array) -> str:
    best, least = "none", losses["none"]
    assert least is not None
    for name, loss in losses.items():
        if loss is not None and (least - loss).mean() > _error_of_mean(least - loss, persons):
            best, least = name, loss
    return best


def _error_of_mean(values: Array, persons: Array) -> float:
    """Return the standard error of a mean of samples whose persons, not they, are independent."""
    whose = np.unique(persons, return_inverse=True)[1]
    sums = np.bincount(whose, values - values.mean())
    return float(np.sqrt((sums**2).sum()) / len(values))
