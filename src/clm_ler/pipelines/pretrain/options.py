"""The parameters of ``pretrain``."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.objectives.mlm import MaskingOptions


class PretrainOptions(BaseModel):
    """Model, data path and training; names are the published ones where the meaning is the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str = Field(description="Which of the presets gives the values not set here")
    presets: dict[str, dict[str, Any]] = Field(
        exclude=True, description="Sets of values for the parameters below, by name"
    )

    # The model
    model_type: Literal["clm_ler", "bert", "longformer"] = Field(
        default="clm_ler", description="Ours, or one of the published flavours"
    )
    hidden_size: int = Field(default=768, ge=2, description="Width of the model")
    num_hidden_layers: int = Field(default=12, ge=1, description="Layers")
    num_attention_heads: int = Field(default=12, ge=1, description="Heads per layer")
    intermediate_size: int | None = Field(
        default=None, description="Width of the feed-forward layers; null: four times hidden_size"
    )
    hidden_dropout_prob: float = Field(default=0.1, ge=0, lt=1, description="Dropout")
    attention_probs_dropout_prob: float = Field(
        default=0.0, ge=0, lt=1, description="Dropout of attention weights; 0 for varlen attention"
    )
    time_encoding: Literal["rope_days", "day_embedding", "order"] = Field(
        default="rope_days", description="How clm_ler sees time; order is blind to days"
    )
    rope_theta: float = Field(default=10_000.0, gt=0, description="Base of the rotary wavelengths")
    bin_loss_weight: float = Field(
        default=1.0, ge=0, description="Weight of masked lab bins in the loss; 0: no bin head"
    )
    pooling: Literal["cls", "mean", "last"] = Field(
        default="mean", description="The embedding of a sequence: [CLS], mean, or last event"
    )
    position_embedding_type: Literal["absolute"] = Field(
        default="absolute",
        description="For bert and longformer: days as learned positions. relative_key_query is "
        "refused: it never let the days reach the model, and Transformers 5 dropped it",
    )
    attention_window: int = Field(default=64, ge=2, description="For longformer: local attention")

    # What it sees
    override_maxlen: int = Field(
        default=512, ge=2, description="Tokens of a window, [CLS] included"
    )
    max_position_embeddings: int = Field(default=1825, ge=2, description="Days of a window")
    prediction_fraction: float = Field(default=0.15, gt=0, lt=1, description="Share masked")
    masking_fraction: float = Field(
        default=0.8, ge=0, le=1, description="Share of the masked that becomes [MASK]"
    )
    random_replacement_fraction: float = Field(
        default=0.1, ge=0, le=1, description="Share of the masked that becomes a random token"
    )
    mask_demographics: bool = Field(default=False, description="Whether the baseline is masked too")
    bin_masking_fraction: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the other labs whose bin alone is masked, for the lab-bin head to tell",
    )

    # Training
    tokens_per_batch: int = Field(
        default=16_384, ge=2, description="Positions of a batch on each rank, padding included"
    )
    gradient_accumulation_steps: int = Field(default=1, ge=1, description="Batches per step")
    num_train_epochs: float = Field(default=5, gt=0, description="Passes over the training persons")
    max_steps: int = Field(default=-1, description="Steps, in the place of epochs; -1: epochs")
    learning_rate: float = Field(default=5e-5, gt=0, description="Highest learning rate")
    lr_scheduler_type: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        default="cosine", description="Learning rate after the warm-up"
    )
    warmup_steps: float = Field(
        default=0.05, ge=0, description="Steps of linear warm-up; below 1 a share of all steps"
    )
    weight_decay: float = Field(
        default=0.001, ge=0, description="Of matrices; never of norms, embeddings and biases"
    )
    max_grad_norm: float = Field(
        default=1.0, ge=0, description="Gradients are clipped to this norm"
    )
    bf16: bool | None = Field(default=None, description="null: where the device can, so on GPUs")
    fp16: bool = Field(default=False, description="Half precision for older GPUs")
    attention: Literal["auto", "sdpa", "varlen"] = Field(
        default="auto", description="auto: varlen (no padding) for clm_ler on CUDA, else sdpa"
    )
    torch_compile: bool = Field(default=False, description="Compile the model")
    ranks: int = Field(default=0, ge=0, description="Processes; 0: one per GPU, one on a CPU")
    dataloader_num_workers: int = Field(
        default=0, ge=0, description="Processes that make batches, per rank; 0: none beside it"
    )
    eval_steps: float = Field(
        default=3000,
        gt=0,
        description="Steps between evaluations, each followed by a checkpoint; below 1 a share",
    )
    eval_persons: int = Field(
        default=10_000, ge=1, description="Most persons of a split that are evaluated"
    )
    logging_steps: float = Field(default=250, gt=0, description="Steps per loss; below 1 a share")
    early_stopping_patience: int = Field(
        default=30, ge=1, description="Evaluations without a better eval_loss before it stops"
    )
    early_stopping_delay: float = Field(
        default=0, ge=0, description="Epochs before these evaluations count"
    )

    # The run
    checkpoints: str = Field(
        description="Directory of the checkpoints; local, also if storage is not"
    )
    save_total_limit: int = Field(
        default=2, ge=1, description="Checkpoints kept, the best included"
    )
    input_model: str | None = Field(
        default=None,
        description="Model directory to continue from, with its tokenizer; the vocabulary may grow",
    )
    overwrite: bool = Field(
        default=False,
        description="Give up a training of other data or parameters, or a finished one",
    )
    license: str = Field(default="other", description="Licence field of the model card")

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: dict[str, Any]) -> dict[str, Any]:
        presets = values.get("presets", {})
        if values.get("preset") not in presets:
            raise ValueError(f"preset must be one of {', '.join(presets)}")
        return presets[values["preset"]] | values

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if self.masking_fraction + self.random_replacement_fraction > 1:
            raise ValueError("masking_fraction + random_replacement_fraction must be at most 1")
        if self.attention == "varlen" and (
            self.model_type != "clm_ler" or self.attention_probs_dropout_prob
        ):
            raise ValueError(
                "attention: varlen is for model_type clm_ler without attention_probs_dropout_prob"
            )
        return self

    @property
    def window(self) -> WindowOptions:
        """How large a window may be."""
        return WindowOptions(self.override_maxlen, self.max_position_embeddings)

    @property
    def masking(self) -> MaskingOptions:
        """How tokens are masked; no bin is masked alone for a model that does not predict bins."""
        predicts_bins = self.model_type == "clm_ler" and self.bin_loss_weight > 0
        return MaskingOptions(
            self.prediction_fraction,
            self.masking_fraction,
            self.random_replacement_fraction,
            self.mask_demographics,
            self.bin_masking_fraction if predicts_bins else 0.0,
        )
