"""A model and windowed features together: the mean of their ranks, each alone, or trees on both.

The mean of ranks, unless validation samples tell clearly that another is better.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clm_ler.modeling.evaluation.differences import AurocEstimate, share_below
from clm_ler.modeling.evaluation.probes import Labels

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
        return share_below(self.unlabelled, self.of)


def candidate_scores(model: Scores, windowed: Scores, both: Floats) -> dict[str, Floats]:
    """Return the scores of each way to put a model and windowed features together."""
    ranks = (model.ranks + windowed.ranks) / 2
    return dict(zip(CANDIDATES, (model.of, windowed.of, ranks, np.asarray(both)), strict=True))


def choose_combination(
    labels: Labels, scores: Mapping[str, Floats]
) -> tuple[str, dict[str, float]]:
    """Return the name of the chosen scores, and the AUROC of all on validation.

    The mean of ranks is seldom far from the best, and a choice among few samples is mostly chance.
    So another is chosen only where it is better by more than the standard error of the difference.
    """
    samples = np.arange(len(labels))
    found = {
        name: AurocEstimate.of_auroc(labels, values, samples, len(labels))
        for name, values in scores.items()
    }
    gains = {name: estimate - found[RANKS] for name, estimate in found.items()}
    told = [name for name, gain in gains.items() if gain.value > gain.error]
    chosen = max(told, key=lambda name: gains[name].value, default=RANKS)
    return chosen, {name: estimate.value for name, estimate in found.items()}
