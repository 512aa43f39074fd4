"""A model and windowed features together: the best of each alone, their ranks' mean, and both at once.

Which one is decided by the AUROC on validation samples, the first one where several are best.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clm_ler.modeling.evaluation.probes import Labels, auroc_of

Floats = NDArray[np.float64]

MODEL, WINDOWED, RANKS, BOTH = "model", "windowed", "ranks", "both"
CANDIDATES = (MODEL, WINDOWED, RANKS, BOTH)


@dataclass(frozen=True)
class Scores:
    """What one classifier says of some samples.

    Attributes:
        of: Its probabilities, ``[n]``.
        unlabelled: Its probabilities for samples that it was not fitted on, ascending: ranks are taken
            among them, so that the rank of a person does not depend on who else is asked about.
    """

    of: Floats
    unlabelled: Floats

    @classmethod
    def among_themselves(cls, scores: Floats) -> Self:
        """Return scores that take their ranks among one another."""
        return cls(scores, np.sort(scores))

    @property
    def ranks(self) -> Floats:
        """The share of the unlabelled samples below each score, equal ones counted half."""
        below = np.searchsorted(self.unlabelled, self.of)
        up_to = np.searchsorted(self.unlabelled, self.of, side="right")
        return (below + up_to) / (2 * len(self.unlabelled))


def candidate_scores(model: Scores, windowed: Scores, both: Floats) -> dict[str, Floats]:
    """Return the scores of each way to put a model and windowed features together."""
    ranks = (model.ranks + windowed.ranks) / 2
    return dict(zip(CANDIDATES, (model.of, windowed.of, ranks, np.asarray(both)), strict=True))


def choose(labels: Labels, scores: Mapping[str, Floats]) -> tuple[str, dict[str, float]]:
    """Return the name of the best scores, and the AUROC of all; the first one where none can be told."""
    aurocs = {name: auroc_of(labels, values) for name, values in scores.items()}
    return max(aurocs, key=lambda name: np.nan_to_num(aurocs[name], nan=-1.0)), aurocs
