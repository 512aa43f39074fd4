"""One process for each GPU."""

import logging
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from clm_ler.modeling.training.torchrun import lead


def launch(train: Callable[[Any], None], task: Any, ranks: int = 0) -> None:
    """Train, on as many processes as asked for: this one, or new ones that it starts.

    Where ``torchrun`` has started the processes, they are those, however many there are.

    Args:
        train: What each process does; a function of a module, which a new process can import.
        task: What to train; it is sent to the processes.
        ranks: Number of processes; 0 takes one per GPU, one where there is none.
    """
    if dist.is_initialized():
        lead(train, task)
        return
    gpus = torch.cuda.device_count()
    ranks = ranks or max(gpus, 1)
    if ranks == 1 and gpus <= 1:
        train(task)
        return
    settings = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="spawn",
    )
    elastic_launch(settings, _rank)(train, task)


def _rank(train: Callable[[Any], None], task: Any) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # a new process has no log yet
    try:
        train(task)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
