"""Do contributions tell what the model uses? Measured by taking tokens away and looking again.

* **Deletion**: tokens become their baseline, those that raise the log-odds most first. If the order is
  right the log-odds fall faster than in a random order.
* **Insertion**: from the baseline, the same tokens come first. They rise faster.
  (Petsiuk, Das and Saenko, BMVC 2018, arXiv:1806.07421.)
* **Occlusion**: one token at a time becomes its baseline; the rank correlation of that effect with the
  contributions.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor
from transformers import PreTrainedModel

from clm_ler.modeling.explanation.channels import EncoderInputs, log_odds
from clm_ler.modeling.explanation.contributions import Explained

FRACTIONS = (0.1, 0.2, 0.4, 0.6, 0.8)  # of the tokens that tell of the person
RANDOM_ORDERS = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Faithfulness:
    """Of a batch of B samples.

    Attributes:
        deletion: Mean log-odds while tokens are deleted, random orders minus ours, ``[B]``: above 0 if
            the contributions find what the model uses.
        insertion: Mean log-odds while tokens are inserted, ours minus random orders, ``[B]``.
        occlusion: Rank correlation with the effect of each token alone, ``[B]``; NaN where a sample
            has fewer than three tokens, or was not asked for.
    """

    deletion: Floats
    insertion: Floats
    occlusion: Floats


@torch.inference_mode()
def measure(
    model: PreTrainedModel,
    explained: Explained,
    outcome: int,
    rng: np.random.Generator,
    occlude: bool = True,
) -> Faithfulness:
    """Return how faithful the contributions of a batch are."""
    inputs, total = explained.inputs, explained.contributions.total
    ours = _curves(model, inputs, _ranks(total, inputs.told), outcome)
    orders = [_ranks(rng.random(total.shape), inputs.told) for _ in range(RANDOM_ORDERS)]
    random = np.mean([_curves(model, inputs, order, outcome) for order in orders], axis=0)
    rows = range(len(total))
    occlusion = [_occlusion(model, inputs, total, row, outcome) for row in rows if occlude]
    return Faithfulness(
        random[0] - ours[0],
        ours[1] - random[1],
        np.array(occlusion or np.full(len(total), np.nan)),
    )


def _ranks(scores: NDArray[np.floating], told: Tensor) -> Tensor:
    """Return the place of each told token among those of its sample, as a share of them, ``[B, L]``.

    The highest score comes first, at 0.
    """
    kept = told.cpu().numpy()
    order = np.argsort(np.where(kept, -scores, np.inf), axis=1, kind="stable")
    places = order.argsort(axis=1)
    return torch.from_numpy(places / np.maximum(kept.sum(axis=1, keepdims=True), 1)).to(told.device)


def _curves(model: PreTrainedModel, inputs: EncoderInputs, ranks: Tensor, outcome: int) -> Floats:
    """Return the mean log-odds of deletion and insertion, ``[2, B]``."""

    def score(kept: Tensor) -> Floats:
        mixed = inputs.actual.where(kept, inputs.baseline)
        values = log_odds(model, mixed, inputs.places, outcome)
        return values.double().cpu().numpy()

    deleted = [score(ranks >= fraction) for fraction in FRACTIONS]
    inserted = [score(ranks < fraction) for fraction in FRACTIONS]
    return np.stack([np.mean(deleted, axis=0), np.mean(inserted, axis=0)])


def _occlusion(
    model: PreTrainedModel,
    inputs: EncoderInputs,
    total: NDArray[np.floating],
    row: int,
    outcome: int,
) -> float:
    """Return the rank correlation of one sample's contributions with the effect of each token."""
    places = torch.nonzero(inputs.told[row]).flatten()
    if len(places) < 3:
        return float("nan")
    copies = torch.full_like(places, row)
    kept = torch.ones(len(places), inputs.told.shape[1], dtype=torch.bool, device=places.device)
    kept[torch.arange(len(places), device=places.device), places] = False
    without = inputs.actual.take(copies).where(kept, inputs.baseline.take(copies))
    one = torch.full((1,), row, device=places.device)
    there = log_odds(model, inputs.actual.take(one), inputs.places.take(one), outcome)
    effect = there - log_odds(model, without, inputs.places.take(copies), outcome)
    found = spearmanr(total[row][places.cpu().numpy()], effect.cpu().numpy()).statistic
    return float(found)
