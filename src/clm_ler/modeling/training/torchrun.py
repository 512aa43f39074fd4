"""Ranks that ``torchrun`` has started, on one machine or on several: the first leads, the others follow.

Each rank is given the same command. The first does all that it asks for. The others wait until it has
something to train, read the data themselves, train with it, and wait again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import torch
import torch.distributed as dist

from clm_ler.modeling.training.checkpoints import count_data
from clm_ler.modeling.training.pretraining import PretrainingTask

Train = Callable[[PretrainingTask], None]

STEP = timedelta(minutes=30)  # the longest that a rank waits for another while they train
WAIT = timedelta(days=7)  # and before and after: what the first rank does there may take hours

_waiting: dist.ProcessGroup | None = None  # in which messages of the first rank are waited for


class LostRankError(RuntimeError):
    """Another rank has ended, or cannot be reached."""


@contextmanager
def joined() -> Iterator[bool]:
    """Connect the ranks for the time of a block, and tell whether this is the first of them.

    Where the block of the first rank ends well, the others stop to `follow`.
    """
    global _waiting
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=STEP)
    _waiting = dist.new_group(backend="gloo", timeout=WAIT)  # over the network, whatever the device
    first = dist.get_rank() == 0
    try:
        yield first
        if first:
            _from_first(None)
    finally:
        dist.destroy_process_group()


def lead(train: Train, task: PretrainingTask) -> None:
    """Train on all ranks; what the first one calls.

    Raises:
        LostRankError: If a rank has ended.
        ValueError: If the ranks do not share the task's directory, or read other data.
    """
    mark = task.directory / f".shared-{time.time_ns()}"
    mark.touch()
    try:
        _from_first((train, replace(task, data=pa.table({})), mark))
        _check(task, mark.exists())
    finally:
        mark.unlink()
    with _together():
        train(task)


def follow(load: Callable[[], pa.Table]) -> None:
    """Train whatever the first rank does, until it has nothing more; what all others call.

    Args:
        load: Reads ``encoded_sequences`` on this machine.

    Raises:
        LostRankError: If a rank has ended.
        ValueError: If the ranks do not share the task's directory, or read other data.
    """
    while message := _from_first():
        train, task, mark = message
        task = replace(task, data=load())
        _check(task, mark.exists())
        with _together():
            train(task)


def _from_first(message: Any = None) -> Any:
    """Return the message of the first rank; the others' own does not count."""
    messages = [message]
    with _together():
        dist.broadcast_object_list(messages, src=0, group=_waiting)
    return messages[0]


def _check(task: PretrainingTask, is_shared: bool) -> None:
    """Make sure that what one rank writes is there for all, and that all read the same."""
    seen: list[Any] = [None] * dist.get_world_size()
    with _together():
        dist.all_gather_object(seen, (is_shared, count_data(task.data)), group=_waiting)
    if not all(shared for shared, _counts in seen):
        raise ValueError(
            f"{task.directory} is not one folder for all machines: give one on a disk that they share, "
            "--params=pretrain.checkpoints=DIRECTORY."
        )
    if any(counts != seen[0][1] for _shared, counts in seen):
        raise ValueError(
            "The machines read different encoded_sequences: give all of them the same command, with a "
            "--params=storage=DIR_OR_S3 that they share."
        )


@contextmanager
def _together() -> Iterator[None]:
    """Tell of a lost connection in a line."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise LostRankError("Another rank has ended: see what its machine says.") from error
