"""Both objectives in one pass: masked tokens, and what comes after the query."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from transformers import PreTrainedConfig

from clm_ler.modeling.data.store import Tokens, TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, Windows
from clm_ler.modeling.objectives.base import Sums, Targets
from clm_ler.modeling.objectives.mlm import Mlm
from clm_ler.modeling.objectives.tte import SUMS, Tte

Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class MlmAndTte:
    """Masked language modelling on the windows of time to event.

    Attributes:
        mlm: The first; no bin is masked alone, because the next-bin task already trains this.
        tte: The second, whose windows and query tokens both see.
    """

    title: ClassVar[str] = "masked language modelling and time to the next event of each code"
    charts: ClassVar[Mapping[str, str]] = {**Tte.charts, "accuracy": "masked-code accuracy"}

    mlm: Mlm
    tte: Tte

    @classmethod
    def fit(cls, options: Any, store: TokenStore, vocabulary: Vocabulary) -> pa.Table:
        """Return the targets of time to event."""
        return Tte.fit(options, store, vocabulary)

    @classmethod
    def create(
        cls, options: Any, vocabulary: Vocabulary, tokens: list[str], targets: pa.Table
    ) -> Self:
        """Return the objective."""
        mlm = Mlm.create(options, vocabulary, tokens, targets)
        mlm = replace(mlm, options=replace(mlm.options, bin_masking_fraction=0.0))
        return cls(mlm, Tte.create(options, vocabulary, tokens, targets))

    def configure(self) -> dict[str, Any]:
        """Return what time to event asks of the model."""
        return self.mlm.configure() | self.tte.configure()

    def start(self, model: Any) -> None:
        """Let the hazards start at the base rates."""
        self.mlm.start(model)
        self.tte.start(model)

    def windows(
        self, store: TokenStore, rows: Integers, options: WindowOptions, rng: np.random.Generator
    ) -> Windows:
        """Return the windows of time to event."""
        return self.tte.windows(store, rows, options, rng)

    def evaluation_windows(
        self, store: TokenStore, rows: Integers, options: WindowOptions, rng: np.random.Generator
    ) -> Windows:
        """Return the windows of time to event."""
        return self.tte.evaluation_windows(store, rows, options, rng)

    def make(
        self,
        tokens: Tokens,
        windows: Windows,
        store: TokenStore,
        rng: np.random.Generator,
        *,
        evaluation: bool,
    ) -> tuple[Tokens, Targets]:
        """Return the tokens, some of them masked, and the targets of both."""
        tokens, coming = self.tte.make(tokens, windows, store, rng, evaluation=evaluation)
        tokens, masked = self.mlm.make(tokens, windows, store, rng, evaluation=evaluation)
        items = np.append(coming.items, masked.items)
        return tokens, Targets({**coming.values, **masked.values}, items)

    def loss(
        self, model: Any, states: Tensor, input_ids: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the parts of time to event, then the weighted loss of masked tokens."""
        masked = self.mlm.loss(model, states, input_ids, targets) * self.tte.options.mlm_weight
        coming = self.tte.loss(model, states, input_ids, targets)
        return torch.cat([coming, masked.reshape(1)])

    def sums(
        self, model: Any, states: Tensor, input_ids: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the sums of time to event, then those of masked tokens."""
        return torch.cat(
            [
                self.tte.sums(model, states, input_ids, targets),
                self.mlm.sums(model, states, input_ids, targets).flatten(),
            ]
        )

    def baselines(self, store: TokenStore) -> dict[str, Sums]:
        """Return those of masked tokens, each beside the base rates of time to event."""
        (coming,) = self.tte.baselines(store).values()

        def beside(masked: Sums) -> Sums:
            return lambda batch: torch.cat([coming(batch), masked(batch).flatten()])

        return {name: beside(masked) for name, masked in self.mlm.baselines(store).items()}

    def summary(self, sums: Tensor) -> dict[str, Any]:
        """Return the metrics of both; ``loss`` is what is trained for."""
        coming, masked = self.tte.summary(sums[:SUMS]), self.mlm.summary(sums[SUMS:])
        weighted = self.tte.options.mlm_weight * Mlm.scalars(masked)["loss"]
        # `loss` and `accuracy` of masked codes keep their names, whatever else is trained for.
        return coming | masked | {"total_loss": coming["loss"] + weighted}

    @staticmethod
    def scalars(summary: Mapping[str, Any]) -> dict[str, float]:
        """Return the figures of both."""
        return Tte.scalars(summary) | Mlm.scalars(summary) | {"loss": summary["total_loss"]}

    @staticmethod
    def describe(summary: Mapping[str, Any]) -> str:
        """Return the tables of both."""
        return f"{Tte.describe(summary)}\n\n{Mlm.describe(summary)}"

    def head_flops(self, config: PreTrainedConfig) -> float:
        """Return the FLOPs of both heads."""
        return self.mlm.head_flops(config) + self.tte.head_flops(config)
