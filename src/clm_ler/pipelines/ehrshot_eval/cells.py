"""The cells of the benchmark: one fitted classifier each, its predictions and its metrics."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clm_ler.engines.portable import row_count
from clm_ler.files.arrow import evenly_spaced
from clm_ler.files.digests import digest
from clm_ler.modeling.evaluation.bootstrap import (
    OFFICIAL_METRICS,
    PatientWeights,
    patient_weights,
    unit_weights,
    weighted_metrics,
)
from clm_ler.modeling.evaluation.probes import Matrix
from clm_ler.pipelines.ehrshot_eval.features import Features
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions, HeadOptions
from clm_ler.tables.ehrshot.tasks import shot_rows
from clm_ler.tokens import SPLITS

logger = logging.getLogger(__name__)

VERSION = 3  # of what a cell's file holds; raised when the same cell would hold something else
ROWS_PER_BATCH = 64  # cells that are read at a time
ROWS_PER_CHUNK = 20_000  # test rows whose features are in memory at a time
SCALED = ("standardised", "lasso")  # estimators that look at samples without labels
UNLABELLED_ROWS = 1000  # samples that scales and ranks are taken from


@dataclass(frozen=True)
class SubTask:
    """A binary task with its samples by split; rows in the order that the shots number.

    Attributes:
        task: The task.
        name: The task, or a finding of ``chexpert``.
        by_split: ``person_id``, ``prediction_time`` and ``label`` of ``train``, ``valid``, ``test``.
    """

    task: str
    name: str
    by_split: Mapping[str, pd.DataFrame]

    @cached_property
    def digest(self) -> str:
        """A digest of all samples."""
        return digest(
            {
                split: pa.Table.from_pandas(rows, preserve_index=False).columns
                for split, rows in self.by_split.items()
            }
        )


@dataclass(frozen=True)
class Cell:
    """A classifier to be fitted: which rows, which features, which head."""

    sub_task: SubTask
    model: str
    head: str
    k: int
    replicate: int
    train_rows: NDArray[np.int64]
    valid_rows: NDArray[np.int64]

    @property
    def key(self) -> dict[str, Any]:
        """The cell's columns in the results, under their official names."""
        return {
            "labeling_function": self.sub_task.task,
            "sub_task": self.sub_task.name,
            "model": self.model,
            "head": self.head,
            "replicate": self.replicate,
            "k": self.k,
        }


def split_samples(samples: pd.DataFrame) -> SubTask:
    """Return the samples of one sub-task."""
    columns = ["person_id", "prediction_time", "label"]
    ordered = samples.sort_values("row")
    parts = {
        split: ordered.loc[ordered["split"] == split, columns].reset_index(drop=True)
        for split in SPLITS
    }
    return SubTask(ordered["task"].iloc[0], ordered["sub_task"].iloc[0], parts)


def list_cells(sub_task: SubTask, shots: Mapping[str, Any], options: EhrshotOptions) -> list[Cell]:
    """Return the cells of a sub-task; a draw whose training rows have one class is left out."""
    cells = []
    for k in options.shots:
        for replicate in range(options.replicates if k > 0 else 1):
            rows = shot_rows(shots, sub_task.name, k, replicate, sub_task.by_split)
            if rows is None or sub_task.by_split["train"]["label"][rows[0]].nunique() < 2:
                continue
            cells += [
                Cell(sub_task, model, head, k, replicate, *rows)
                for model, heads in options.models.items()
                for head in heads
            ]
    return cells


def warn_of_gaps(found: Sequence[tuple[SubTask, list[Cell]]], options: EhrshotOptions) -> None:
    """Name in one line each the sub-tasks that lack draws, and those that have no AUROC at all."""
    wanted = sum(options.replicates if k > 0 else 1 for k in options.shots)
    gaps = {
        "draws without samples of both classes: means over tasks leave out that number of labels": [
            sub_task.name
            for sub_task, cells in found
            if len({(cell.k, cell.replicate) for cell in cells}) < wanted
        ],
        "test samples of one class: no AUROC": [
            sub_task.name
            for sub_task, _cells in found
            if sub_task.by_split["test"]["label"].nunique() < 2
        ],
    }
    for what, names in gaps.items():
        if names:
            logger.warning(
                "%d of %d sub-tasks have %s (%s).", len(names), len(found), what, ", ".join(names)
            )


def cell_name(cell: Cell, features: Features, head: HeadOptions, bootstraps: int) -> str:
    """Return a name that is the same only for a cell with the same content."""
    content = digest(
        VERSION,
        cell.key,
        features.digest,
        cell.sub_task.digest,
        head.model_dump(),
        cell.train_rows,
        cell.valid_rows,
        bootstraps,
    )
    name = cell.sub_task.name.replace(" ", "_")
    return f"{name}-{cell.model}-{cell.head}-k{cell.k}-r{cell.replicate}-{content[:16]}"


def fit_cell(cell: Cell, features: Features, head: HeadOptions, bootstraps: int) -> pa.Table:
    """Return one row: the cell's key, its hyper-parameters, predictions of the test rows and metrics.

    ``probability`` has the test rows in their order, ``valid_label`` and ``valid_probability`` the
    validation rows of the draw, ``unlabelled`` some of all validation rows, ascending: a
    score's rank is taken among them.
    """
    parts = cell.sub_task.by_split
    train, valid = parts["train"].iloc[cell.train_rows], parts["valid"].iloc[cell.valid_rows]
    validation = features.rows(valid)
    probe = features.fit(
        head,
        (features.rows(train), train["label"].to_numpy()),
        (validation, valid["label"].to_numpy()),
        cell.replicate,
        features.rows(evenly(parts["train"])) if head.estimator in SCALED else None,
    )
    test = parts["test"]
    probability = np.concatenate([probe.predict(rows) for rows in _chunks(features, test)])
    row = cell.key | {
        "model_hparams": probe.settings,
        "validation_auroc": probe.validation_auroc,
        "valid_label": valid["label"].to_numpy(),
        "valid_probability": probe.predict(validation),
        "unlabelled": np.sort(probe.predict(features.rows(evenly(parts["valid"])))),
        "probability": probability,
        **score(test, probability, bootstraps),
    }
    return pa.Table.from_pylist([row], schema=CELL)


def score(test: pd.DataFrame, probability: NDArray[np.float64], bootstraps: int) -> dict[str, Any]:
    """Return the metrics of a cell.

    ``auroc``, ``auprc`` and ``brier`` are those of the probabilities of the test rows,
    ``*_bootstrap`` their values in each bootstrap of the test patients.
    """
    labels = test["label"].to_numpy()
    weights = _weights(tuple(test["person_id"]), bootstraps)
    values = weighted_metrics(labels, probability, unit_weights(len(test)))
    replicates = weighted_metrics(labels, probability, weights)
    return {
        **{name: values[name][0] for name in OFFICIAL_METRICS},
        **{f"{name}_bootstrap": replicates[name] for name in OFFICIAL_METRICS},
    }


def evenly(samples: pd.DataFrame) -> pd.DataFrame:
    """Return at most ``UNLABELLED_ROWS`` of the samples, evenly spaced."""
    return samples.iloc[evenly_spaced(len(samples), UNLABELLED_ROWS)]


def by_sub_task(cells: ir.Table) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the cells of one sub-task after the other: all of them may be too large for memory.

    Raises:
        RuntimeError: If cells are missing at the end, because the engine was asked for something else
            meanwhile: DuckDB then gives up a stream without a word.
    """
    expected, part, seen = row_count(cells), list[pa.RecordBatch](), 0
    for batch in cells.order_by("sub_task").to_pyarrow_batches(chunk_size=ROWS_PER_BATCH):
        seen += len(batch)
        names = batch["sub_task"].to_numpy(zero_copy_only=False)
        bounds = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1), len(names)]
        for first, last in pairwise(bounds):
            if part and part[-1]["sub_task"][0].as_py() != names[first]:
                yield _frame_of(part)
                part = []
            part.append(batch.slice(first, last - first))
    if part:
        yield _frame_of(part)
    if seen != expected:
        raise RuntimeError(f"ehrshot_cells: {expected - seen} of {expected} cells were not read.")


def _frame_of(part: list[pa.RecordBatch]) -> tuple[str, pd.DataFrame]:
    table = pa.Table.from_batches(part)
    return table["sub_task"][0].as_py(), table.to_pandas()


DRAW = ["k", "replicate"]
CELL = pa.schema(
    {
        "labeling_function": pa.string(),
        "sub_task": pa.string(),
        "model": pa.string(),
        "head": pa.string(),
        "replicate": pa.int64(),
        "k": pa.int64(),
        "model_hparams": pa.string(),
        "validation_auroc": pa.float64(),
        "valid_label": pa.list_(pa.int8()),
        "valid_probability": pa.list_(pa.float64()),
        "unlabelled": pa.list_(pa.float64()),
        "probability": pa.list_(pa.float64()),
        **{name: pa.float64() for name in OFFICIAL_METRICS},
        **{f"{name}_bootstrap": pa.list_(pa.float64()) for name in OFFICIAL_METRICS},
    }
)


def _chunks(features: Features, samples: pd.DataFrame) -> Iterator[Matrix]:
    for start in range(0, len(samples), ROWS_PER_CHUNK):
        yield features.rows(samples.iloc[start : start + ROWS_PER_CHUNK])


@lru_cache(maxsize=4)
def _weights(person_ids: tuple[int, ...], bootstraps: int) -> PatientWeights:
    return patient_weights(np.array(person_ids), bootstraps)
