"""Pre-training: Hugging Face's Trainer, fed by our batches, safe to kill at any moment."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_pt_utils import get_parameter_names
from transformers.utils.logging import disable_progress_bar

from clm_ler.files.arrow import map_files, mapped_files
from clm_ler.modeling.data.batches import Batch, mlm_evaluation_loader, mlm_train_loader
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.model.modeling_clm_ler import pack
from clm_ler.modeling.model.published import load_masked_lm
from clm_ler.modeling.objectives.mlm import MaskingOptions
from clm_ler.modeling.objectives.mlm_metrics import CodeSystems, measure, summarise
from clm_ler.modeling.training.checkpoints import (
    INITIAL,
    RESULT,
    last_checkpoint,
    save_directory,
    write_json,
)
from clm_ler.modeling.training.tracking import tracker
from clm_ler.modeling.training.trainer import BatchTrainer, batch_arguments


@dataclass(frozen=True)
class PretrainingTask:
    """Everything that a rank needs to train.

    Attributes:
        directory: The run's directory, see :mod:`clm_ler.modeling.training.checkpoints`; the weights to start
            from are in ``initial/``.
        data: ``encoded_sequences``.
        vocabulary: The special ids.
        systems: The code system of each token.
        window: How large a window may be.
        masking: How tokens are masked.
        tokens_per_batch: Positions of a batch, padding included, on each rank.
        eval_persons: Persons of the valid split that are evaluated while training.
        workers: Processes that make batches, per rank; 0 makes them in the training process.
        attention: ``sdpa`` on padded batches or ``varlen`` on packed ones.
        save_total_limit: Checkpoints kept, the best one among them.
        early_stopping_patience: Evaluations without improvement after which training stops.
        early_stopping_delay: Epochs before these evaluations are counted.
        arguments: The remaining arguments of ``transformers.TrainingArguments``.
    """

    directory: Path
    data: pa.Table
    vocabulary: Vocabulary
    systems: CodeSystems
    window: WindowOptions
    masking: MaskingOptions
    tokens_per_batch: int
    eval_persons: int
    workers: int
    attention: str
    save_total_limit: int
    early_stopping_patience: int
    early_stopping_delay: float
    arguments: Mapping[str, Any]

    def __getstate__(self) -> dict[str, Any]:
        """Send the names of mapped files to another rank, not what is in them."""
        return {**self.__dict__, "data": mapped_files(self.data) or self.data}

    def __setstate__(self, state: dict[str, Any]) -> None:
        data = state["data"]
        self.__dict__.update(state, data=map_files(data) if isinstance(data, list) else data)


def launch(task: PretrainingTask, ranks: int = 0) -> None:
    """Train, on as many processes as asked for: this one, or new ones that it starts.

    Args:
        task: What to train.
        ranks: Number of processes; 0 takes one per GPU, one where there is none.
    """
    gpus = torch.cuda.device_count()
    ranks = ranks or max(gpus, 1)
    if ranks == 1 and gpus <= 1:
        pretrain(task)
        return
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="spawn",
    )
    elastic_launch(settings, _rank)(task)


def _rank(task: PretrainingTask) -> None:
    try:
        pretrain(task)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def pretrain(task: PretrainingTask) -> None:
    """Train on this rank until the end, from the last whole checkpoint if there is one.

    The first rank then writes ``result/``: the best model, and the history and speed of training.
    """
    disable_progress_bar()  # a line of their own for each model saved
    arguments = training_arguments(task)
    trainer = build_trainer(task, arguments)
    trainer.train(resume_from_checkpoint=last_checkpoint(task.directory))
    if arguments.should_save:
        save_directory(task.directory / RESULT, partial(_write_result, trainer))


def training_arguments(task: PretrainingTask) -> TrainingArguments:
    """Return Trainer's arguments: those of the task, and those that our loop needs."""
    return batch_arguments(
        task.directory,
        metric_for_best_model="loss",
        greater_is_better=False,
        # Both would wait for the device at every step.
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="no",
        ddp_find_unused_parameters=False,
        report_to=tracker(),
        **task.arguments,
    )


def build_trainer(task: PretrainingTask, arguments: TrainingArguments) -> "PretrainingTrainer":
    """Return the trainer of a rank, with its model and loaders."""
    model = load_masked_lm(task.directory / INITIAL, attn_implementation=task.attention)
    common = {
        "vocabulary": task.vocabulary,
        "window": task.window,
        "masking": task.masking,
        "tokens_per_batch": task.tokens_per_batch,
        "seed": arguments.seed,
        "processes": arguments.world_size,
        "workers": task.workers,
    }
    train_store = TokenStore.from_arrow(task.data, split="train")
    epochs = int(-(-arguments.num_train_epochs // 1))
    train_loader = mlm_train_loader(train_store, epochs=epochs, **common)
    valid_store = TokenStore.from_arrow(task.data, split="valid")
    rows = evaluation_rows(valid_store, task.eval_persons)
    eval_loader = mlm_evaluation_loader(valid_store, rows=rows, **common)
    if task.attention == "varlen":
        train_loader.collate_fn = eval_loader.collate_fn = pack
    trainer = PretrainingTrainer(
        model=model,
        args=arguments,
        train_loader=train_loader,
        eval_loader=eval_loader,
        systems=task.systems,
        save_total_limit=task.save_total_limit,
    )
    stopping = DelayedEarlyStopping(task.early_stopping_patience, task.early_stopping_delay)
    trainer.add_callback(stopping)
    trainer.add_callback(ProgressLine(trainer.speed))
    return trainer


def evaluation_rows(store: TokenStore, most: int) -> NDArray[np.int64]:
    """Return at most so many rows, spread evenly over the store."""
    return np.unique(np.linspace(0, len(store) - 1, min(most, len(store))).astype(np.int64))


class PretrainingTrainer(BatchTrainer):
    """Trainer that counts tokens, with an evaluation that adds up."""

    def __init__(
        self,
        *,
        train_loader: DataLoader[Batch],
        eval_loader: DataLoader[Batch],
        systems: CodeSystems,
        save_total_limit: int,
        model: PreTrainedModel,
        args: TrainingArguments,
    ) -> None:
        super().__init__(model, args, train_loader, save_total_limit)
        self._eval_loader = self.accelerator.prepare(eval_loader)
        self._systems = systems
        self.speed = Speed()

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return the weights that decay: matrices only, no bias, norm or embedding."""
        return get_parameter_names(model, [nn.LayerNorm, nn.Embedding], ["bias"])

    def training_step(
        self, model: nn.Module, inputs: Batch, num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Do what Trainer does, and count the tokens that are not padding."""
        mask = inputs.get("attention_mask")
        self.speed.add(inputs["input_ids"].numel() if mask is None else mask.sum())
        return super().training_step(model, inputs, num_items_in_batch)

    def evaluate(
        self,
        eval_dataset: object = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Return loss and accuracies per masked code of the valid split, over all ranks.

        Trainer's own evaluation averages batches, whatever their size, and gathers every logit.
        """
        model = self.model_wrapped
        model.eval()
        with self.speed.paused():
            sums = measure(lambda batch: model(**batch), self._eval_loader, self._systems)
        sums = self.accelerator.reduce(sums.to(self.args.device), reduction="sum").cpu()
        summary = summarise(sums, self._systems)
        return self.report(
            {
                f"{metric_key_prefix}_loss": summary["joint_loss"],
                f"{metric_key_prefix}_code_loss": summary["loss"],
                f"{metric_key_prefix}_accuracy": summary["accuracy"]["top1"],
            }
        )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with self.speed.paused():
            super()._save_checkpoint(model, trial)


class Speed:
    """Tokens and seconds of training in this process; the clock stands while it evaluates or saves."""

    def __init__(self) -> None:
        self.steps = 0
        self._tokens: Tensor | int = 0
        self._seconds = 0.0
        self._since: float | None = None

    def add(self, tokens: Tensor | int) -> None:
        """Count tokens, on the device if that is where the count is."""
        self._tokens = self._tokens + tokens

    def start(self) -> None:
        """Let the clock run."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Stop the clock once the device has done what it was given."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._seconds, self._since = self.seconds, None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock for the time of a block, if it runs."""
        running = self._since is not None
        if running:
            self.stop()
        yield
        if running:
            self.start()

    @property
    def tokens(self) -> int:
        """Tokens so far; waits for the device."""
        return int(self._tokens)

    @property
    def seconds(self) -> float:
        """Seconds so far, waiting for data included."""
        return self._seconds + (time.perf_counter() - self._since if self._since else 0.0)


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


class ProgressLine(TrainerCallback):
    """One line: steps done and left, time left, loss, tokens per second."""

    def __init__(self, speed: Speed) -> None:
        self._speed = speed
        self._bar: tqdm[Any] | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Open the line, at the step that training goes on from, and start the clock."""
        self._speed.start()
        if state.is_world_process_zero:
            self._bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="pretrain",
                unit="step",
                mininterval=0.5 if sys.stderr.isatty() else 15,
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Move on by a step."""
        self._speed.steps += 1
        if self._bar is not None:
            self._bar.update()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Show the latest losses and the rate."""
        if self._bar is None:
            return
        latest = {name: value for entry in state.log_history for name, value in entry.items()}
        rate = self._speed.tokens * args.world_size / self._speed.seconds
        shown = {"tokens/s": f"{rate:,.0f}"}
        shown |= {n: f"{latest[n]:.3f}" for n in ("loss", "eval_loss") if n in latest}
        self._bar.set_postfix(shown, refresh=False)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Stop the clock and close the line."""
        self._speed.stop()
        if self._bar is not None:
            self._bar.close()


HISTORY = ("step", "epoch", "loss", "learning_rate", "eval_loss", "eval_code_loss", "eval_accuracy")


def _write_result(trainer: PretrainingTrainer, directory: Path) -> None:
    """Write the best model, the history, and how fast it went since the last start."""
    model = trainer.accelerator.unwrap_model(trainer.model, keep_torch_compile=False)
    model.save_pretrained(directory)
    entries = [
        {name: entry[name] for name in HISTORY if name in entry}
        for entry in trainer.state.log_history
        if "loss" in entry or "eval_loss" in entry
    ]
    write_json(directory / "history.json", entries)
    speed, ranks = trainer.speed, trainer.args.world_size
    training = {
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "ranks": ranks,
        "tokens_per_second": speed.tokens * ranks / max(speed.seconds, 1e-9),
        "seconds_per_step": speed.seconds / max(speed.steps, 1),
    }
    write_json(directory / "training.json", training)
