"""How much each token adds to the log-odds of an outcome: integrated gradients, channel by channel.

Integrated gradients (Sundararajan, Taly and Yan, ICML 2017, arXiv:1703.01365) follow the straight line
from the baseline to what is there. The contributions of a prediction add up to the difference of the two
log-odds; how far they miss it is its *gap*, and the steps along the line are doubled until the gap is
small. Captum computes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from clm_ler.modeling.data.batches import collate
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import Windows, cut
from clm_ler.modeling.explanation.channels import (
    Channels,
    EncoderInputs,
    Places,
    log_odds,
    read_inputs,
)
from clm_ler.modeling.inference import by_batch, sample_windows, trained_window

FIRST_STEPS, MOST_STEPS = 16, 256
LARGEST_GAP = 0.01  # of the sum of the absolute contributions
TOKENS_PER_BATCH = 1024
TOKENS_AT_ONCE = 8192  # each token is there once a step

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Contributions:
    """Of a batch: B sequences, L tokens, padding included.

    Attributes:
        code, lab_bin, day: What each channel of each token adds to the log-odds, ``[B, L]``.
        log_odds: Of the outcome, ``[B]``.
        baseline: The log-odds if nothing were told, ``[B]``.
        gap: The difference between the sum of the contributions and that of the two, ``[B]``.
        steps: Along the line, ``[B]``.
    """

    code: Floats
    lab_bin: Floats
    day: Floats
    log_odds: Floats
    baseline: Floats
    gap: Floats
    steps: NDArray[np.int64]

    @property
    def total(self) -> Floats:
        """What each token adds, ``[B, L]``."""
        return self.code + self.lab_bin + self.day

    def __getitem__(self, row: int) -> Self:
        return type(self)(*(getattr(self, field.name)[row] for field in fields(self)))


@dataclass(frozen=True)
class Explained:
    """A batch that is explained.

    Attributes:
        index: Which samples it has, ``[B]``.
        inputs: What the model reads of them.
        tokens: ``input_ids``, ``token_type_ids`` and ``position_ids``, each ``[B, L]``.
        contributions: What adds to their log-odds.
    """

    index: NDArray[np.integer]
    inputs: EncoderInputs
    tokens: dict[str, NDArray[np.int64]]
    contributions: Contributions


def explain(
    model: PreTrainedModel,
    store: TokenStore,
    samples: Samples,
    vocabulary: Vocabulary,
    outcome: int,
) -> Iterator[Explained]:
    """Yield the samples in batches of similar length, explained.

    Args:
        model: A fine-tuned model of the flavour ``clm_ler``.
        store: The encoded persons.
        samples: What is predicted of them.
        vocabulary: That of the model.
        outcome: The class, or of several tasks the number of the task.
    """
    windows: Windows = sample_windows(store, samples, trained_window(model), model.config)

    def work(index: NDArray[np.integer]) -> Explained:
        batch = collate(cut(store, windows[index], vocabulary), vocabulary)
        inputs = read_inputs(model, batch, vocabulary)
        tokens = {name: values.numpy() for name, values in batch.items() if values.dim() == 2}
        return Explained(index, inputs, tokens, contributions(model, inputs, outcome))

    for _index, found in by_batch(model, windows.lengths, TOKENS_PER_BATCH, work):
        yield found


def contributions(model: PreTrainedModel, inputs: EncoderInputs, outcome: int) -> Contributions:
    """Return what each channel of each token of a batch adds to the log-odds of an outcome."""
    from captum.attr import IntegratedGradients  # seconds to import

    def score(*parts: Tensor) -> Tensor:
        channels, places = parts[: len(inputs.actual)], parts[len(inputs.actual) :]
        return log_odds(model, Channels(*channels), Places(*places), outcome)

    gradients = IntegratedGradients(score)
    ends = inputs.actual, inputs.baseline
    with torch.no_grad():
        there, nothing = (score(*end, *inputs.places) for end in ends)
    found = torch.zeros(3, *inputs.told.shape, device=there.device)
    gap, steps = torch.zeros_like(there), torch.zeros_like(there, dtype=torch.long)
    rows, size = torch.arange(len(there), device=there.device), FIRST_STEPS
    while len(rows) and size <= MOST_STEPS:
        parts = gradients.attribute(
            tuple(inputs.actual.take(rows)),
            tuple(inputs.baseline.take(rows)),
            additional_forward_args=tuple(inputs.places.take(rows)),
            n_steps=size,
            internal_batch_size=max(len(rows), TOKENS_AT_ONCE // inputs.told.shape[1]),
        )
        found[:, rows] = _by_channel(Channels(*(part.detach() for part in parts)))
        told = found[:, rows].sum(dim=(0, 2))
        gap[rows], steps[rows] = told - (there - nothing)[rows], size
        large = gap[rows].abs() > LARGEST_GAP * found[:, rows].abs().sum(dim=(0, 2))
        rows, size = rows[large], 2 * size
    code, lab_bin, day, at, start, missed = (
        part.float().cpu().numpy() for part in (*found, there, nothing, gap)
    )
    return Contributions(code, lab_bin, day, at, start, missed, steps.cpu().numpy())


def _by_channel(parts: Channels) -> Tensor:
    """Return the sums of code, lab bin and day, ``[3, B, L]``."""
    turned = (parts.cosine + parts.sine).flatten(2).sum(dim=2)
    day = parts.days.sum(dim=2) + turned + parts.before
    return torch.stack([parts.codes.sum(dim=2), parts.bins.sum(dim=2), day])
