"""How fast training goes, and the line that says so."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


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
