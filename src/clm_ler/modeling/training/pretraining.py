"""Pre-training: Hugging Face's Trainer, fed by our batches, safe to kill at any moment."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    AutoConfig,
    EarlyStoppingCallback,
    PreTrainedConfig,
    PreTrainedModel,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_pt_utils import get_parameter_names

from clm_ler.files.arrow import evenly_spaced, map_files, mapped_files
from clm_ler.files.atomic import replace_folder, write_json
from clm_ler.modeling.data.batches import Batch
from clm_ler.modeling.data.packing import pack
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.loading import load_model
from clm_ler.modeling.objectives.base import Objective, measure, model_sums
from clm_ler.modeling.training.checkpoints import INITIAL, RESULT
from clm_ler.modeling.training.flops import encoder_flops_per_token, model_flops_utilisation
from clm_ler.modeling.training.loaders import BatchRecipe, evaluation_loader, train_loader
from clm_ler.modeling.training.options import TrainingOptions
from clm_ler.modeling.training.speed import ProgressLine, Speed
from clm_ler.modeling.training.tracking import tracker
from clm_ler.modeling.training.trainer import BatchTrainer, batch_arguments

# Options that Trainer takes as they are.
ARGUMENTS = [
    "gradient_accumulation_steps",
    "num_train_epochs",
    "max_steps",
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "max_grad_norm",
    "fp16",
    "torch_compile",
    "eval_steps",
    "logging_steps",
]
LOGGED = ("step", "epoch", "loss", "learning_rate")  # what the history keeps, beside evaluations


@dataclass(frozen=True)
class PretrainingTask:
    """Everything that a rank needs to train.

    Attributes:
        directory: The run's directory, see :mod:`clm_ler.modeling.training.checkpoints`; the weights to start
            from are in ``initial/``.
        data: ``encoded_sequences``.
        recipe: How its batches are made, and for which objective.
        options: How it is trained.
    """

    directory: Path
    data: pa.Table
    recipe: BatchRecipe
    options: TrainingOptions

    def __getstate__(self) -> dict[str, Any]:
        """Send the names of mapped files to another rank, not what is in them."""
        return {**self.__dict__, "data": mapped_files(self.data) or self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        data = state["data"]
        self.__dict__.update(state, data=map_files(data) if isinstance(data, list) else data)


def pretrain(task: PretrainingTask) -> None:
    """Train on this rank until the end, from the last whole checkpoint if there is one.

    The first rank then writes ``result/``: the best model, and the history and speed of training.
    """
    arguments = training_arguments(task)
    trainer = build_trainer(task, arguments)
    trainer.train_to_the_end()
    if arguments.should_save:
        replace_folder(task.directory / RESULT, partial(_write_result, trainer, task))


def training_arguments(task: PretrainingTask) -> TrainingArguments:
    """Return Trainer's arguments: those of the task, and those that our loop needs."""
    options, cuda = task.options, torch.cuda.is_available()
    can_bf16 = cuda and torch.cuda.is_bf16_supported() and not options.fp16
    return batch_arguments(
        task.directory,
        metric_for_best_model="loss",
        greater_is_better=False,
        # Both would wait for the device at every step.
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="no",
        ddp_find_unused_parameters=False,
        report_to=tracker(),
        seed=task.recipe.seed,
        bf16=can_bf16 if options.bf16 is None else options.bf16,
        **{name: getattr(options, name) for name in ARGUMENTS},
    )


def build_trainer(task: PretrainingTask, arguments: TrainingArguments) -> "PretrainingTrainer":
    """Return the trainer of a rank, with its model and loaders."""
    options, ranks = task.options, arguments.world_size
    config = AutoConfig.from_pretrained(task.directory / INITIAL)
    attention = choose_attention(config, options.attention)
    model = load_model(task.directory / INITIAL, attn_implementation=attention)
    train_store = TokenStore.from_arrow(task.data, split="train")
    valid_store = TokenStore.from_arrow(task.data, split="valid")
    rows = evenly_spaced(len(valid_store), options.eval_persons)
    epochs = number_of_epochs(task, train_store, ranks)
    to_train = train_loader(task.recipe, train_store, epochs, ranks)
    to_evaluate = evaluation_loader(task.recipe, valid_store, rows, ranks)
    if attention == "varlen":
        to_train.collate_fn = to_evaluate.collate_fn = pack
    trainer = PretrainingTrainer(
        model, arguments, to_train, to_evaluate, task.recipe.objective, options.save_total_limit
    )
    trainer.add_callback(
        DelayedEarlyStopping(options.early_stopping_patience, options.early_stopping_delay)
    )
    trainer.add_callback(ProgressLine(trainer.speed))
    return trainer


def number_of_epochs(task: PretrainingTask, store: TokenStore, ranks: int) -> int:
    """Return how many epochs may be begun: all have as many steps as the one with the most batches."""
    options = task.options
    if options.max_steps <= 0:  # Trainer takes epochs for 0, too
        return ceil(options.num_train_epochs)
    steps = len(train_loader(task.recipe, store, epochs=1, processes=ranks)) // ranks
    return ceil(options.max_steps * options.gradient_accumulation_steps / steps) + 1


def choose_attention(config: PreTrainedConfig, attention: str) -> str:
    """Return the attention function: on a GPU the one that needs no padding, where it can be had."""
    if config.model_type == "longformer":
        return "eager"  # its own sliding window; it knows no other
    if attention != "auto":
        return attention
    can_varlen = config.model_type == "clm_ler" and not config.attention_probs_dropout_prob
    return "varlen" if can_varlen and torch.cuda.is_available() else "sdpa"


class PretrainingTrainer(BatchTrainer):
    """Trainer with the loss and the metrics of an objective, both as sums over all ranks."""

    # Our loss is that of the whole step already.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        train_loader: DataLoader[Batch],
        eval_loader: DataLoader[Batch],
        objective: Objective,
        save_total_limit: int,
    ) -> None:
        super().__init__(model, args, train_loader, save_total_limit)
        self._eval_loader = self.accelerator.prepare(eval_loader)
        self._objective = objective
        self.speed = Speed()

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return the weights that decay: matrices only, no bias, norm or embedding."""
        names = ["bias", r"embeddings\.ages"]  # a curve of embeddings, made by a linear layer
        return get_parameter_names(model, [nn.LayerNorm, nn.Embedding], names)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], Tensor]:
        """Return the batches of a step, and the items of its loss: over all of them, on all ranks."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        items = torch.stack([batch["targets"]["items"] for batch in batches]).sum(dim=0)
        items = self.accelerator.reduce(items.to(device), reduction="sum")
        return batches, items.clamp(min=1)  # a part of the loss may have none

    def training_step(
        self, model: nn.Module, inputs: Batch, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Do what Trainer does, and count the tokens that are not padding."""
        mask = inputs.get("attention_mask")
        self.speed.add(inputs["input_ids"].numel() if mask is None else mask.sum())
        return super().training_step(model, inputs, num_items_in_batch)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the objective's summed losses, each divided by its items of the whole step."""
        losses = model(**inputs, read_out=self._objective.loss)
        loss = (losses / num_items_in_batch).sum()
        return loss * self.args.world_size  # the ranks' gradients are averaged

    def evaluate(
        self,
        eval_dataset: object = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Return the objective's scalars on the valid split, over all ranks.

        Trainer's own evaluation averages batches, whatever their size, and gathers every logit.
        """
        model = self.model_wrapped
        model.eval()
        with self.speed.paused():
            sums = measure(model_sums(self._objective, model), self._eval_loader)
        sums = self.accelerator.reduce(sums.to(self.args.device), reduction="sum").cpu()
        scalars = self._objective.scalars(self._objective.summary(sums))
        return self.report({f"{metric_key_prefix}_{name}": v for name, v in scalars.items()})

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with self.speed.paused():
            super()._save_checkpoint(model, trial)


class DelayedEarlyStopping(EarlyStoppingCallback):
    """Early stopping that begins to count after some epochs."""

    def __init__(self, early_stopping_patience: int, early_stopping_delay: float) -> None:
        super().__init__(early_stopping_patience)
        self.early_stopping_delay = early_stopping_delay

    def on_evaluate(  # type: ignore[override]  # as TrainerCallback has it
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count an evaluation once the delay is over."""
        if (state.epoch or 0) >= self.early_stopping_delay:
            super().on_evaluate(args, state, control, **kwargs)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs to keep."""
        arguments = {
            "early_stopping_patience": self.early_stopping_patience,
            "early_stopping_delay": self.early_stopping_delay,
        }
        counter = {"early_stopping_patience_counter": self.early_stopping_patience_counter}
        return {"args": arguments, "attributes": counter}


def _write_result(trainer: PretrainingTrainer, task: PretrainingTask, directory: Path) -> None:
    """Write the best model, the history, and how fast it went since the last start."""
    model = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    model.save_pretrained(directory)
    entries = [
        {name: value for name, value in entry.items() if name in LOGGED or name[:5] == "eval_"}
        for entry in trainer.state.log_history
        if "loss" in entry or "eval_loss" in entry
    ]
    write_json(directory / "history.json", entries)
    write_json(directory / "training.json", _describe_training(trainer, task, model))


def _describe_training(
    trainer: PretrainingTrainer, task: PretrainingTask, model: PreTrainedModel
) -> dict[str, Any]:
    """Return steps, speed, and how much of the device's arithmetic was used."""
    speed, ranks = trainer.speed, trainer.args.world_size
    per_rank = speed.tokens / max(speed.seconds, 1e-9)
    lengths = TokenStore.from_arrow(task.data, split="train").lengths + 1
    lengths = np.minimum(lengths, task.recipe.window.override_maxlen)
    flops = encoder_flops_per_token(model.config, lengths)
    flops += task.recipe.objective.head_flops(model.config)
    return {
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "ranks": ranks,
        "tokens_per_second": per_rank * ranks,
        "seconds_per_step": speed.seconds / max(speed.steps, 1),
        "parameters": model.num_parameters(),
        "flops_per_token": flops,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "model_flops_utilisation": model_flops_utilisation(per_rank, flops),
    }
