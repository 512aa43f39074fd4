"""Batches to pre-train on and to be judged on, for any objective."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from clm_ler.modeling.data.batches import Batch, BatchIndex, PlannedBatches, collate, make_loader
from clm_ler.modeling.data.packing import renumber
from clm_ler.modeling.data.random_streams import (
    EVALUATION_TARGETS,
    EVALUATION_WINDOWS,
    TARGETS,
    WINDOWS,
    random_stream,
)
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, Windows, cut
from clm_ler.modeling.objectives.base import Objective

ROWS_PER_BLOCK = 4_000_000


@dataclass(frozen=True)
class BatchRecipe:
    """How sequences become batches.

    Attributes:
        objective: What the model is trained for.
        vocabulary: The special ids.
        window: How large a window may be.
        tokens_per_batch: The most positions of a batch, padding included.
        seed: Of all that is random.
        workers: Processes that make batches; 0 makes them in this one.
    """

    objective: Objective
    vocabulary: Vocabulary
    window: WindowOptions
    tokens_per_batch: int
    seed: int
    workers: int = 0


def train_loader(
    recipe: BatchRecipe, store: TokenStore, epochs: int, processes: int = 1
) -> DataLoader[Batch]:
    """Return the pre-training batches: shuffled, other windows and targets in each epoch."""

    def windows_of(epoch: int) -> Windows:
        rng = random_stream(recipe.seed, WINDOWS, epoch)
        blocks = np.split(np.arange(len(store)), range(ROWS_PER_BLOCK, len(store), ROWS_PER_BLOCK))
        windows = recipe.objective.windows
        return Windows.concatenate([windows(store, rows, recipe.window, rng) for rows in blocks])

    batches = PlannedBatches(
        windows_of, recipe.tokens_per_batch, seed=recipe.seed, epochs=epochs, processes=processes
    )
    make = partial(make_batch, recipe=recipe, store=store, evaluation=False)
    return make_loader(make, batches, len(store), recipe.workers)


def evaluation_loader(
    recipe: BatchRecipe, store: TokenStore, rows: NDArray[np.integer], processes: int = 1
) -> DataLoader[Batch]:
    """Return the evaluation batches of some rows: the same windows and targets in every epoch."""
    rng = random_stream(recipe.seed, EVALUATION_WINDOWS)
    windows = recipe.objective.evaluation_windows(store, rows, recipe.window, rng)
    batches = PlannedBatches(
        lambda epoch: windows,
        recipe.tokens_per_batch,
        seed=recipe.seed,
        shuffle=False,
        processes=processes,
    )
    make = partial(make_batch, recipe=recipe, store=store, evaluation=True)
    return make_loader(make, batches, len(rows), recipe.workers)


def make_batch(
    index: BatchIndex, recipe: BatchRecipe, store: TokenStore, evaluation: bool
) -> Batch:
    """Return the tensors of a batch: those of `collate`, and ``targets`` by name, ``items`` among them.

    Args:
        index: The batch.
        recipe: How it is made.
        store: The sequences.
        evaluation: Whether it is to be judged on: then its targets are the same in every epoch.
    """
    words = (EVALUATION_TARGETS,) if evaluation else (TARGETS, index.epoch)
    rng = random_stream(recipe.seed, *words, index.number)
    tokens = cut(store, index.windows, recipe.vocabulary)
    tokens, targets = recipe.objective.make(
        tokens, index.windows, store, rng, evaluation=evaluation
    )
    batch = collate(tokens, recipe.vocabulary)
    places = torch.from_numpy(np.flatnonzero(batch["attention_mask"].numpy()))
    tensors = {name: torch.from_numpy(values) for name, values in targets.values.items()}
    tensors["items"] = torch.as_tensor(targets.items)
    return batch | {"targets": renumber(tensors, places)}
