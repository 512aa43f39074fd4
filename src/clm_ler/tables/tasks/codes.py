"""The codes in the records that a task means, and how their results are read in the task's unit."""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from itertools import accumulate
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import small_table
from clm_ler.tables.labs.units import IDENTITY, UnitOptions, convert_unit
from clm_ler.tables.tasks.definition import TaskOptions
from clm_ler.tables.tasks.event_definition import EventDefinition
from clm_ler.tables.tasks.events import CODE, TASK_CODES
from clm_ler.terminology.concept_sets import (
    Code,
    atlas_items,
    concept_set_codes,
    matching_codes,
)
from clm_ler.terminology.concept_sets import Item as ConceptItem

logger = logging.getLogger(__name__)

Row = dict[str, Any]
LAST_SHARE = 0.999  # of the rows lie until the end of the data: a wrong date is not the end


def count_codes(coded_events: ir.Table, lab_events: ir.Table) -> ir.Table:
    """Return how many rows of each kind, system, code and unit (``''`` for none) there are."""
    coded = coded_events.group_by(CODE).agg(rows=_.count())
    labs = lab_events.group_by(*CODE, unit=_.unit.fill_null("")).agg(rows=_.count())
    columns = ("lab", *CODE, "unit", "rows")
    return ibis.union(
        coded.mutate(lab=False, unit=ibis.literal("")).select(columns),
        labs.mutate(lab=True).select(columns),
    )


def count_days(coded_events: ir.Table) -> ir.Table:
    """Return how many coded events there are on each day."""
    return coded_events.group_by(day=_.time.date()).agg(rows=_.count())


def data_span(day_counts: ir.Table) -> tuple[date, date]:
    """Return the days between which all but 0.1 % of the coded events lie, on either side.

    Raises:
        ValueError: If there are no events.
    """
    days = sorted((row["day"], row["rows"]) for row in day_counts.to_pyarrow().to_pylist())
    total = sum(rows for _day, rows in days)
    if not total:
        raise ValueError("coded_events is empty: run preprocess first.")
    return _reached(days[::-1], LAST_SHARE * total), _reached(days, LAST_SHARE * total)


def _reached(days: list[tuple[date, int]], wanted: float) -> date:
    """Return the day by which so many of the rows are seen."""
    seen = accumulate(rows for _day, rows in days)
    return next(day for (day, _rows), upto in zip(days, seen, strict=True) if upto >= wanted)


def find_codes(
    tasks: Sequence[TaskOptions],
    record_codes: ir.Table,
    vocabulary: tuple[ir.Table | None, ir.Table | None, ir.Table | None],
    concept_sets: Mapping[str, Any],
    units: UnitOptions,
) -> ir.Table:
    """Return ``TASK_CODES``: the codes in the records of every coded event of the tasks.

    Args:
        tasks: The tasks.
        record_codes: Of :func:`count_codes`.
        vocabulary: OMOP ``concept``, ``concept_relationship`` and ``concept_ancestor``.
        concept_sets: Documents of ATLAS by name.
        units: What the site adds to the tables of units.

    Raises:
        ValueError: In one line, if an event has no code in the records, or no result whose unit can be
            read; or if there are fewer rows of the outcome than ``min_events``.
    """
    recorded = record_codes.to_pyarrow().to_pylist()
    codes = {(row["system"], row["code"]) for row in recorded}
    rows: list[Row] = []
    for task in tasks:
        found: dict[str, list[Row]] = {}
        for name, event in task.events.items():
            if event.is_coded:
                subject = _called(task, name)
                wanted = _codes_of(subject, event, codes, vocabulary, concept_sets)
                found[name] = _rows_of(subject, event, wanted, recorded, units)
        _check_found(task, found)
        of_task = [
            row | {"task": task.name, "event": name, "leaf": leaf}
            for name in task.events
            for leaf in task.leaves(name)
            for row in found.get(leaf, ())
        ]
        _check_outcome(task, of_task)
        rows += of_task
    return small_table(rows, TASK_CODES)


def _called(task: TaskOptions, event: str) -> str:
    """Return how messages call an event."""
    return f"task {task.name}, event {event!r}"


def _codes_of(
    subject: str,
    event: EventDefinition,
    codes: set[Code],
    vocabulary: tuple[ir.Table | None, ir.Table | None, ir.Table | None],
    concept_sets: Mapping[str, Any],
) -> set[Code]:
    by_pattern = matching_codes(event.codes, codes)
    asked = {text for texts in event.codes.values() for text in texts}
    if unused := sorted(asked - {*by_pattern.values()}):
        logger.info("%s: %d of %d codes are not in the records.", subject, len(unused), len(asked))
    items = [ConceptItem(one.id, one.descendants, one.excluded) for one in event.concepts]
    if event.concept_set is not None:
        if event.concept_set not in concept_sets:
            known = ", ".join(sorted(concept_sets)) or "none"
            raise ValueError(
                f"{subject}: there is no concept set {event.concept_set!r} in the folder of the "
                f"catalog entry concept_sets, which has {known}."
            )
        document = concept_sets[event.concept_set]
        document = document() if callable(document) else document
        items += atlas_items(document, f"{subject}: concept set {event.concept_set!r}")
    wanted = set(by_pattern)
    if items:
        wanted |= codes & concept_set_codes(items, *vocabulary, subject)
    return wanted - {*matching_codes(event.except_codes, codes)}


def _check_found(task: TaskOptions, found: Mapping[str, list[Row]]) -> None:
    """Stop where an event that the task cannot do without has no code in the records."""
    for name, where in task.named():
        empty = [leaf for leaf in task.leaves(name) if leaf in found and not found[leaf]]
        if len(empty) < len(task.leaves(name)):
            continue
        subject = f"{_called(task, name)} ({where}): none of its codes is in the records"
        if where == "index.without":
            logger.warning("%s: it leaves nobody out.", subject)
        elif "any_of" not in where:
            raise ValueError(
                f"{subject}. Correct them; vocabulary_report has the systems of the records."
            )


def _rows_of(
    subject: str, event: EventDefinition, wanted: set[Code], recorded: list[Row], units: UnitOptions
) -> list[Row]:
    rows = []
    for row in recorded:
        if (row["system"], row["code"]) not in wanted or (event.is_measured and not row["lab"]):
            continue
        converted = _conversion(row, event, units) if event.is_measured else IDENTITY
        factor, offset = converted or (None, None)
        known = {name: row[name] for name in ("lab", *CODE, "unit", "rows")}
        known |= {"factor": factor, "offset": offset, "rises": bool(event.rise)}
        rows.append(known | {"measured": event.is_measured} | event.bounds)
    if event.is_measured:
        _check_units(subject, event, rows)
    return rows


def _conversion(row: Row, event: EventDefinition, units: UnitOptions) -> tuple[float, float] | None:
    """Return how results become values in the unit of the event; those without a unit do not."""
    assert event.unit is not None
    if not row["unit"]:
        return None
    return convert_unit(row["unit"], event.unit, f"{row['system']}:{row['code']}", units)


def _check_units(subject: str, event: EventDefinition, rows: list[Row]) -> None:
    total = sum(row["rows"] for row in rows)
    lost = sum(row["rows"] for row in rows if row["factor"] is None)
    if total and lost == total:
        raise ValueError(
            f"{subject}: none of {total} results can be read in {event.unit!r}: they have no unit, "
            "or one that does not convert. See preprocess.units."
        )
    if lost:
        logger.warning(
            "%s: %d of %d results have no unit that converts to %s: they count as not measured.",
            subject,
            lost,
            total,
            event.unit,
        )


def _check_outcome(task: TaskOptions, rows: list[Row]) -> None:
    name = task.outcome.event
    if name is None or not all(task.events[leaf].is_coded for leaf in task.leaves(name)):
        return
    total = sum(row["rows"] for row in rows if row["event"] == name)
    if total < task.min_events:
        raise ValueError(
            f"task {task.name}: the codes of the outcome {name!r} are in fewer than {task.min_events} "
            "rows of the records (task.min_events), too few to learn from or to be judged by."
        )


def check_horizon(task: TaskOptions, span: tuple[date, date]) -> datetime:
    """Return the last day of the data, if the horizon is within them.

    Raises:
        ValueError: If the horizon is longer than the records of all persons together, from the first prediction.
    """
    first, last = span
    begin = max(first, task.index.since or first, min(task.index.dates, default=first))
    days = (last - begin).days
    outcome = task.outcome
    nearest, farthest = outcome.days
    needed = nearest if task.follow_up.incomplete == "negative" else farthest
    if outcome.event and not outcome.until_discharge and needed > days:
        raise ValueError(
            f"task {task.name}: the horizon ends {farthest} days after the prediction, and the "
            f"records span {days} days{f' from {begin}' * (begin > first)}: nobody can be followed so long. "
            "Shorten outcome.days."
        )
    return datetime.combine(last, datetime.min.time())
