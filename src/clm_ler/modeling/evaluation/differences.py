"""Differences between AUROCs whose samples are of the same persons, with intervals clustered by person.

A person has several samples, in several tasks. What each person adds to an AUROC is known in closed
form (the structural components of DeLong et al. 1988; summed by person, Obuchowski 1997), so that any
mean or difference of AUROCs has a standard error without a resampling.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

NORMAL_QUANTILE = 1.96


@dataclass(frozen=True)
class AurocEstimate:
    """An AUROC, or a sum of several, and what each person adds to its error.

    Attributes:
        value: The estimate.
        shares: By person, ``[persons]``; 0 where a person has no sample. They sum to 0.
        seen: Whether a person has a sample, ``[persons]``.
    """

    value: float
    shares: Floats
    seen: NDArray[np.bool_]

    @classmethod
    def of_auroc(
        cls, labels: NDArray[np.generic], scores: Floats, persons: Integers, size: int
    ) -> Self:
        """Return the AUROC of some samples; NaN where they have one class only.

        Args:
            labels: 0 or 1, ``[samples]``.
            scores: Higher for class 1, ``[samples]``.
            persons: The person of each sample, a number below ``size``.
            size: How many persons there are in all.
        """
        positive = labels == 1
        wins = np.empty(len(labels))
        with np.errstate(invalid="ignore", divide="ignore"):
            wins[positive] = share_below(scores[~positive], scores[positive])
            wins[~positive] = 1 - share_below(scores[positive], scores[~positive])
            value = float(wins[positive].mean()) if positive.any() else np.nan
            share = (wins - value) / np.where(positive, positive.sum(), (~positive).sum())
        seen = np.bincount(persons, minlength=size) > 0
        shares = np.bincount(persons, share, minlength=size).astype(np.float64)
        return cls(value, shares, seen)

    def __add__(self, other: Self) -> Self:
        """Return the sum."""
        return type(self)(
            self.value + other.value, self.shares + other.shares, self.seen | other.seen
        )

    def __mul__(self, factor: float) -> Self:
        """Return a multiple."""
        return type(self)(self.value * factor, self.shares * factor, self.seen)

    def __sub__(self, other: Self) -> Self:
        """Return the difference."""
        return self + other * -1.0

    @property
    def error(self) -> float:
        """The standard error."""
        persons = int(self.seen.sum())
        variance = np.square(self.shares).sum() * persons / max(persons - 1, 1)
        return float(np.sqrt(variance))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        margin = NORMAL_QUANTILE * self.error
        return self.value - margin, self.value + margin


def mean_of(estimates: list[AurocEstimate]) -> AurocEstimate:
    """Return the mean of at least one estimate."""
    total = estimates[0]
    for estimate in estimates[1:]:
        total = total + estimate
    return total * (1 / len(estimates))


def share_below(others: Floats, scores: Floats) -> Floats:
    """Return for each score which share of the others is below it, equal ones counted half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores)
    up_to = np.searchsorted(ordered, scores, side="right")
    return (below + up_to) / (2 * len(ordered))
