"""What pre-training asks of an objective, and nothing more: one file each, a line in ``OBJECTIVES``."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedConfig

from clm_ler.modeling.data.batches import Batch
from clm_ler.modeling.data.store import Tokens, TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, Windows

Sums = Callable[[Batch], Tensor]  # the sums that metrics are made of, of one batch

# `pretrain_targets`: what an objective predicts beyond the tokens themselves.
TARGETS = pa.schema(
    {
        "token_id": pa.int32(),
        "kind": pa.string(),
        "persons": pa.int64(),
        "events": pa.int64(),
        "log_rates": pa.list_(pa.float64()),
    }
)


@dataclass(frozen=True)
class Targets:
    """What a batch is judged by.

    Attributes:
        values: Arrays by name. Those whose name ends in ``_index`` are places in the flat columns of
            the tokens: they are renumbered when the batch is padded or packed.
        items: How many items the loss is a sum over. What the sum is divided by are the items of a
            whole optimizer step: all accumulated batches, all ranks. An array ``[parts]`` where the
            loss has several.
    """

    values: Mapping[str, NDArray[np.generic]]
    items: int | NDArray[np.int64]


class Objective(Protocol):
    """What a model is trained for, and how good it is at it.

    An objective is a frozen dataclass: it is sent to the processes that train and that make batches.
    ``model`` below is any model whose ``forward`` takes a ``read_out``.

    Attributes:
        title: In words, for the model card.
        charts: The scalars that are drawn over the steps, with the title of each chart.
    """

    title: ClassVar[str]
    charts: ClassVar[Mapping[str, str]]

    @classmethod
    def fit(cls, options: Any, store: TokenStore, vocabulary: Vocabulary) -> pa.Table:
        """Return ``pretrain_targets``, chosen on the train persons; no row if there is nothing to fit."""
        ...

    @classmethod
    def create(
        cls, options: Any, vocabulary: Vocabulary, tokens: list[str], targets: pa.Table
    ) -> Self:
        """Return the objective.

        Args:
            options: Those of pre-training.
            vocabulary: The special ids.
            tokens: The text of each token id.
            targets: ``pretrain_targets``.
        """
        ...

    def configure(self) -> dict[str, Any]:
        """Return what the model's configuration takes from the objective."""
        ...

    def start(self, model: Any) -> None:
        """Set those random weights of a new model that can start better."""
        ...

    def windows(
        self,
        store: TokenStore,
        rows: NDArray[np.integer],
        options: WindowOptions,
        rng: np.random.Generator,
    ) -> Windows:
        """Return a window of each row, to learn from in one epoch."""
        ...

    def evaluation_windows(
        self,
        store: TokenStore,
        rows: NDArray[np.integer],
        options: WindowOptions,
        rng: np.random.Generator,
    ) -> Windows:
        """Return a window of each row, to be judged on."""
        ...

    def make(
        self,
        tokens: Tokens,
        windows: Windows,
        store: TokenStore,
        rng: np.random.Generator,
        *,
        evaluation: bool,
    ) -> tuple[Tokens, Targets]:
        """Return the tokens that the model sees, and what it is to predict.

        Args:
            tokens: Of the windows, as they were cut.
            windows: Where they lie in the store.
            store: The sequences.
            rng: The random stream of the batch.
            evaluation: Whether the batch is to be judged on, not learned from.
        """
        ...

    def loss(
        self, model: Any, states: Tensor, input_ids: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the summed loss in fp32, ``[]`` or ``[parts]``, each divided by its items later."""
        ...

    def sums(
        self, model: Any, states: Tensor, input_ids: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the sums that metrics are made of, fp64; they add up over batches and ranks."""
        ...

    def baselines(self, store: TokenStore) -> dict[str, Sums]:
        """Return simple predictors fitted on the train persons, by the same sums."""
        ...

    def summary(self, sums: Tensor) -> dict[str, Any]:
        """Return the metrics that sums come to."""
        ...

    @staticmethod
    def scalars(summary: Mapping[str, Any]) -> dict[str, float]:
        """Return the figures that the history shows; ``loss`` decides which checkpoint is the best."""
        ...

    @staticmethod
    def describe(summary: Mapping[str, Any]) -> str:
        """Return the results for the model card, in Markdown; ``baselines`` are in the summary."""
        ...

    def head_flops(self, config: PreTrainedConfig) -> float:
        """Return the FLOPs of the heads, forward and backward, per token that is not padding."""
        ...


def measure(sums: Sums, batches: Iterable[Batch]) -> Tensor:
    """Return the sums over all batches, fp64."""
    total = torch.zeros((), dtype=torch.float64)
    with torch.no_grad():
        for batch in batches:
            total = total + sums(batch)
    return total


def model_sums(objective: Objective, model: Any) -> Sums:
    """Return the sums of a model as a function of batches."""
    return lambda batch: model(**batch, read_out=objective.sums)
