"""Groups of persons, and which of them are too few to be told of."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SMALL_GROUPS = "(groups of few persons)"


def persons_by_class(labels: Array, person_ids: Array) -> dict[str, int]:
    """Return how many persons have each of the labels 0 and 1; one may have both."""
    return {str(label): len(np.unique(person_ids[labels == label])) for label in (0, 1)}


def smallest_cell(labels: Array, person_ids: Array) -> int:
    """Return the smaller one of the numbers of persons with and without the outcome."""
    return min(persons_by_class(labels, person_ids).values())


def hidden_groups(
    labels: Array, person_ids: Array, masks: Mapping[str, Array], fewest: int
) -> set[str]:
    """Return the groups with fewer than ``fewest`` persons with or without the outcome.

    Where they could be had by subtraction together, the smallest of the others is hidden, too.
    """
    cells = {group: smallest_cell(labels[mask], person_ids[mask]) for group, mask in masks.items()}
    hidden = {group for group, count in cells.items() if count < fewest}
    shown = sorted(set(cells) - hidden, key=lambda group: (cells[group], group))
    together = np.any([masks[group] for group in hidden], axis=0)
    if hidden and shown and smallest_cell(labels[together], person_ids[together]) < fewest:
        hidden.add(shown[0])
    return hidden


def told_groups(
    labels: Array, person_ids: Array, groups: Mapping[str, Array], fewest: int
) -> Iterator[tuple[str, str, Array | None]]:
    """Yield attribute, group and samples (a mask) of each group that is not hidden, see :func:`hidden_groups`.

    Then, for an attribute with hidden ones, ``SMALL_GROUPS`` and None.

    Args:
        labels: 0 or 1, ``[n]``.
        person_ids: Whose they are, ``[n]``.
        groups: By attribute, the group of each sample, ``[n]``.
        fewest: Persons with and without the outcome that there have to be.
    """
    for attribute, values in groups.items():
        masks = {str(group): values == group for group in np.unique(values)}
        hidden = hidden_groups(labels, person_ids, masks, fewest)
        for group, mask in masks.items():
            if group not in hidden:
                yield attribute, group, mask
        if hidden:
            yield attribute, SMALL_GROUPS, None


def hidden_counts(
    counts: Mapping[str, Mapping[str, int]], fewest: int, hidden_already: bool
) -> set[str]:
    """Return what :func:`hidden_groups` does where only ``persons_by_class`` of each group is known.

    Persons of two groups may be the same, such as those of age bands: together they are at least as many
    as those of the largest one.

    Args:
        counts: Persons by class of each group.
        fewest: Persons that there have to be.
        hidden_already: Whether there are other groups, which are hidden and whose size is unknown.
    """
    cells = {group: min(persons.values()) for group, persons in counts.items()}
    hidden = {group for group, count in cells.items() if count < fewest}
    shown = sorted(set(cells) - hidden, key=lambda group: (cells[group], group))
    together = [max((counts[g][label] for g in hidden), default=0) for label in ("0", "1")]
    if (hidden or hidden_already) and shown and min(together) < fewest:
        hidden.add(shown[0])
    return hidden


def age_bands(ages: NDArray[np.float64], starts: tuple[int, ...]) -> NDArray[np.str_]:
    """Return the name of the band of each age in years; ``unknown`` where it is NaN."""
    names = [f"under {starts[0]}"]
    names += [f"{first}-{nxt - 1}" for first, nxt in pairwise(starts)]
    names += [f"{starts[-1]} and over"]
    bands = np.array(names)[np.searchsorted(starts, ages, side="right")]
    return np.where(np.isnan(ages), "unknown", bands)
