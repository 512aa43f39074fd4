"""Patient bootstraps of AUROC, average precision and Brier score, for all replicates at once.

The scores are sorted once; a replicate only changes the weights of the rows, so each metric is a
running sum over the sorted weights. Replicates go through in blocks, on all cores, which bounds
the memory. The same patients get the same weights for every model: comparisons are paired.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

OFFICIAL_METRICS = ("auroc", "auprc", "brier")
BLOCK_ELEMENTS = 1 << 20  # weights that one core works on at a time


@dataclass(frozen=True)
class PatientWeights:
    """The weight of each row in each replicate: how often its patient was drawn.

    Attributes:
        counts: Draws of each patient, ``[replicates, patients]``.
        patient: The patient of each row, as a column of ``counts``, ``[rows]``.
    """

    counts: Integers
    patient: Positions

    def dense(self) -> Integers:
        """Return the weights row by row, ``[replicates, rows]``, as ``sample_weight`` takes them."""
        return self.counts[:, self.patient]


def patient_weights(patient_ids: Array, replicates: int = 1000) -> PatientWeights:
    """Return the weights of the rows of these patients under a bootstrap of patients.

    Replicate ``i`` draws the sorted unique patients with replacement, as
    ``sklearn.utils.resample(patients, random_state=i)`` does; a patient's rows share its count.
    """
    patients, row_patient = np.unique(patient_ids, return_inverse=True)
    size = len(patients)
    counts = np.empty((replicates, size), np.int64)
    random = np.random.RandomState()  # made once: seeding it again is the cheap part
    for seed in range(replicates):
        random.seed(seed)
        counts[seed] = np.bincount(random.randint(0, size, size), minlength=size)
    return PatientWeights(counts, row_patient)


def unit_weights(rows: int) -> PatientWeights:
    """Return one replicate in which each row counts once: its metrics are the point estimates."""
    return PatientWeights(np.ones((1, 1), np.int64), np.zeros(rows, np.intp))


def weighted_metrics(labels: Array, scores: Array, weights: PatientWeights) -> dict[str, Floats]:
    """Return ``auroc``, ``auprc`` and ``brier`` of each replicate, each ``[replicates]``.

    Args:
        labels: 0 or 1, ``[rows]``.
        scores: Probabilities of class 1, ``[rows]``.
        weights: What :func:`patient_weights` returns for the same rows.

    Returns:
        The values of ``roc_auc_score``, ``average_precision_score`` and ``brier_score_loss`` of
        scikit-learn with the replicate's ``sample_weight``; NaN where only one class has weight
        (AUROC), no positive has any (average precision), or no row has any (Brier score).
    """
    auroc, auprc = _ranked([_auroc, _average_precision], labels, scores, weights)
    return {"auroc": auroc, "auprc": auprc, "brier": weighted_brier(labels, scores, weights)}


def weighted_auroc(labels: Array, scores: Array, weights: PatientWeights) -> Floats:
    """Return the AUROC of each replicate; see :func:`weighted_metrics`."""
    return _ranked([_auroc], labels, scores, weights)[0]


def weighted_brier(labels: Array, scores: Array, weights: PatientWeights) -> Floats:
    """Return the Brier score of each replicate; see :func:`weighted_metrics`."""
    return weighted_means((scores.astype(np.float64) - labels.astype(np.float64)) ** 2, weights)


def weighted_sums(values: NDArray[Any], weights: PatientWeights) -> Floats:
    """Return the sum of the values of all rows in each replicate, ``[replicates]``."""
    of_patient = np.bincount(weights.patient, values, minlength=weights.counts.shape[1])
    return np.asarray(weights.counts @ of_patient, np.float64)


def weighted_means(
    values: NDArray[Any], weights: PatientWeights, among: NDArray[np.bool_] | None = None
) -> Floats:
    """Return the mean of the values (of the rows ``among``) in each replicate, ``[replicates]``."""
    counted = np.ones(len(values)) if among is None else among.astype(np.float64)
    with np.errstate(invalid="ignore"):  # a replicate may draw nobody who has a row
        means: Floats = weighted_sums(values * counted, weights) / weighted_sums(counted, weights)
    return means


def percentile_interval(values: Floats) -> tuple[float, float]:
    """Return the central 95 % of bootstrap values; see :func:`percentile_intervals`."""
    lower, upper = percentile_intervals(values[None])
    return float(lower[0]), float(upper[0])


def percentile_intervals(values: Floats) -> tuple[Floats, Floats]:
    """Return the central 95 % of each row of ``[rows, replicates]``, undefined replicates left out.

    As ``numpy.nanpercentile``, which goes row by row. Both ends are NaN where no replicate is defined.
    """
    ordered = np.sort(values, axis=1)  # NaN last
    last = np.maximum((~np.isnan(values)).sum(axis=1) - 1, 0)

    def at(share: float) -> Floats:
        below = np.floor(share * last).astype(np.int64)
        ends = np.stack([below, np.minimum(below + 1, last)], axis=1)
        start, end = np.take_along_axis(ordered, ends, axis=1).T
        result: Floats = start + (end - start) * (share * last - below)
        return result

    return at(0.025), at(0.975)


@dataclass(frozen=True)
class _Block:
    """Replicates with their rows sorted by score, lowest first.

    ``below`` and ``up_to`` are the weights of the rows scored lower than each positive row, without
    and with its ties; ``positives_below`` is ``below`` over positive rows only.
    """

    positive: Floats  # [replicates, positive rows]
    total: Floats  # [replicates]
    below: Integers  # [replicates, positive rows], as the next two
    up_to: Integers
    positives_below: Integers


def _auroc(block: _Block) -> Floats:
    """Return the areas: what the positives win against the negatives, ties counted half.

    Ranked against all rows the positives win ``P^2 / 2`` more, against one another.
    """
    positives = block.positive.sum(axis=1)
    twice_wins = np.einsum("rp,rp->r", block.positive, block.below + block.up_to) - positives**2
    with np.errstate(divide="ignore", invalid="ignore"):
        result: Floats = twice_wins / (2 * positives * (block.total - positives))
    return result


def _average_precision(block: _Block) -> Floats:
    """Return the mean over the positives of the precision among all rows scored at least as high."""
    positives = block.positive.sum(axis=1)
    predicted = block.total[:, None] - block.below
    hits = positives[:, None] - block.positives_below
    precision = hits / np.maximum(predicted, 1)  # weights are counts: none predicted, no hit
    with np.errstate(invalid="ignore"):
        result: Floats = np.einsum("rp,rp->r", block.positive, precision) / positives
    return result


def _ranked(
    formulas: list[Callable[[_Block], Floats]],
    labels: Array,
    scores: Array,
    weights: PatientWeights,
) -> Floats:
    """Return the values of formulas over the sorted weights, ``[formulas, replicates]``."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    positive = np.flatnonzero(labels[order] == 1)
    first = np.searchsorted(ranked, ranked[positive])
    last = np.searchsorted(ranked, ranked[positive], side="right")
    patient = weights.patient[order]
    ends = np.concatenate([first, last, [len(order)]])

    def evaluate(counts: Integers) -> Floats:
        below, up_to, total = np.split(
            _sums_before(ends, counts, patient), [len(first), 2 * len(first)], axis=1
        )
        block = _Block(
            positive=counts.take(patient[positive], axis=1).astype(np.float64),
            total=total[:, 0].astype(np.float64),
            below=below,
            up_to=up_to,
            positives_below=_sums_before(
                np.searchsorted(positive, first), counts, patient[positive]
            ),
        )
        return np.stack([formula(block) for formula in formulas])

    size = max(1, BLOCK_ELEMENTS // max(len(order), 1))
    blocks = [weights.counts[i : i + size] for i in range(0, len(weights.counts), size)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return np.concatenate(list(threads.map(evaluate, blocks)), axis=1)


def _sums_before(positions: Positions, counts: Integers, patient: Positions) -> Integers:
    """Return the summed weights of the first ``positions`` rows, ``[replicates, positions]``.

    A running sum is bound by its additions, so replicates share them: as many as fit side by side
    into the bits of one integer.
    """
    rows_of_patient = np.bincount(patient, minlength=counts.shape[1])
    bits = max(1, int((counts @ rows_of_patient).max(initial=0)).bit_length())
    lanes = min(63 // bits, len(counts))
    filled = np.zeros((-len(counts) % lanes + len(counts), counts.shape[1]), np.int64)
    filled[: len(counts)] = counts
    shifts = bits * np.arange(lanes)[:, None]
    packed = (filled.reshape(-1, lanes, counts.shape[1]) << shifts).sum(axis=1)
    running = np.zeros((len(packed), len(patient) + 1), np.int64)
    np.cumsum(packed.take(patient, axis=1), axis=1, out=running[:, 1:])
    sums = (running.take(positions, axis=1)[:, None, :] >> shifts) & ((1 << bits) - 1)
    return sums.reshape(len(filled), -1)[: len(counts)]
