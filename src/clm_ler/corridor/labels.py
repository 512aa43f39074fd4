"""Labels, of a task or of a user's own table."""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.engines.portable import row_count
from clm_ler.tables import labels as label_tables
from clm_ler.tables.persons import with_own_ids
from clm_ler.tables.tasks.definition import Tasks

LABEL_PERSONS = {"task": "string", "split": "string", "label": "int64", "persons": "int64"}


def select_label_rows(
    raw_labels: ir.Table | None,
    tasks: Tasks | None,
    options: FinetuneOptions,
    reading: PreprocessOptions,
) -> ir.Table:
    """Return the rows of ``raw_labels`` that ``options.labels`` asks for (see ``tables.labels.select_labels``).

    There are none where tasks say what is predicted, or where there is no such table.
    """
    if tasks is not None or raw_labels is None:
        return ibis.memtable([], schema=label_tables.LABELS)
    return label_tables.select_labels(raw_labels, options.labels, reading.time_zone)


def select_labels(
    label_rows: ir.Table,
    task_candidates: ir.Table | None,
    person_ids: ir.Table,
    tasks: Tasks | None,
) -> ir.Table:
    """Return ``person_id, prediction_time, label, task``, with the own ids where they are no numbers.

    Where there are tasks, the index dates that ``label`` has found; else the ``label_rows``.

    Raises:
        ValueError: If there are no labels, or none of one of the tasks.
    """
    if tasks is not None:
        labels = _of_tasks(task_candidates, [task.name for task in tasks.root])
    elif not row_count(label_rows.limit(1)):
        # There is no table: one that no row is taken of was refused where it was read.
        raise ValueError(
            "There are no labels: give --params=task=NAME of a file in conf/tasks, and run `label`; or "
            "put a table of your own where the catalog entry 'raw_labels' points."
        )
    else:
        labels = label_rows
    return with_own_ids(labels, person_ids)


def _of_tasks(candidates: ir.Table | None, wanted: list[str]) -> ir.Table:
    """Return the labels of the tasks; those of others that `label` has made, too, are left out."""
    if candidates is None:
        raise ValueError(
            f"There are no labels of task {', '.join(wanted)}: run the pipeline `label` first."
        )
    labels = candidates.filter(_.reason.isnull())
    stored = sorted(labels.select("task").distinct().to_pyarrow()["task"].to_pylist())
    if missing := [name for name in wanted if name not in stored]:
        raise ValueError(
            f"The labels that are stored are of task {', '.join(stored) or 'none'}, not of "
            f"{', '.join(missing)}: run `label` again."
        )
    return labels.filter(_.task.isin(wanted)).select(
        "person_id", "prediction_time", label=_.label.cast("int64"), task=_.task
    )


def count_label_persons(samples: ir.Table | None) -> ir.Table:
    """Return ``task, split, label, persons``; no row where nothing was fine-tuned here."""
    if samples is None:
        return ibis.memtable([], schema=LABEL_PERSONS)
    return samples.group_by("task", "split", "label").agg(persons=_.person_id.nunique())
