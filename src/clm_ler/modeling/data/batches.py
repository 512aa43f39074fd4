"""Batches of windows: planned by token budget, reproducible, the same on any number of workers.

An epoch is planned as a whole, in arrays. Its batches are then read, cut and masked one by one from
nothing but their own description (`BatchIndex`), so that it does not matter which process does it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from clm_ler.modeling.data.random_streams import ORDER, random_stream
from clm_ler.modeling.data.store import Tokens
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import Windows

Batch = dict[str, Any]  # the model's arguments by name: tensors, or `targets`: tensors by name


@dataclass(frozen=True)
class BatchPlan:
    """The batches of one epoch: batch ``i`` holds the rows ``order[starts[i]:ends[i]]``.

    Attributes:
        order: int64 [n], a permutation of all rows.
        starts: int64 [batches].
        ends: int64 [batches].
    """

    order: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, number: int) -> npt.NDArray[np.int64]:
        """Return the rows of a batch, ascending, as memory is best read."""
        return np.sort(self.order[self.starts[number] : self.ends[number]])


@dataclass(frozen=True)
class BatchIndex:
    """All that is needed to make a batch.

    Attributes:
        epoch: The epoch it belongs to.
        number: Its place in the epoch.
        positions: int64 [b], which of the epoch's windows these are, ascending.
        windows: The windows themselves, [b].
    """

    epoch: int
    number: int
    positions: npt.NDArray[np.int64]
    windows: Windows


def plan_batches(
    lengths: npt.NDArray[np.integer],
    tokens_per_batch: int,
    rng: np.random.Generator | None = None,
    count: int | None = None,
) -> BatchPlan:
    """Group rows of similar length so that no batch, padding included, exceeds the budget.

    Args:
        lengths: Tokens of each row, [n].
        tokens_per_batch: The most positions of a batch, rows times longest row. A row that is longer
            by itself makes a batch of its own.
        rng: Shuffles rows of similar length among the batches, and the batches; by default they go
            from the longest rows to the shortest.
        count: Number of batches to reach by halving the largest ones; by default as few as fit.

    Raises:
        ValueError: If the rows do not fit into ``count`` batches, or are too few for them.
    """
    order, keys = np.arange(len(lengths)), np.asarray(lengths, np.int64)
    if rng is not None:
        order = rng.permutation(len(lengths))
        # A little noise, so that the rows of a small data set meet other neighbours in each epoch.
        keys = keys[order]
        keys += (rng.random(len(keys), np.float32) * (keys // 64 + 1)).astype(np.int64)
    falling = keys.max(initial=0) - keys
    # Two-byte keys are sorted in linear time.
    order = order[
        np.argsort(falling.astype(np.min_scalar_type(keys.max(initial=0))), kind="stable")
    ]
    starts = _budget_starts(np.asarray(lengths)[order], tokens_per_batch)
    starts, ends = _halve_largest(starts, np.append(starts[1:], len(order)), count or len(starts))
    shuffled = np.arange(len(starts)) if rng is None else rng.permutation(len(starts))
    return BatchPlan(order, starts[shuffled], ends[shuffled])


def _budget_starts(lengths: npt.NDArray[np.integer], budget: int) -> npt.NDArray[np.int64]:
    """Return where each batch starts in rows that are sorted, roughly, from long to short."""
    starts, row = [], 0
    while row < len(lengths):
        starts.append(row)
        candidates = lengths[row : row + max(1, budget // max(1, int(lengths[row])))]
        row += max(1, budget // max(1, int(candidates.max())))
    return np.array(starts, np.int64)


def _halve_largest(
    starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return batches split until there are ``count``: equal steps on every rank, no row repeated."""
    if not len(starts) <= count <= ends.max(initial=0):
        raise ValueError(
            f"{ends.max(initial=0)} rows in {len(starts)} batches cannot make {count} batches: one"
            " row per batch and process at least."
        )
    while missing := count - len(starts):
        sizes = ends - starts
        largest = np.argsort(-sizes, kind="stable")[:missing]
        largest = largest[sizes[largest] > 1]
        middles = (starts[largest] + ends[largest]) // 2
        starts, tails = np.append(starts, middles), ends[largest]
        ends = np.append(ends, tails)
        ends[largest] = middles
    return starts, ends


class PlannedBatches:
    """A batch sampler: yields the `BatchIndex` of every batch of an epoch.

    Every epoch has the same number of batches, a multiple of the number of processes, so that a
    trainer's steps add up and each process gets the same number; accelerate's ``BatchSamplerShard``
    (with ``even_batches=False``) gives batch ``i`` to process ``i % processes``.
    """

    def __init__(
        self,
        windows_of: Callable[[int], Windows],
        tokens_per_batch: int,
        *,
        seed: int,
        epochs: int = 1,
        shuffle: bool = True,
        processes: int = 1,
    ) -> None:
        """Plan the epochs.

        Args:
            windows_of: Returns the windows of an epoch.
            tokens_per_batch: The most positions of a batch, padding included.
            seed: Of the order.
            epochs: How many epochs there will be: the one with the most batches sets their number.
            shuffle: Whether the order is random, another one in each epoch.
            processes: Number of processes that share the batches.
        """
        self._windows_of, self._budget = windows_of, tokens_per_batch
        self._seed, self._shuffle = seed, shuffle
        self.epoch = 0
        most = max(len(self._plan(windows_of(epoch), epoch)) for epoch in range(epochs))
        self._count = -(-most // processes) * processes

    def _plan(self, windows: Windows, epoch: int, count: int | None = None) -> BatchPlan:
        rng = random_stream(self._seed, ORDER, epoch) if self._shuffle else None
        return plan_batches(windows.lengths, self._budget, rng, count)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[BatchIndex]:
        epoch, windows = self.epoch, self._windows_of(self.epoch)
        plan = self._plan(windows, epoch, self._count)
        for number in range(len(plan)):
            positions = plan[number]
            yield BatchIndex(epoch, number, positions, windows[positions])


class BatchDataset(Dataset[Batch]):
    """A map-style dataset whose index is a `BatchIndex` and whose item is a whole batch."""

    def __init__(
        self, make: Callable[[BatchIndex], Batch], batches: PlannedBatches, rows: int
    ) -> None:
        """Keep how a batch is made, the sampler whose epoch is to follow, and the number of rows."""
        self._make, self._batches, self._rows = make, batches, rows

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: BatchIndex) -> Batch:
        return self._make(index)

    def __getitems__(self, index: BatchIndex) -> Batch:
        """Return the batch (torch calls this with what the batch sampler yields)."""
        return self._make(index)

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on: accelerate tells the dataset, however it has wrapped the sampler."""
        self._batches.set_epoch(epoch)


def make_loader(
    make: Callable[[BatchIndex], Batch], batches: PlannedBatches, rows: int, workers: int = 0
) -> DataLoader[Batch]:
    """Return a loader of planned batches, the same whatever the number of workers.

    Args:
        make: Makes a batch of its description, in a worker: a function or a ``partial`` of one.
        batches: The plan.
        rows: Number of samples in an epoch, for progress and logs.
        workers: Number of worker processes; 0 makes the batches in this one.
    """
    return DataLoader(
        BatchDataset(make, batches, rows),
        batch_sampler=batches,  # type: ignore[arg-type]
        collate_fn=_as_it_is,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def collate(tokens: Tokens, vocabulary: Vocabulary) -> Batch:
    """Return padded tensors [B, T], T the longest row.

    ``input_ids``, ``token_type_ids`` and ``position_ids`` are int64 (days; 0 for ``[CLS]``, the
    baseline and padding), ``attention_mask`` is bool, True at real tokens.
    """
    lengths = tokens.lengths
    shape = (len(lengths), int(lengths.max(initial=0)))
    real = np.arange(shape[1]) < lengths[:, None]

    def padded(values: npt.NDArray[np.integer], fill: int) -> torch.Tensor:
        grid = np.full(shape, fill, np.int64)
        grid[real] = values
        return torch.from_numpy(grid)

    return {
        "input_ids": padded(tokens.input_ids, vocabulary.pad),
        "token_type_ids": padded(tokens.token_type_ids, 0),
        "position_ids": padded(tokens.position_ids, 0),
        "attention_mask": torch.from_numpy(real),
    }
