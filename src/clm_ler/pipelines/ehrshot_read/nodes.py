"""The files of the EHRSHOT benchmark: splits, and the labels of its tasks as samples."""

from collections.abc import Callable, Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from clm_ler.tables.ehrshot import tasks


def read_splits(ehrshot_splits: ir.Table) -> ir.Table:
    """Return the benchmark's own split of each person: person_id, split (train, valid, test)."""
    return ibis.memtable(tasks.read_splits(ehrshot_splits.to_pandas()))


def read_samples(
    ehrshot_labels: Mapping[str, Callable[[], Any]], ehrshot_splits: ir.Table
) -> ir.Table:
    """Return the binary samples of all tasks that there are, numbered as the shots number them.

    Columns: task, sub_task, split, row (within sub-task and split), person_id, prediction_time,
    label.
    """
    if not (found := tasks.present_tasks(ehrshot_labels)):
        raise ValueError(
            f"ehrshot_labels has no folder of a task of the benchmark: {', '.join(tasks.TASKS)}."
        )
    splits = tasks.read_splits(ehrshot_splits.to_pandas())
    samples = [
        tasks.number_rows(
            tasks.read_labels(tasks.task_of(name), ehrshot_labels[name]().to_pandas()), splits
        )
        for name in found
    ]
    return ibis.memtable(pd.concat(samples, ignore_index=True))
