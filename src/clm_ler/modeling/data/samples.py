"""Samples: what a prediction may see of a person, and the outcome."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer]

NO_LABEL = -100  # stands where a label is not known, or there is none; torch's losses leave it out


@dataclass(frozen=True)
class Samples:
    """Rows of a store, how much of each may be seen, and labels.

    Nothing behind ``ends`` is ever read, so no event after a prediction time can change a result.

    Attributes:
        rows: Row of the store, ``[n]``; a row may occur more than once.
        ends: Leading positions of the row that may be seen, baseline included, ``[n]``.
        days: Day of the prediction, as the row counts days, ``[n]``. Where a sample sees no event it
            means nothing.
        labels: Class numbers ``[n]``; with several tasks 0, 1 or ``NO_LABEL``, ``[n, tasks]``.
    """

    rows: Integers
    ends: Integers
    days: Integers
    labels: Integers

    @classmethod
    def unlabelled(cls, rows: Integers, ends: Integers, days: Integers) -> Self:
        """Return samples of no task: labels ``[n, 0]``."""
        return cls(rows, ends, days, np.empty((len(rows), 0), np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Integers | slice) -> Self:
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))
