"""External validation: what a site can say of risks that a model of another site gives.

All that is returned is of at least so many persons with and without the outcome, and is what a
meta-analysis takes (Debray et al., BMJ 2017;356:i6460): values with their standard errors, which are
those of a bootstrap of persons.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from clm_ler.modeling.evaluation.bootstrap import PatientWeights, unit_weights, weighted_metrics
from clm_ler.modeling.evaluation.groups import smallest_cell, told_groups
from clm_ler.modeling.evaluation.metrics import log_loss
from clm_ler.modeling.evaluation.recalibration import (
    Line,
    along,
    intercept_and_slope,
    intercept_only,
    merged_bins,
    on_others,
)

Array = NDArray[Any]

MOST_BINS = 10


def validate(
    labels: Array, risks: Array, persons: Array, weights: PatientWeights, fewest: int
) -> dict[str, Any]:
    """Return discrimination and calibration of risks.

    Args:
        labels: 0 or 1, ``[n]``.
        risks: Predicted, ``[n]``.
        persons: Whose they are, ``[n]``.
        weights: How often each is drawn in each replicate.
        fewest: Persons with and without the outcome that there have to be.

    Returns:
        ``n, persons, events, expected``; ``value`` and ``se`` of ``auroc``, ``logit_auroc``, ``brier``,
        ``log_observed_to_expected``, ``calibration_intercept`` (at slope 1), ``calibration_slope`` and
        ``intercept_with_slope``; ``bins``. Of too few persons only that it is ``suppressed``.
    """
    if smallest_cell(labels, persons) < fewest:
        return {"suppressed": True}
    point, drawn = (_measure(labels, risks, each) for each in (unit_weights(len(labels)), weights))
    return {
        "suppressed": False,
        "n": len(labels),
        "persons": len(np.unique(persons)),
        "events": int(labels.sum()),
        "expected": float(risks.sum()),
        **{name: _with_error(values[0], drawn[name]) for name, values in point.items()},
        "bins": merged_bins(labels, risks, persons, fewest, MOST_BINS),
    }


def validate_groups(
    labels: Array,
    risks: Array,
    persons: Array,
    groups: Mapping[str, Array],
    weights: PatientWeights,
    fewest: int,
) -> list[dict[str, Any]]:
    """Return what :func:`validate` does of each group; small ones of an attribute are one row without numbers.

    Args:
        labels: As the next ones, those of :func:`validate`.
        risks: Predicted.
        persons: Whose they are.
        groups: By attribute, the group of each sample.
        weights: Of the samples.
        fewest: Persons that there have to be.
    """
    rows: list[dict[str, Any]] = []
    for attribute, group, mask in told_groups(labels, persons, groups, fewest):
        found: dict[str, Any] = {"suppressed": True}
        if mask is not None:
            own = PatientWeights(weights.counts, weights.patient[mask])
            found = validate(labels[mask], risks[mask], persons[mask], own, fewest)
        rows.append({"attribute": attribute, "group": group} | found)
    return rows


Fit = Callable[[Array, Array, Array], Line]
UPDATES: dict[str, Fit] = {
    "unchanged": lambda labels, risks, weights: (0.0, 1.0),
    "intercept": intercept_only,
    "intercept and slope": intercept_and_slope,
}


def recalibrate(labels: Array, risks: Array, persons: Array) -> dict[str, dict[str, float | None]]:
    """Return each method of recalibration: ``intercept, slope``, and what it is worth on other persons.

    ``log_loss`` and ``brier`` are those of risks recalibrated without the person's own fifth of the
    persons. ``None`` where there is no such line.
    """
    ones = np.ones(len(labels))
    found: dict[str, dict[str, float | None]] = {}
    for name, fit in UPDATES.items():
        others = on_others(labels, risks, persons, partial(_recalibrated, fit))
        intercept, slope = fit(labels, risks, ones)
        values = {
            "intercept": intercept,
            "slope": slope,
            "log_loss": log_loss(labels, others, ones),
            "brier": float(np.mean((others - labels) ** 2)),
        }
        found[name] = {key: _finite(value) for key, value in values.items()}
    return found


def _recalibrated(fit: Fit, labels: Array, risks: Array, persons: Array, others: Array) -> Array:
    return along(fit(labels, risks, np.ones(len(labels))), others)


def _measure(labels: Array, risks: Array, weights: PatientWeights) -> dict[str, Array]:
    """Return the measures in each replicate."""
    rows = [counts[weights.patient].astype(np.float64) for counts in weights.counts]
    ranked = weighted_metrics(labels, risks, weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = [np.log((row @ labels) / (row @ risks.astype(np.float64))) for row in rows]
        logits = logit(ranked["auroc"])
    shifts = [intercept_only(labels, risks, row)[0] for row in rows]
    lines = np.array([intercept_and_slope(labels, risks, row) for row in rows])
    return {
        "auroc": ranked["auroc"],
        "logit_auroc": logits,
        "brier": ranked["brier"],
        "log_observed_to_expected": np.array(observed),
        "calibration_intercept": np.array(shifts),
        "calibration_slope": lines[:, 1],
        "intercept_with_slope": lines[:, 0],
    }


def _with_error(value: Any, replicates: Array) -> dict[str, float | None]:
    defined = replicates[np.isfinite(replicates)]
    error = float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")
    return {"value": _finite(float(value)), "se": _finite(error)}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
