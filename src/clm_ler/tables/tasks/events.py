"""Everything in the records that tasks name, as one small table: who, when, which event."""

from collections.abc import Iterator, Sequence

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.tables.tasks.definition import TaskOptions
from clm_ler.tables.tasks.event_definition import Rise
from clm_ler.tables.tasks.stays import merged_stays

# One row for each way in which codes make an event; a unit is '' where results have none.
TASK_CODES = ibis.schema(
    {
        "task": "string",
        "event": "string",
        "leaf": "string",
        "measured": "boolean",
        "rises": "boolean",
        "lab": "boolean",
        "system": "string",
        "code": "string",
        "unit": "string",
        "factor": "float64",
        "offset": "float64",
        "at_least": "float64",
        "above": "float64",
        "at_most": "float64",
        "below": "float64",
        "rows": "int64",
    }
)
ROUNDING = 1e-9  # 1.2 - 0.9 is a rise of 0.3
SECONDS_PER_DAY = 86_400
CODE = ["system", "code"]
NAMED = ["task", "event"]


def task_events(
    coded_events: ir.Table,
    lab_events: ir.Table,
    visits: ir.Table,
    deaths: ir.Table,
    task_codes: ir.Table,
    tasks: Sequence[TaskOptions],
) -> ir.Table:
    """Return ``person_id, time, task, event`` of every event that the tasks name.

    Args:
        coded_events: Codes.
        lab_events: Laboratory results.
        visits: Of ``stays.read_visits``.
        deaths: Of ``stays.read_deaths``.
        task_codes: ``TASK_CODES``, see ``codes.find_codes``.
        tasks: The tasks.
    """
    results = _results(lab_events, task_codes)
    found = [_coded(coded_events, task_codes), _plain_results(results)]
    for task in tasks:
        rows = results.filter(_.task == task.name)
        for name in task.events:
            of_event = [
                times
                for leaf in task.leaves(name)
                for times in _uncoded(rows, visits, deaths, task, name, leaf)
            ]
            named = {"task": ibis.literal(task.name), "event": ibis.literal(name)}
            found += [times.select("person_id", "time", **named) for times in of_event]
    return ibis.union(*found)


def _uncoded(
    results: ir.Table,
    visits: ir.Table,
    deaths: ir.Table,
    task: TaskOptions,
    name: str,
    leaf: str,
) -> Iterator[ir.Table]:
    """Yield ``person_id, time`` of what is more than a code or a value."""
    definition = task.events[leaf]
    if definition.rise:
        risen = _rises(results.filter(_.event == name, _.leaf == leaf), definition.rise)
        yield risen.filter(_within(risen))
    if definition.visits:
        stays = merged_stays(visits, definition.visits, task.merge_hours)
        yield stays.select("person_id", time=_.stay_start)
    if definition.death:
        yield deaths.filter(_.reason.isnull())


def _coded(coded_events: ir.Table, task_codes: ir.Table) -> ir.Table:
    codes = task_codes.filter(~_.lab).select(*NAMED, *CODE).distinct()
    return coded_events.inner_join(codes, CODE).select("person_id", "time", *NAMED)


def _results(lab_events: ir.Table, task_codes: ir.Table) -> ir.Table:
    """Return the results that may be events, with their value in the unit of the event."""
    codes = task_codes.filter(_.lab).drop("lab", "rows")
    labs = lab_events.select("person_id", "time", *CODE, "value", unit=_.unit.fill_null(""))
    rows = labs.inner_join(codes, [*CODE, "unit"])
    return rows.mutate(value=rows.value * rows.factor + rows.offset)


def _plain_results(results: ir.Table) -> ir.Table:
    kept = results.filter(~results.rises, ~results.measured | _within(results))
    return kept.select("person_id", "time", *NAMED)


def _within(results: ir.Table) -> ir.BooleanValue:
    """Return whether a result is a number within the bounds of its event; those that it lacks count for nothing."""
    value = results.value
    within = ibis.and_(
        (value >= results.at_least) | results.at_least.isnull(),
        (value > results.above) | results.above.isnull(),
        (value <= results.at_most) | results.at_most.isnull(),
        (value < results.below) | results.below.isnull(),
        value.notnull() & ~value.isnan(),
    )
    return within.fill_null(False)


def _rises(results: ir.Table, rules: tuple[Rise, ...]) -> ir.Table:
    """Return the results that are so much above the least of the days before, themselves included.

    A multiple has a meaning only above 0.
    """
    rows = results.filter(_.value.notnull(), ~_.value.isnan())
    rows = rows.mutate(second=rows.time.epoch_seconds())
    risen = []
    for rule in rules:
        days = ibis.range_window(
            preceding=round(rule.days * SECONDS_PER_DAY),
            following=0,
            group_by="person_id",
            order_by="second",
        )
        least = rows.value.min().over(days)
        if rule.by is not None:
            risen.append(rows.value >= least + rule.by - ROUNDING)
        else:
            enough = rows.value >= least * rule.times - ROUNDING
            risen.append((least > 0) & (rows.value > least) & enough)
    return rows.mutate(risen=ibis.or_(*risen)).filter(_.risen)
