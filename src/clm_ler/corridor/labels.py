"""Labels, of a task or of a user's own table."""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.tables import labels as label_tables
from clm_ler.tables.persons import with_own_ids
from clm_ler.tables.tasks.definition import TaskOptions

LABEL_PERSONS = {"task": "string", "split": "string", "label": "int64", "persons": "int64"}


def select_labels(
    raw_labels: ir.Table | None,
    task_candidates: ir.Table | None,
    person_ids: ir.Table,
    task: TaskOptions | None,
    options: FinetuneOptions,
    reading: PreprocessOptions,
) -> ir.Table:
    """Return ``person_id, prediction_time, label, task``, with the own ids where they are no numbers.

    Where there is a task, the index dates that ``label`` has found; else the rows of ``raw_labels`` that
    ``options.labels`` asks for (see ``tables.labels.select_labels``).

    Raises:
        ValueError: If there are no labels, or those of another task.
    """
    if task is not None:
        labels = _of_task(task_candidates, task)
    elif raw_labels is None:
        raise ValueError(
            "There are no labels: give --params=task=NAME of a file in conf/tasks, and run `label`; or "
            "put a table of your own where the catalog entry 'raw_labels' points."
        )
    else:
        labels = label_tables.select_labels(raw_labels, options.labels, reading.time_zone)
    return with_own_ids(labels, person_ids)


def _of_task(candidates: ir.Table | None, task: TaskOptions) -> ir.Table:
    if candidates is None:
        raise ValueError(
            f"There are no labels of task {task.name}: run the pipeline `label` first."
        )
    labels = candidates.filter(_.reason.isnull())
    others = labels.filter(_.task != task.name).select("task").distinct().limit(1)
    if found := others.to_pyarrow()["task"].to_pylist():
        raise ValueError(
            f"The labels that are stored are of task {found[0]}, not of {task.name}: run `label` again."
        )
    return labels.select("person_id", "prediction_time", label=_.label.cast("int64"), task=_.task)


def count_label_persons(samples: ir.Table | None) -> ir.Table:
    """Return ``task, split, label, persons``; no row where nothing was fine-tuned here."""
    if samples is None:
        return ibis.memtable([], schema=LABEL_PERSONS)
    return samples.group_by("task", "split", "label").agg(persons=_.person_id.nunique())
