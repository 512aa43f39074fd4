"""How good are predicted probabilities: discrimination, calibration, usefulness, by group.

Arrays have one entry per sample: ``labels`` 0 or 1 and ``probabilities`` of 1; for several classes
class numbers and ``[samples, classes]``. ``weights`` say how often each sample is drawn in each
bootstrap replicate (:func:`clm_ler.modeling.evaluation.bootstrap.patient_weights`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clm_ler.modeling.evaluation.bootstrap import (
    PatientWeights,
    percentile_interval,
    unit_weights,
    weighted_auroc,
    weighted_means,
    weighted_metrics,
)
from clm_ler.modeling.evaluation.groups import persons_by_class, told_groups
from clm_ler.modeling.evaluation.logistic import clipped, log_losses
from clm_ler.modeling.evaluation.recalibration import intercept_and_slope, intercept_only

Array = NDArray[Any]
Estimate = dict[str, float | None]
Metrics = Callable[[Array, Array, PatientWeights], dict[str, Array]]

CALIBRATION_BINS = 15


def log_loss(labels: Array, probabilities: Array, weights: Array) -> float:
    """Return the mean negative log-likelihood (natural logarithm) of one set of weights."""
    return float(np.average(log_losses(labels, probabilities), weights=weights))


def calibration_intercept(labels: Array, probabilities: Array, weights: Array) -> float:
    """Return how far the risks are off on average, on the logit scale: 0 is right, above 0 too low.

    The intercept of a logistic regression of the labels with the logit of the prediction as offset
    ("calibration in the large", Van Calster et al., BMC Medicine 2019;17:230).
    """
    return intercept_only(labels, probabilities, weights)[0]


def calibration_slope(labels: Array, probabilities: Array, weights: Array) -> float:
    """Return the slope of the labels on the logit of the prediction: 1 is right, below too extreme.

    Cox's calibration regression (Biometrika 1958;45:562).
    """
    return intercept_and_slope(labels, probabilities, weights)[1]


def expected_to_observed(labels: Array, probabilities: Array, weights: Array) -> float:
    """Return expected over observed outcomes: 1 is right, above 1 too high; NaN without outcomes.

    E/O, as Riley and Debray report it for external validations (BMJ 2016;353:i3140).
    """
    observed = float((weights * labels).sum())
    expected = float((weights * probabilities.astype(np.float64)).sum())
    return expected / observed if observed else float("nan")


def expected_calibration_error(
    labels: Array, probabilities: Array, weights: Array, bins: int = CALIBRATION_BINS
) -> float:
    """Return the mean gap between predicted and observed risk over equally wide bins of the risk.

    Naeini et al. (AAAI 2015), on the probability of class 1; bin b holds (b/bins, (b+1)/bins].
    """
    gap = np.bincount(
        _bin_of(probabilities, bins),
        weights * (labels - probabilities.astype(np.float64)),
        minlength=bins,
    )
    return float(np.abs(gap).sum() / weights.sum())


# What is measured beside AUROC, AUPRC and the Brier score: of labels, probabilities and weights of rows.
METRICS: dict[str, Callable[[Array, Array, Array], float]] = {
    "log_loss": log_loss,
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
    "expected_to_observed": expected_to_observed,
    "ece": expected_calibration_error,
}


def all_metrics(labels: Array, probabilities: Array, weights: PatientWeights) -> dict[str, Array]:
    """Return every binary metric in each replicate, ``[replicates]``; NaN where it is not defined."""
    drawn = weights.counts.astype(np.float64)
    return weighted_metrics(labels, probabilities, weights) | {
        name: np.array([metric(labels, probabilities, row[weights.patient]) for row in drawn])
        for name, metric in METRICS.items()
    }


def binary_metrics(
    labels: Array, probabilities: Array, weights: PatientWeights, metrics: Metrics = all_metrics
) -> dict[str, Estimate]:
    """Return per metric the value with its 95 % bootstrap interval; None where it is not defined."""
    points = metrics(labels, probabilities, unit_weights(len(labels)))
    replicates = metrics(labels, probabilities, weights)
    return {name: estimate(point, replicates[name]) for name, point in points.items()}


def multiclass_metrics(
    labels: Array, probabilities: Array, weights: PatientWeights
) -> dict[str, dict[str, Estimate]]:
    """Return the metrics of each class against the rest, of their mean (``macro``), and ``overall``.

    ``overall`` has accuracy, log loss and the Brier score over all classes (Brier 1950: the squared
    distance between the probabilities and the class indicator, 0 to 2).
    """
    indicator = labels[:, None] == np.arange(probabilities.shape[1])
    once = unit_weights(len(labels))
    points, replicates = (
        [
            all_metrics(one.astype(int), probability, used)
            for one, probability in zip(indicator.T, probabilities.T, strict=True)
        ]
        for used in (once, weights)
    )
    report = {
        f"class_{number}": {name: estimate(point[name], replicate[name]) for name in point}
        for number, (point, replicate) in enumerate(zip(points, replicates, strict=True))
    }
    report["macro"] = {
        name: estimate(
            np.mean([point[name] for point in points], axis=0),
            np.mean([replicate[name] for replicate in replicates], axis=0),
        )
        for name in points[0]
    }
    per_sample = {
        "accuracy": probabilities.argmax(axis=1) == labels,
        "log_loss": -np.log(clipped(probabilities[indicator])),
        "brier": ((probabilities - indicator) ** 2).sum(axis=1),
    }
    report["overall"] = {
        name: estimate(weighted_means(values, once), weighted_means(values, weights))
        for name, values in per_sample.items()
    }
    return report


def macro_auroc(labels: Array, probabilities: Array, weights: PatientWeights) -> Array:
    """Return the AUROC in each replicate: the mean of each class against the rest.

    Args:
        labels: Class numbers ``[n]``.
        probabilities: ``[n, classes]``.
        weights: Of the samples.
    """
    if probabilities.shape[1] == 2:
        return weighted_auroc(labels, probabilities[:, 1], weights)
    areas = [
        weighted_auroc((labels == number).astype(int), probability, weights)
        for number, probability in enumerate(probabilities.T)
    ]
    return np.asarray(np.mean(areas, axis=0))


def auroc_with_interval(labels: Array, probabilities: Array, weights: PatientWeights) -> Estimate:
    """Return the macro AUROC with its 95 % interval; arguments as :func:`macro_auroc`."""
    once = unit_weights(len(labels))
    return estimate(
        macro_auroc(labels, probabilities, once), macro_auroc(labels, probabilities, weights)
    )


def auroc_difference(
    labels: Array, probabilities: Array, others: Array, weights: PatientWeights
) -> Estimate:
    """Return by how much the AUROC is above that of other probabilities, drawn in pairs."""
    point, replicates = (
        macro_auroc(labels, probabilities, used) - macro_auroc(labels, others, used)
        for used in (unit_weights(len(labels)), weights)
    )
    return estimate(point, replicates)


def threshold_metrics(
    labels: Array, probabilities: Array, thresholds: Sequence[float], weights: PatientWeights
) -> list[dict[str, Any]]:
    """Return sensitivity, specificity, PPV, NPV and the flagged share where risk >= threshold.

    Each row also has ``persons`` and ``persons_not_flagged``, of how many that is: one may be both.
    """
    once = unit_weights(len(labels))

    def rates(flagged: Array) -> dict[str, Estimate]:
        right_if_flagged, right_if_not = labels == 1, labels == 0
        cells = {
            "sensitivity": (flagged, right_if_flagged),
            "specificity": (~flagged, right_if_not),
            "ppv": (right_if_flagged, flagged),
            "npv": (right_if_not, ~flagged),
            "flagged": (flagged, np.ones(len(labels), bool)),
        }
        return {
            name: estimate(weighted_means(hit, once, among), weighted_means(hit, weights, among))
            for name, (hit, among) in cells.items()
        }

    def persons(flagged: Array) -> dict[str, int]:
        both = {"persons": flagged, "persons_not_flagged": ~flagged}
        return {name: len(np.unique(weights.patient[those])) for name, those in both.items()}

    flags = [probabilities >= threshold for threshold in thresholds]
    return [
        {"threshold": float(threshold), **persons(flagged), **rates(flagged)}
        for threshold, flagged in zip(thresholds, flags, strict=True)
    ]


def alert_metrics(
    labels: Array, probabilities: Array, rates: Sequence[float], weights: PatientWeights
) -> list[dict[str, Any]]:
    """Return what :func:`threshold_metrics` does where the share ``rate`` with the highest risks is alerted.

    Each row also has the ``rate`` that was asked for; of equal risks all are alerted.
    """
    thresholds = [float(np.quantile(probabilities, 1 - rate, method="higher")) for rate in rates]
    rows = threshold_metrics(labels, probabilities, thresholds, weights)
    return [{"rate": float(rate)} | row for rate, row in zip(rates, rows, strict=True)]


def decision_curve(
    labels: Array, probabilities: Array, thresholds: Array
) -> dict[str, list[float]]:
    """Return the net benefit of the model and of treating everyone, per threshold probability t.

    ``TP/n - FP/n * t/(1-t)`` (Vickers & Elkin, Medical Decision Making 2006;26:565); treating nobody
    has 0.
    """
    odds = thresholds / (1 - thresholds)
    flagged = probabilities[:, None] >= thresholds
    true_positives = (flagged & (labels == 1)[:, None]).mean(axis=0)
    false_positives = (flagged & (labels == 0)[:, None]).mean(axis=0)
    positives, negatives = np.mean(labels == 1), np.mean(labels == 0)
    return {
        "threshold": thresholds.tolist(),
        "model": (true_positives - false_positives * odds).tolist(),
        # To the last bit what the model has where it flags all: a gain is more than rounding.
        "treat_all": (positives - negatives * odds).tolist(),
    }


def calibration_curve(
    labels: Array, probabilities: Array, bins: int = 10
) -> dict[str, list[float]]:
    """Return mean predicted and observed risk, and count, in bins of equal numbers of samples."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return {
        "predicted": [float(probabilities[part].mean()) for part in parts],
        "observed": [float(labels[part].mean()) for part in parts],
        "n": [len(part) for part in parts],
    }


def subgroup_metrics(
    labels: Array,
    probabilities: Array,
    groups: Mapping[str, Array],
    person_ids: Array,
    weights: PatientWeights,
    smallest_cell: int,
) -> list[dict[str, Any]]:
    """Return one row per group of each attribute: counts, AUROC, AUPRC and Brier with intervals.

    ``n`` and ``positives`` are samples, and ``persons_by_class`` counts their persons.

    Groups with fewer than ``smallest_cell`` persons in a class are suppressed: one row for all of an
    attribute's, without counts, metrics and names, which may be one person's. Where they could be had
    by subtraction together, the smallest shown group is suppressed too.
    """
    rows = []
    for attribute, group, mask in told_groups(labels, person_ids, groups, smallest_cell):
        row: dict[str, Any] = {"attribute": attribute, "group": group, "suppressed": mask is None}
        if mask is not None:
            row |= {
                "n": int(mask.sum()),
                "positives": int(labels[mask].sum()),
                "persons_by_class": persons_by_class(labels[mask], person_ids[mask]),
            }
            drawn = PatientWeights(weights.counts, weights.patient[mask])
            row |= binary_metrics(labels[mask], probabilities[mask], drawn, weighted_metrics)
        rows.append(row)
    return rows


def estimate(point: Array, replicates: Array) -> Estimate:
    """Return a value with its 95 % bootstrap interval; None where it is not defined."""
    lower, upper = percentile_interval(replicates)
    values = {"value": float(point[0]), "lower": lower, "upper": upper}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _bin_of(probabilities: Array, bins: int) -> Array:
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, probabilities, side="left") - 1, 0, bins - 1)
