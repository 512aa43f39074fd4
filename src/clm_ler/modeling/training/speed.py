"""How fast training goes, and the line that says so."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from clm_ler.files.progress import Progress


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


class ProgressLine(TrainerCallback):
    """Steps done and left, time left, loss, tokens per second."""

    def __init__(self, speed: Speed) -> None:
        self._speed = speed
        self._progress: Progress | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Begin to count, at the step that training goes on from, and start the clock."""
        self._speed.start()
        if state.is_world_process_zero:
            self._progress = Progress("pretrain", state.max_steps, "steps", state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Move on by a step."""
        self._speed.steps += 1
        if self._progress is not None:
            self._progress.step()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Show the latest losses and the rate."""
        if self._progress is None:
            return
        latest = {name: value for entry in state.log_history for name, value in entry.items()}
        rate = self._speed.tokens * args.world_size / self._speed.seconds
        losses = [f"{n} {latest[n]:.3f}" for n in ("loss", "eval_loss") if n in latest]
        self._progress.note(", ".join([*losses, f"{rate:,.0f} tokens a second"]))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Stop the clock and end the line."""
        self._speed.stop()
        if self._progress is not None:
            self._progress.close()
