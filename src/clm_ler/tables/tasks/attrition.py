"""How index dates become labels, step by step; how often the outcome is; and what is not shown."""

from collections.abc import Iterable, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import counts_of, row_count, small_table
from clm_ler.tables.tasks.candidates import REASONS, SAME_TIME
from clm_ler.tables.tasks.definition import TaskOptions

Row = dict[str, Any]
ATTRITION = ibis.schema(
    {
        "task": "string",
        "step": "int64",
        "reason": "string",
        "rows": "int64",
        "rows_left": "int64",
        "persons_left": "int64",
    }
)
PREVALENCE = ibis.schema(
    {
        "task": "string",
        "attribute": "string",
        "group": "string",
        "rows": "int64",
        "persons": "int64",
        "outcomes": "int64",
        "prevalence": "float64",
        "suppressed": "boolean",
    }
)
START, END = "index dates", "labels"
AGE_BAND = 10  # years


def count_attrition(
    candidates: ir.Table, tasks: Sequence[TaskOptions], min_persons: int
) -> ir.Table:
    """Return ``ATTRITION``: what each reason takes, and what it leaves, task after task.

    Steps that concern fewer than ``min_persons`` persons are told together with the next ones, and how
    many persons are left only where so many or none are lost on the way to the labels.
    """
    rows = [row for task in tasks for row in _steps(candidates, task, min_persons)]
    return small_table(rows, ATTRITION)


def _steps(candidates: ir.Table, task: TaskOptions, min_persons: int) -> list[Row]:
    rank = candidates.reason.cases(*((reason, n) for n, reason in enumerate(REASONS)), else_=999)
    ranked = candidates.filter(_.task == task.name).select("person_id", rank=rank)
    lost = ranked.group_by("rank").agg(rows=_.count(), persons=_.person_id.nunique())
    by_rank = {row["rank"]: row for row in lost.to_pyarrow().to_pylist()}
    last = ranked.group_by("person_id").agg(rank=_.rank.max())
    gone = {
        row["rank"]: row["persons"]
        for row in last.group_by("rank").agg(persons=_.count()).to_pyarrow().to_pylist()
    }
    steps = [
        by_rank[n] | {"reason": REASONS[n], "gone": gone.get(n, 0)}
        for n in sorted(by_rank)
        if n < len(REASONS)
    ]
    total = sum(row["rows"] for row in by_rank.values()), sum(gone.values())
    return _rows_without_small_counts(steps, total, task.name, min_persons)


def _rows_without_small_counts(
    steps: list[Row], total: tuple[int, int], task: str, least: int
) -> list[Row]:
    """Return the rows of the table, with nothing in them that concerns too few persons."""
    told, (rows_left, persons_left) = [], total
    bundles = _bundles(steps, least)
    for number, step in enumerate([{"reason": START, "rows": 0, "gone": 0}, *bundles]):
        rows_left, persons_left = rows_left - step["rows"], persons_left - step["gone"]
        row = {"task": task, "step": number, "reason": step["reason"], "rows": step["rows"]}
        told.append(row | {"rows_left": rows_left, "persons_left": persons_left})
    lost, gone = (sum(step[name] for step in steps) for name in ("rows", "gone"))
    last = {"task": task, "step": len(told), "reason": END, "rows": 0}
    told.append(last | {"rows_left": total[0] - lost, "persons_left": total[1] - gone})
    if told[-2]["rows_left"] != told[-1]["rows_left"]:  # what all steps together take is of too few
        told[0] |= {"rows_left": None}
    shown = told[-1]["persons_left"]
    for row in reversed(told):
        if 0 < row["persons_left"] - shown < least:
            row["persons_left"] = None
        else:
            shown = row["persons_left"]
    return [row if _many(row["persons_left"], least) else _blank(row) for row in told]


def _bundles(steps: Iterable[Row], least: int) -> list[Row]:
    """Return the steps, those of too few persons joined with their neighbours."""
    done: list[Row] = []
    waiting: Row | None = None
    for step in steps:
        waiting = step if waiting is None else _together(waiting, step)
        if waiting["persons"] >= least:
            done.append(waiting)
            waiting = None
    if waiting and done:
        done[-1] = _together(done[-1], waiting)
    return done


def _together(first: Row, second: Row) -> Row:
    return {
        "reason": f"{first['reason']}; {second['reason']}",
        "rows": first["rows"] + second["rows"],
        "gone": first["gone"] + second["gone"],
        # Persons of both steps may be the same: at least so many.
        "persons": max(first["persons"], second["persons"]),
    }


def _many(persons: int | None, least: int) -> bool:
    return persons is None or persons == 0 or persons >= least


def _blank(row: Row) -> Row:
    return row | {"rows": None, "rows_left": None, "persons_left": None}


def check_labels(candidates: ir.Table, task: TaskOptions, min_persons: int) -> None:
    """Stop where the labels contradict each other, or are too few with or without the outcome.

    Raises:
        ValueError: In one line, with what to do.
    """
    candidates = candidates.filter(_.task == task.name)
    twice = candidates.filter(_.reason.isnull() | (_.reason == SAME_TIME))
    times = twice.group_by("person_id", "prediction_time").agg(labels=_.label.nunique())
    if contradicting := row_count(times.filter(_.labels > 1)):
        raise ValueError(
            f"task {task.name}: {contradicting} prediction times of one person have two labels that "
            "contradict each other: of several visits on one day. Raise task.merge_hours."
        )
    kept = candidates.filter(_.reason.isnull())
    counts = counts_of(kept.agg(rows=_.count(), outcomes=_.label.sum()))
    outcomes = counts["outcomes"]
    for what, number in {"with": outcomes, "without": counts["rows"] - outcomes}.items():
        if number < task.min_events:
            told = (
                str(number) if number >= min_persons or number == 0 else f"fewer than {min_persons}"
            )
            raise ValueError(
                f"task {task.name}: {told} labels are {what} the outcome, and task.min_events asks for "
                f"{task.min_events}. {_worst_step(candidates)}"
            )


def _worst_step(candidates: ir.Table) -> str:
    """Return what most index dates are lost for, in a sentence."""
    lost = candidates.filter(_.reason.notnull()).group_by("reason").agg(rows=_.count())
    rows = lost.order_by(ibis.desc("rows"), "reason").limit(1).to_pyarrow().to_pylist()
    total = row_count(candidates)
    if not rows:
        return f"There are {total} index dates."
    return f"Of {total} index dates most are lost for the reason '{rows[0]['reason']}'."


def count_prevalence(
    candidates: ir.Table, tasks: Sequence[TaskOptions], min_persons: int
) -> ir.Table:
    """Return ``PREVALENCE``: how often the outcome is among a task's labels, by year, age and sex.

    A group with fewer than ``min_persons`` persons with or without the outcome is suppressed, and so is
    the smallest other one of its attribute where a subtraction would tell.
    """
    kept = candidates.filter(_.reason.isnull())
    rows = [
        {"task": task.name} | row
        for task in tasks
        for row in _groups(kept.filter(_.task == task.name), min_persons)
    ]
    return small_table(rows, PREVALENCE)


def _groups(kept: ir.Table, min_persons: int) -> list[Row]:
    decade = (kept.age // AGE_BAND) * AGE_BAND
    groups = {
        "all": ibis.literal("everyone"),
        "year": kept.prediction_time.year().cast("string"),
        "age": decade.cast("string") + "-" + (decade + AGE_BAND - 1).cast("string"),
        "sex": kept.gender,
    }
    rows: list[Row] = []
    for attribute, group in groups.items():
        named = kept.mutate(group=group.fill_null("unknown"))
        counted = named.group_by("group").agg(
            rows=_.count(),
            persons=_.person_id.nunique(),
            outcomes=_.label.sum().cast("int64"),
            sick=_.person_id.nunique(where=_.label == 1),
            well=_.person_id.nunique(where=_.label == 0),
        )
        found = counted.to_pyarrow().to_pylist()
        rows += _shown(sorted(found, key=lambda row: _order(row["group"])), attribute, min_persons)
    return rows


def _order(group: str) -> tuple[bool, int, str]:
    first = group.partition("-")[0]
    return not first.isdigit(), int(first) if first.isdigit() else 0, group


def _shown(rows: list[Row], attribute: str, least: int) -> list[Row]:
    cells = {row["group"]: min(row["sick"], row["well"]) for row in rows}
    hidden = {group for group, cell in cells.items() if cell < least}
    others = sorted(set(cells) - hidden, key=lambda group: (cells[group], group))
    if hidden and others and sum(cells[group] for group in hidden) < least:
        hidden.add(others[0])
    found = []
    for row in rows:
        known: Row = {"attribute": attribute, "group": row["group"]}
        if row["group"] in hidden:
            found.append(known | {"suppressed": True})
            continue
        share = row["outcomes"] / row["rows"]
        known |= {name: row[name] for name in ("rows", "persons", "outcomes")}
        found.append(known | {"prevalence": share, "suppressed": False})
    return found
