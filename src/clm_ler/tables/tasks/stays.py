"""Visits and deaths, which codes alone do not tell: how long a stay was, and how it ended."""

from collections.abc import Mapping, Sequence

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import trim
from clm_ler.tables.persons import person_key
from clm_ler.tables.screening import Years
from clm_ler.tables.sources import TableSource, select
from clm_ler.terminology.concept_sets import as_regex

VISIT = {name: name for name in ("person_id", "start_time", "end_time", "type")}
DEATH = {name: name for name in ("person_id", "time")}
VISITS = ibis.schema(
    {
        "person_id": "int64",
        "start_time": "timestamp",
        "end_time": "timestamp",
        "type": "string",
        "reason": "string",
    }
)
DEATHS = ibis.schema({"person_id": "int64", "time": "timestamp", "reason": "string"})
UNKNOWN, NO_START, NO_TIME = "person is not known", "no start", "no time"
PLACEHOLDER = "placeholder date"


def select_rows(
    table: ir.Table | None,
    source: TableSource | None,
    columns: Mapping[str, str],
    name: str,
    time_zone: str,
) -> ir.Table:
    """Return the rows of visits or deaths that pass the filter, with keys of persons.

    Without a table there are none.

    Args:
        table: The raw table.
        source: How it is read.
        columns: ``VISIT`` or ``DEATH``.
        name: What it is called, for messages.
        time_zone: Of the local times that moments become.
    """
    if table is None or source is None:
        schema = VISITS if columns is VISIT else DEATHS
        return ibis.memtable([], schema={column: schema[column] for column in columns})
    rows = select(table, source, columns, name, None, time_zone).filter(_.passes_filter)
    return rows.mutate(person_id=person_key(rows.person_id)).select(*columns)


def read_visits(visit_rows: ir.Table, demographics: ir.Table, years: Years) -> ir.Table:
    """Return ``person_id, start_time, end_time, type`` and the ``reason`` why a row is lost.

    A type is in upper case, and empty where there is none. An end before the start, or outside of the plausible
    years (9999-12-31 of a visit that goes on), is unknown.
    """
    known = _with_known(visit_rows, demographics)
    return known.select(
        person_id=known.person_id.coalesce(-1),
        start_time=known.start_time,
        end_time=ibis.cases(
            (
                (known.end_time >= known.start_time) & known.end_time.year().between(*years),
                known.end_time,
            )
        ),
        type=trim(known["type"].cast("string")).upper().fill_null(""),
        reason=ibis.cases(
            (known.known_id.isnull(), UNKNOWN),
            (known.start_time.isnull(), NO_START),
            (~known.start_time.year().between(*years), PLACEHOLDER),
        ),
    )


def read_deaths(death_rows: ir.Table, demographics: ir.Table, years: Years) -> ir.Table:
    """Return ``person_id, time`` and the ``reason`` why a row is lost; several rows may be of one person."""
    known = _with_known(death_rows, demographics)
    return known.select(
        person_id=known.person_id.coalesce(-1),
        time=known.time,
        reason=ibis.cases(
            (known.known_id.isnull(), UNKNOWN),
            (known.time.isnull(), NO_TIME),
            (~known.time.year().between(*years), PLACEHOLDER),
        ),
    )


def _with_known(rows: ir.Table, demographics: ir.Table) -> ir.Table:
    """Return the rows with ``known_id``: null where the person is not known."""
    persons = demographics.select(known_id="person_id")
    return rows.left_join(persons, rows.person_id == persons.known_id)


def merged_stays(visits: ir.Table, types: Sequence[str], merge_hours: float) -> ir.Table:
    """Return ``person_id, stay_start, stay_end``: visits of the types that touch are one.

    Its end is unknown if a visit without an end begins when the others are over.

    Args:
        visits: Of :func:`read_visits`.
        types: Names of types in upper case; ``*`` stands for any characters, ``?`` for one.
        merge_hours: Hours between two visits that are one, at most.
    """
    wanted = visits.filter(_.reason.isnull(), _matches(visits["type"], types))
    rows = wanted.select(
        "person_id", "start_time", "end_time", last=_.end_time.coalesce(_.start_time)
    )
    order = {"group_by": "person_id", "order_by": ["start_time", "last"]}
    before = ibis.window(**order, preceding=(None, 1))
    rows = rows.mutate(until=rows["last"].max().over(before))
    gap = rows.start_time.epoch_seconds() - rows.until.epoch_seconds()
    rows = rows.mutate(begins=(gap > merge_hours * 3600).fill_null(True).cast("int64"))
    upto = ibis.window(**order, preceding=None, following=0)
    rows = rows.mutate(number=rows.begins.sum().over(upto))
    stays = rows.group_by("person_id", "number").agg(
        stay_start=_.start_time.min(),
        known=_.end_time.max(),
        goes_on=_.start_time.max(where=_.end_time.isnull()),
    )
    over = stays.goes_on.isnull() | (stays.goes_on < stays.known)
    return stays.select("person_id", "stay_start", stay_end=ibis.cases((over, stays.known)))


def _matches(column: ir.StringColumn, types: Sequence[str]) -> ir.BooleanValue:
    return ibis.or_(*(column.re_search(f"^{as_regex(text)}$") for text in types))
