"""The parameters of ``finetune``."""

from collections.abc import Mapping
from dataclasses import fields
from itertools import product
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.training.finetuning import FineTuning
from clm_ler.tables.labels import LabelOptions


class FinetuneOptions(BaseModel):
    """Labels, fine-tuning and evaluation; names are the published ones where the meaning is the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: LabelOptions = Field(default=LabelOptions(), description="How the label table is read")

    # What the model sees
    override_maxlen: int = Field(
        default=512, ge=2, description="Tokens of a window, [CLS] included"
    )
    tokens_per_batch: int = Field(
        default=4096, ge=2, description="Positions of a batch, padding included"
    )

    # What is trained
    method: Literal["full", "last_layers", "frozen"] = Field(
        default="full",
        description="full: all weights; last_layers: the last trainable_layers and the head; "
        "frozen: a logistic regression on the frozen embeddings",
    )
    trainable_layers: int = Field(default=1, ge=1, description="Layers trained by last_layers")
    pooling: Literal["cls", "mean", "last"] | None = Field(
        default=None, description="Embedding of a sequence; null: as in pre-training"
    )
    probe_first: bool = Field(
        default=True, description="Start from the head of the frozen method, not from a random one"
    )
    probe_strengths: tuple[float, ...] = Field(
        default=(1e-2, 1e-1, 1.0, 10.0),
        description="Inverse L2 strengths that the logistic regression tries on validation",
    )

    # Classes
    proportions_per_label: tuple[float, ...] | None = Field(
        default=None, description="Relative size of each class in an epoch; null: as in the data"
    )
    max_proportion: float | None = Field(
        default=None,
        ge=1,
        description="Most samples of a class in an epoch, as a multiple of the smallest class",
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="balanced: each class weighs its inverse frequency in the loss"
    )

    # Training
    learning_rate: float = Field(default=1e-4, gt=0, description="Highest learning rate")
    num_train_epochs: float = Field(default=3, gt=0, description="Passes over the training samples")
    weight_decay: float = Field(default=0.01, ge=0, description="Of matrices")
    warmup_steps: float = Field(
        default=0.1, ge=0, description="Steps of linear warm-up; below 1 a share of all steps"
    )
    hidden_dropout_prob: float | None = Field(
        default=None, ge=0, lt=1, description="Dropout; null: as in pre-training"
    )
    eval_step_fraction: float = Field(
        default=0.5, gt=0, description="Evaluations are this share of an epoch apart"
    )
    early_stopping_patience: int = Field(
        default=3, ge=1, description="Evaluations without a better AUROC before it stops"
    )
    tuneable_parameters: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="Values to try of the parameters above, by name: every combination is a point "
        "of the grid, and the best on validation is kept",
    )
    checkpoints: str = Field(description="Directory of the grid's trainings; local")

    # Evaluation
    bootstrap_replicates: int = Field(
        default=1000, ge=1, description="Resamplings of the persons, for 95 % intervals"
    )
    thresholds: tuple[float, ...] = Field(
        default=(0.05, 0.1, 0.2, 0.3, 0.5), description="Risks from which a person is flagged"
    )
    age_bands: tuple[int, ...] = Field(
        default=(18, 40, 50, 60, 70, 80), description="First ages of the bands, in years"
    )
    smallest_cell: int = Field(
        default=5,
        ge=1,
        description="Fewest persons with and without the outcome in a subgroup that is shown",
    )
    time_bins: tuple[int, ...] = Field(
        default=(30, 365), description="Days that separate the periods of the count baselines"
    )
    probe_shifts: tuple[int, ...] = Field(
        default=(0, 1, 30, 180),
        description="Days before the prediction time at which the leakage probe stops to look",
    )

    def window(self, max_position_embeddings: int) -> WindowOptions:
        """Return how large a window of a model may be."""
        return WindowOptions(self.override_maxlen, max_position_embeddings)

    def grid(self) -> list[dict[str, Any]]:
        """Return the points of the grid: a value for each tuneable parameter."""
        names = list(self.tuneable_parameters)
        return [
            dict(zip(names, values, strict=True))
            for values in product(*self.tuneable_parameters.values())
        ]

    def settings(self, point: Mapping[str, Any]) -> FineTuning:
        """Return how the model of one point of the grid is fine-tuned."""
        chosen = self.model_validate(self.model_dump() | dict(point))
        return FineTuning(
            **{field.name: getattr(chosen, field.name) for field in fields(FineTuning)}
        )
