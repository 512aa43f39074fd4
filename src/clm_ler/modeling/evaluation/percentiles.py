"""Where a risk stands among those of the persons whom a model was trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_STEPS, FEWEST_IN_A_STEP = 100, 10


def person_percentiles(risks: Array, persons: Array) -> list[list[float]]:
    """Return what divides the persons by risk into equal parts, at most a hundred, each of ten persons or more.

    A person with several predictions has a share in each of them.

    Args:
        risks: Of the classes or tasks, ``[n, columns]``.
        persons: Whose they are, ``[n]``.

    Returns:
        For each column the rising bounds between the parts; none where there are too few persons.
    """
    _, whose, each = np.unique(persons, return_inverse=True, return_counts=True)
    steps = min(MOST_STEPS, len(each) // FEWEST_IN_A_STEP)
    levels = np.arange(1, steps) / max(steps, 1)
    weights = 1 / each[whose]
    return [
        np.quantile(column, levels, weights=weights, method="inverted_cdf").tolist()
        for column in risks.T
    ]


def shares_above(risks: Array, percentiles: Sequence[Sequence[float]] | None) -> Array:
    """Return the share of the training persons with a higher risk, ``[n, columns]``; NaN where it is not known.

    The least and the largest share that are told are those of one part.
    """
    if not percentiles or not len(percentiles[0]):
        return np.full(risks.shape, np.nan)
    columns = []
    for column, bounds in zip(risks.T, percentiles, strict=True):
        levels = np.arange(1, len(bounds) + 1) / (len(bounds) + 1)
        columns.append(1 - np.interp(column, bounds, levels))
    return np.column_stack(columns)
