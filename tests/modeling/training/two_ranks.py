"""A rank of two, each on a machine of its own as far as the current folder says; prints what it is told.

The first one fails at last: while it has nothing to train, or in a training.
"""

import sys
from pathlib import Path

import pyarrow as pa
import torch.distributed as dist

from clm_ler.modeling.training.launch import launch
from clm_ler.modeling.training.pretraining import PretrainingTask
from clm_ler.modeling.training.torchrun import follow, joined
from tests.modeling.records import records
from tests.modeling.train_toy import toy_task

SHARED, OWN = Path(sys.argv[1]), Path("own")
IN_TRAINING = sys.argv[2] == "training"


def say(what: object) -> None:
    """Print a line."""
    sys.stdout.write(f"{what}\n")


def count(task: PretrainingTask) -> None:
    """Stand for a training."""
    say(f"trained on {task.data.num_rows}")


def leave(task: PretrainingTask) -> None:
    """Stand for a training that fails on the first rank."""
    if dist.get_rank() == 0:
        raise SystemExit(3)
    dist.barrier()


def lead(data: pa.Table) -> None:
    """Have a training that works, and two that cannot; then fail."""
    for directory, rows in ((SHARED, data), (OWN, data), (SHARED, data[:-1])):
        try:
            launch(count, toy_task(directory, rows))
        except ValueError as error:
            say(error)
    if IN_TRAINING:
        launch(leave, toy_task(SHARED, data))
    raise SystemExit(3)


with joined() as is_first:
    if is_first:
        lead(records())
    while True:
        try:
            follow(records)
        except ValueError as error:
            say(error)
