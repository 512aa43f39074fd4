"""How a model is pre-trained and fine-tuned."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt, doc

from clm_ler.modeling.model.configuration_clm_ler import Pooling


@dataclass(frozen=True)
class TrainingOptions:
    """Batches, steps and how long; names are Trainer's where the meaning is the same."""

    tokens_per_batch: Annotated[
        int, Ge(2), doc("Positions of a batch on each rank, padding included")
    ] = 16_384
    gradient_accumulation_steps: Annotated[int, Ge(1), doc("Batches per step")] = 1
    num_train_epochs: Annotated[float, Gt(0), doc("Passes over the training persons")] = 5
    max_steps: Annotated[int, doc("Steps, in place of epochs; -1: epochs")] = -1
    learning_rate: Annotated[float, Gt(0), doc("Highest learning rate")] = 5e-5
    lr_scheduler_type: Annotated[
        Literal["cosine", "linear", "constant_with_warmup"],
        doc("Learning rate after the warm-up"),
    ] = "cosine"
    warmup_steps: Annotated[
        float, Ge(0), doc("Steps of linear warm-up; below 1 a share of all steps")
    ] = 0.05
    weight_decay: Annotated[
        float, Ge(0), doc("Weight decay of matrices; never of norms, embeddings and biases")
    ] = 0.001
    max_grad_norm: Annotated[float, Ge(0), doc("Gradients are clipped to this norm")] = 1.0
    bf16: Annotated[
        bool | None,
        doc(
            "Half precision; null: on GPUs that have it. On a CPU with AMX, true pays for a width of 256"
        ),
    ] = None
    fp16: Annotated[bool, doc("The older half precision, for older GPUs")] = False
    attention: Annotated[
        Literal["auto", "sdpa", "varlen"],
        doc("auto: varlen (no padding) for clm_ler on CUDA, else sdpa"),
    ] = "auto"
    torch_compile: Annotated[bool, doc("Compile the model")] = False
    ranks: Annotated[
        int, Ge(0), doc("Processes; 0: one per GPU, one on a CPU; torchrun has its own number")
    ] = 0
    dataloader_num_workers: Annotated[
        int, Ge(0), doc("Processes that make batches, per rank; 0: the rank itself")
    ] = 0
    eval_steps: Annotated[
        float,
        Gt(0),
        doc("Steps between evaluations, each with a checkpoint; below 1 a share of all steps"),
    ] = 3000
    eval_persons: Annotated[
        int, Ge(1), doc("Largest number of persons of a split that is evaluated")
    ] = 10_000
    logging_steps: Annotated[
        float, Gt(0), doc("Steps between logged losses; below 1 a share of all steps")
    ] = 250
    early_stopping_patience: Annotated[
        int, Ge(1), doc("Evaluations without a better eval_loss before it stops")
    ] = 30
    early_stopping_delay: Annotated[
        float, Ge(0), doc("Epochs before evaluations count for this")
    ] = 0
    save_total_limit: Annotated[int, Ge(1), doc("Checkpoints kept, the best included")] = 2


@dataclass(frozen=True)
class FineTuning:
    """How one model is fine-tuned."""

    tokens_per_batch: Annotated[int, Ge(2), doc("Positions of a batch, padding included")] = 4096

    # What is trained
    method: Annotated[
        Literal["full", "last_layers", "frozen"],
        doc(
            "full: all weights; last_layers: the last trainable_layers and the head; frozen: a "
            "logistic regression on the frozen embeddings"
        ),
    ] = "full"
    trainable_layers: Annotated[int, Ge(1), doc("Layers trained by last_layers")] = 1
    pooling: Annotated[Pooling | None, doc("Embedding of a sequence; null: as in pre-training")] = (
        None
    )
    # Else the first steps spoil the encoder (Kumar et al., ICLR 2022).
    probe_first: Annotated[
        bool, doc("Start from the head of the frozen method, not from a random one")
    ] = True
    probe_strengths: Annotated[
        tuple[float, ...],
        doc("Inverse L2 strengths that the logistic regression tries on validation"),
    ] = (1e-2, 1e-1, 1.0, 10.0)

    # Classes
    proportions_per_label: Annotated[
        tuple[float, ...] | None,
        doc("Relative size of each class in an epoch; null: as in the data"),
    ] = None
    max_proportion: Annotated[
        float | None,
        Ge(1),
        doc("Most samples of a class in an epoch, as a multiple of the smallest class"),
    ] = None
    class_weights: Annotated[
        Literal["none", "balanced"],
        doc("balanced: each class weighs its inverse frequency in the loss"),
    ] = "none"

    # Training
    learning_rate: Annotated[float, Gt(0), doc("Highest learning rate")] = 1e-4
    num_train_epochs: Annotated[float, Gt(0), doc("Passes over the training samples")] = 3
    weight_decay: Annotated[float, Ge(0), doc("Weight decay of matrices")] = 0.01
    warmup_steps: Annotated[
        float, Ge(0), doc("Steps of linear warm-up; below 1 a share of all steps")
    ] = 0.1
    hidden_dropout_prob: Annotated[
        float | None, Ge(0), Lt(1), doc("Dropout; null: as in pre-training")
    ] = None
    eval_step_fraction: Annotated[float, Gt(0), doc("Share of an epoch between evaluations")] = 0.5
    early_stopping_patience: Annotated[
        int, Ge(1), doc("Evaluations without a better AUROC before it stops")
    ] = 3
