"""The definitions of tasks to labelled index dates."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.tables.tasks import stays
from clm_ler.tables.tasks.aces import aces_candidates
from clm_ler.tables.tasks.attrition import check_labels, count_attrition, count_prevalence
from clm_ler.tables.tasks.candidates import label_candidates
from clm_ler.tables.tasks.codes import check_horizon, count_codes, count_days, data_span, find_codes
from clm_ler.tables.tasks.definition import LabelPipelineOptions, TaskOptions, Tasks
from clm_ler.tables.tasks.events import task_events


def select_visit_rows(
    visit: ir.Table | None,
    tasks: Tasks | None,
    options: LabelPipelineOptions,
    reading: PreprocessOptions,
) -> ir.Table:
    """Return the rows of ``visit`` under the project's names: see ``tables.tasks.stays.select_rows``.

    Raises:
        ValueError: If a task needs visits and there are none.
    """
    source = options.tables.get("visit")
    _check_source("visit", visit, source, [one for one in _given(tasks) if one.uses_visits])
    return stays.select_rows(visit, source, stays.VISIT, "visit", reading.time_zone)


def select_death_rows(
    death: ir.Table | None,
    tasks: Tasks | None,
    options: LabelPipelineOptions,
    reading: PreprocessOptions,
) -> ir.Table:
    """Return the rows of ``death`` in the same way.

    Raises:
        ValueError: If death is part of a task and there is no table of deaths.
    """
    source = options.tables.get("death")
    _check_source("death", death, source, [one for one in _given(tasks) if one.uses_deaths])
    return stays.select_rows(death, source, stays.DEATH, "death", reading.time_zone)


def read_visits(
    visit_rows: ir.Table, demographics: ir.Table, reading: PreprocessOptions
) -> ir.Table:
    """Return the visits: see ``tables.tasks.stays.read_visits``."""
    return stays.read_visits(visit_rows, demographics, reading.plausible_years)


def read_deaths(
    death_rows: ir.Table, demographics: ir.Table, reading: PreprocessOptions
) -> ir.Table:
    """Return the deaths: see ``tables.tasks.stays.read_deaths``."""
    return stays.read_deaths(death_rows, demographics, reading.plausible_years)


def _check_source(
    name: str, table: ir.Table | None, source: object, wanted: Sequence[TaskOptions]
) -> None:
    """Refuse tasks that want a table which is not there, or of which no parameter says how it is read."""
    if wanted and (table is None or source is None):
        raise ValueError(
            f"task {wanted[0].name} needs a table of {name}s, and there is none: give your environment a "
            f"catalog entry {name!r} and the parameter label.tables.{name}, see docs/labels.md."
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
    tasks: Tasks | None,
    reading: PreprocessOptions,
) -> ir.Table:
    """Return the codes that the tasks name: see ``tables.tasks.codes.find_codes``.

    Raises:
        ValueError: If a task cannot come to anything with these records.
    """
    own = [task for task in _given(tasks) if task.aces is None]
    _last_days(own, record_days)
    vocabulary = (concept, relationship, ancestor)
    return find_codes(own, record_codes, vocabulary, concept_sets or {}, reading.units)


def _last_days(tasks: Sequence[TaskOptions], record_days: ir.Table) -> dict[str, datetime]:
    """Return the last day of the data for each task, if they reach as far as it looks ahead."""
    if not tasks:
        return {}
    span = data_span(record_days)
    return {task.name: check_horizon(task, span) for task in tasks}


def find_task_events(
    coded_events: ir.Table,
    lab_events: ir.Table,
    visits: ir.Table,
    deaths: ir.Table,
    task_codes: ir.Table,
    tasks: Tasks | None,
) -> ir.Table:
    """Return every event that the tasks name: see ``tables.tasks.events.task_events``."""
    return task_events(coded_events, lab_events, visits, deaths, task_codes, _given(tasks))


def label_index_dates(
    task_events: ir.Table,
    visits: ir.Table,
    deaths: ir.Table,
    demographics: ir.Table,
    record_spans: ir.Table,
    record_days: ir.Table,
    aces_labels: ir.Table | None,
    tasks: Tasks | None,
    seed: int,
) -> ir.Table:
    """Return every index date with its label or its reason: see ``tables.tasks.candidates``."""
    persons = (visits, deaths, demographics, record_spans)
    last_days = _last_days([task for task in _given(tasks) if task.aces is None], record_days)

    def candidates(task: TaskOptions) -> ir.Table:
        if task.aces is not None:
            return aces_candidates(aces_labels, demographics, task)
        events = task_events.filter(_.task == task.name)
        return label_candidates(events, *persons, task, last_days[task.name], seed)

    found = map(candidates, _given(tasks))  # whose times may be of different precision
    return ibis.union(*(table.cast({"prediction_time": "timestamp"}) for table in found))


def describe_labels(
    task_candidates: ir.Table, tasks: Tasks | None, options: LabelPipelineOptions
) -> tuple[ir.Table, ir.Table]:
    """Return how many index dates each reason drops, and how frequent the outcome is.

    Raises:
        ValueError: If labels contradict each other or are too few.
    """
    given = _given(tasks)
    for task in given:
        check_labels(task_candidates, task, options.min_persons)
    return (
        count_attrition(task_candidates, given, options.min_persons),
        count_prevalence(task_candidates, given, options.min_persons),
    )


def _given(tasks: Tasks | None) -> tuple[TaskOptions, ...]:
    if tasks is None:
        raise ValueError(
            "There is no task: give --params=task=NAME of a file in conf/tasks, such as "
            "new_diabetes, or the parameter `task` in your environment."
        )
    return tasks.root
