"""Everything in the records that a task names, as one small table: who, when, which event."""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.tables.tasks.definition import EventDefinition, Rise, TaskOptions
from clm_ler.tables.tasks.stays import merged_stays

# One row for each way in which codes make an event; a unit is '' where results have none.
TASK_CODES = ibis.schema(
    {
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


def task_events(
    coded_events: ir.Table,
    lab_events: ir.Table,
    visits: ir.Table,
    deaths: ir.Table,
    task_codes: ir.Table,
    task: TaskOptions,
) -> ir.Table:
    """Return ``person_id, time, event`` of every event that the task names.

    Args:
        coded_events: Codes.
        lab_events: Laboratory results.
        visits: Of ``stays.read_visits``.
        deaths: Of ``stays.read_deaths``.
        task_codes: ``TASK_CODES``, see ``codes.find_codes``.
        task: The task.
    """
    results = _results(lab_events, task_codes)
    found = [_coded(coded_events, task_codes), _plain_results(results)]
    for name in task.events:
        for leaf in task.leaves(name):
            definition = task.events[leaf]
            if definition.rise:
                found.append(_rises(results, name, leaf, definition.rise))
            if definition.visits:
                found.append(_visit_starts(visits, definition, task.merge_hours, name))
            if definition.death:
                known = deaths.filter(_.reason.isnull())
                found.append(known.select("person_id", "time", event=ibis.literal(name)))
    return ibis.union(*found)


def _coded(coded_events: ir.Table, task_codes: ir.Table) -> ir.Table:
    codes = task_codes.filter(~_.lab).select("event", *CODE).distinct()
    return coded_events.inner_join(codes, CODE).select("person_id", "time", "event")


def _results(lab_events: ir.Table, task_codes: ir.Table) -> ir.Table:
    """Return the results that may be events, with their value in the unit of the event."""
    codes = task_codes.filter(_.lab).drop("lab", "rows")
    labs = lab_events.select("person_id", "time", *CODE, "value", unit=_.unit.fill_null(""))
    rows = labs.inner_join(codes, [*CODE, "unit"])
    return rows.mutate(value=rows.value * rows.factor + rows.offset)


def _plain_results(results: ir.Table) -> ir.Table:
    value = results.value
    within = ibis.and_(
        (value >= results.at_least) | results.at_least.isnull(),
        (value > results.above) | results.above.isnull(),
        (value <= results.at_most) | results.at_most.isnull(),
        (value < results.below) | results.below.isnull(),
        value.notnull() & ~value.isnan(),
    )
    kept = results.filter(~_.rises, ~_.measured | within.fill_null(False))
    return kept.select("person_id", "time", "event")


def _rises(results: ir.Table, name: str, leaf: str, rules: tuple[Rise, ...]) -> ir.Table:
    """Return the results that are so much above the least of the days before, themselves included."""
    rows = results.filter(_.event == name, _.leaf == leaf, _.value.notnull(), ~_.value.isnan())
    rows = rows.select("person_id", "time", "value", second=rows.time.epoch_seconds())
    risen = []
    for rule in rules:
        days = ibis.range_window(
            preceding=round(rule.days * SECONDS_PER_DAY),
            following=0,
            group_by="person_id",
            order_by="second",
        )
        least = rows.value.min().over(days)
        needed = least + rule.by if rule.by is not None else least * rule.times
        risen.append(rows.value >= needed - ROUNDING)
    marked = rows.mutate(risen=ibis.or_(*risen))
    return marked.filter(_.risen).select("person_id", "time", event=ibis.literal(name))


def _visit_starts(
    visits: ir.Table, definition: EventDefinition, merge_hours: float, name: str
) -> ir.Table:
    stays = merged_stays(visits, definition.visits, merge_hours)
    return stays.select("person_id", time=_.stay_start, event=ibis.literal(name))
