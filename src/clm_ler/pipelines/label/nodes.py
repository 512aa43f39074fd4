"""A task's definition to labelled index dates."""

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.engines.portable import small_table
from clm_ler.tables.tasks import stays
from clm_ler.tables.tasks.aces import aces_candidates
from clm_ler.tables.tasks.attrition import check_labels, count_attrition, count_prevalence
from clm_ler.tables.tasks.candidates import label_candidates, record_spans
from clm_ler.tables.tasks.codes import check_horizon, count_codes, count_days, data_span, find_codes
from clm_ler.tables.tasks.definition import LabelPipelineOptions, TaskOptions
from clm_ler.tables.tasks.events import TASK_CODES, task_events


def read_visits(
    visit: ir.Table | None,
    demographics: ir.Table,
    task: TaskOptions | None,
    options: LabelPipelineOptions,
    reading: PreprocessOptions,
) -> ir.Table:
    """Return the visits: see ``tables.tasks.stays.read_visits``.

    Raises:
        ValueError: If the task needs visits and there are none.
    """
    source = options.tables.get("visit")
    if _given(task).uses_visits and (visit is None or source is None):
        raise ValueError(_missing("visit"))
    return stays.read_visits(visit, demographics, source, reading.time_zone)


def read_deaths(
    death: ir.Table | None,
    demographics: ir.Table,
    task: TaskOptions | None,
    options: LabelPipelineOptions,
    reading: PreprocessOptions,
) -> ir.Table:
    """Return the deaths: see ``tables.tasks.stays.read_deaths``.

    Raises:
        ValueError: If death is part of the task and there is no table of deaths.
    """
    source = options.tables.get("death")
    if _given(task).uses_deaths and (death is None or source is None):
        raise ValueError(_missing("death"))
    return stays.read_deaths(death, demographics, source, reading.time_zone)


def _missing(table: str) -> str:
    return (
        f"The task needs a table of {table}s, and there is none: give your environment a catalog entry "
        f"{table!r} and the parameter label.tables.{table}, see docs/labels.md."
    )


def count_records(coded_events: ir.Table, lab_events: ir.Table) -> tuple[ir.Table, ir.Table]:
    """Return the rows of each code and unit, and those of each day."""
    return count_codes(coded_events, lab_events), count_days(coded_events)


def find_task_codes(
    record_codes: ir.Table,
    record_days: ir.Table,
    concept: ir.Table | None,
    relationship: ir.Table | None,
    ancestor: ir.Table | None,
    concept_sets: Mapping[str, Any] | None,
    task: TaskOptions | None,
    reading: PreprocessOptions,
) -> ir.Table:
    """Return the codes that the task means: see ``tables.tasks.codes.find_codes``.

    Raises:
        ValueError: If the task cannot come to anything with these records.
    """
    task = _given(task)
    if task.aces is not None:
        return small_table([], TASK_CODES)
    check_horizon(task, data_span(record_days))
    vocabulary = (concept, relationship, ancestor)
    return find_codes(task, record_codes, vocabulary, concept_sets or {}, reading.units)


def find_task_events(
    coded_events: ir.Table,
    lab_events: ir.Table,
    visits: ir.Table,
    deaths: ir.Table,
    task_codes: ir.Table,
    task: TaskOptions | None,
) -> ir.Table:
    """Return every event that the task names: see ``tables.tasks.events.task_events``."""
    return task_events(coded_events, lab_events, visits, deaths, task_codes, _given(task))


def label_index_dates(
    task_events: ir.Table,
    visits: ir.Table,
    deaths: ir.Table,
    demographics: ir.Table,
    record_spans: ir.Table,
    record_days: ir.Table,
    aces_labels: ir.Table | None,
    task: TaskOptions | None,
    seed: int,
) -> ir.Table:
    """Return every index date with its label or its reason: see ``tables.tasks.candidates``."""
    task = _given(task)
    if task.aces is not None:
        return aces_candidates(aces_labels, demographics, task)
    end = check_horizon(task, data_span(record_days))
    return label_candidates(
        task_events, visits, deaths, demographics, record_spans, task, end, seed
    )


def describe_labels(
    task_candidates: ir.Table, task: TaskOptions | None, options: LabelPipelineOptions
) -> tuple[ir.Table, ir.Table]:
    """Return how index dates were counted down, and how often the outcome is.

    Raises:
        ValueError: If labels contradict each other or are too few.
    """
    task = _given(task)
    check_labels(task_candidates, task, options.min_persons)
    return (
        count_attrition(task_candidates, task, options.min_persons),
        count_prevalence(task_candidates, task, options.min_persons),
    )


def _given(task: TaskOptions | None) -> TaskOptions:
    if task is None:
        raise ValueError(
            "There is no task: give --params=task=NAME of a file in conf/tasks, such as "
            "new_diabetes, or the parameter `task` in your environment."
        )
    return task


__all__ = [
    "count_records",
    "describe_labels",
    "find_task_codes",
    "find_task_events",
    "label_index_dates",
    "read_deaths",
    "read_visits",
    "record_spans",
]
