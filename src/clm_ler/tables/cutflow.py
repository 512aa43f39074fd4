"""What every step leaves and what it loses."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import small_table, sum_int64
from clm_ler.tables.screening import BLANKED, DELIBERATE, NO_DATE, NO_PERSON, TABLES
from clm_ler.tables.sequences import baseline_length

LOSS_LEDGER = ibis.schema(
    {
        "step": "string",
        "table": "string",
        "reason": "string",
        "system": "string",
        "code": "string",
        "unit": "string",
        "rows": "int64",
        "persons": "int64",
        "rows_in": "int64",
    }
)
STEPS = (
    "raw",
    "read",
    "blank_values",
    "lab_tokens",
    "events",
    "split",
    "number_of_days_threshold",
    "min_history_size",
    "once_a_day",
)
SELECTION = {
    "split": "person without a split",
    "number_of_days_threshold": "history spans too few days",
    "min_history_size": "sequence has too few tokens",
    "once_a_day": "same token again on the day",
}
CUTFLOW = ibis.schema(
    {"number": "int64", "step": "string", "table": "string", "rows": "int64", "persons": "int64"}
)

Row = dict[str, Any]


# What to set where a reason costs too much.
ADVICE = {
    "no unit": "preprocess.results.without_unit, which helps where a lab has one unit or none",
    "not a number": "preprocess.results.decimal_comma (7,2 is 7.2), bounds and text_min_persons",
    "text result of too few persons": "preprocess.results.text_min_persons",
    "unit cannot be converted": "preprocess.units",
    "lab has too few results or values": "preprocess.min_loinc_counts, min_loinc_value_counts and "
    "results.few_values",
    "placeholder code": "preprocess.placeholder_codes",
    "placeholder date": "preprocess.plausible_years",
    "history spans too few days": "preprocess.number_of_days_threshold",
    "sequence has too few tokens": "preprocess.min_history_size",
    "same token again on the day": "preprocess.once_a_day",
    "person without a split": "predefined_splits",
}


def check_losses(losses: list[Row], max_loss: Mapping[str, float]) -> None:
    """Stop where a step has lost more of its rows than it may.

    Args:
        losses: Rows of the ledger.
        max_loss: The largest share by table or by step; others may lose anything. What a filter
            of the configuration takes away does not count, unless it takes all.

    Raises:
        ValueError: With the step, the table, the share and the reason that lost most.
    """
    for step, table in dict.fromkeys((row["step"], row["table"]) for row in losses):
        rows = [row for row in losses if (row["step"], row["table"]) == (step, table)]
        total = rows[0]["rows_in"]
        by_reason = Counter[str]()
        for row in rows:
            by_reason[row["reason"]] += row["rows"]
        worst = max(by_reason, key=by_reason.__getitem__)
        reasons = describe_reasons(by_reason, most=4)
        where = f"{table}: step '{step}'"
        if by_reason[worst] == total and worst in DELIBERATE:
            raise ValueError(f"{where}: {worst} drops all {total} rows.")
        if by_reason[worst] == total and worst == NO_PERSON:
            raise ValueError(
                f"{where}: none of {total} rows has an id: check 'person_id' in preprocess: tables: "
                f"{table}: select_expr."
            )
        if by_reason[worst] == total and worst == NO_DATE:
            raise ValueError(
                f"{where}: the date of none of {total} rows can be read: check the pattern of "
                f"'date' in preprocess: tables: {table}: select_expr."
            )
        lost = sum(count for reason, count in by_reason.items() if reason not in DELIBERATE)
        # A table's share is that of its reading; a step after that has its own where one is given.
        name = step if step != "read" and step in max_loss else table
        allowed = max_loss.get(name, max_loss.get(step, 1.0))
        if lost > allowed * total:
            raise ValueError(
                f"{where} loses {lost} of {total} rows ({lost / total:.1%}), more than max_loss "
                f"allows ({allowed:.1%}), for the reasons: {reasons}. Correct the tables or the "
                f"expressions{_advice(worst)}, or raise preprocess: max_loss: {name}."
            )


def describe_reasons(by_reason: Mapping[str, int], most: int) -> str:
    """Return the reasons that cost most rows, with their counts.

    >>> describe_reasons({"no code": 3, "no unit": 1200, "before birth": 0}, most=2)
    "'no unit' 1,200, 'no code' 3"
    """
    costly = sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))[:most]
    return ", ".join(f"'{reason}' {count:,}" for reason, count in costly if count)


def _advice(reason: str) -> str:
    return f", set {ADVICE[reason]}" if reason in ADVICE else ""


def check_anyone_left(losses: list[Row], flow: list[Row]) -> None:
    """Stop where no person is left.

    Args:
        losses: Rows of the ledger.
        flow: Rows of the cutflow.

    Raises:
        ValueError: With the step after which nobody is left, and what each table has lost.
    """
    left = {row["step"]: row["persons"] for row in flow if row["table"] in ("patient", "events")}
    empty = next((step for step in STEPS if left.get(step, 1) == 0), None)
    if empty is None:
        return
    lost: dict[str, Counter[str]] = {}
    for row in losses:
        lost.setdefault(row["table"], Counter())[row["reason"]] += row["rows"]
    if not lost:
        raise ValueError(
            f"No person is left after the step '{empty}': no table of events has a row."
        )
    reasons = [f"{table}: {describe_reasons(by_reason, 3)}" for table, by_reason in lost.items()]
    worst = max((r for table in lost.values() for r in table.items()), key=lambda item: item[1])[0]
    raise ValueError(
        f"No person is left after the step '{empty}'. Rows were lost in {'; '.join(reasons)}. "
        f"Correct the tables or the expressions{_advice(worst)}."
    )


def read_losses(row_counts: ir.Table) -> list[Row]:
    """Return the ledger's rows for the step that reads the raw tables, table after table."""
    counts = row_counts.to_pyarrow().to_pylist()
    counts.sort(key=lambda row: TABLES.index(row["table"]))
    totals = {row["table"]: row["rows"] for row in counts if row["reason"] == "all"}
    return [
        {
            "step": "blank_values" if row["reason"] in BLANKED else "read",
            "rows_in": totals[row["table"]],
            **row,
        }
        for row in counts
        if row["reason"] not in (None, "all")
    ]


def build_ledger(losses: list[Row]) -> ir.Table:
    """Return the ledger in a fixed order."""
    empty = dict.fromkeys(LOSS_LEDGER.names)
    ordered = sorted(
        losses,
        key=lambda row: (
            STEPS.index(row["step"]),
            row["table"],
            -row["rows"],
            *(str(row.get(name)) for name in ("reason", "system", "code", "unit")),
        ),
    )
    return small_table([empty | row for row in ordered], LOSS_LEDGER)


def count_lab_tokens(classified: ir.Table) -> ir.Table:
    """Return rows and persons by the reason why a laboratory result has no token, null if it has one.

    Args:
        classified: Of ``classify_lab_events``.
    """
    lost = classified.loss_reason.notnull()
    keys = ["reason", "system", "code", "unit"]
    by_person = (
        classified.mutate(
            reason=classified.loss_reason,
            **{name: ibis.cases((lost, classified[name])) for name in ("system", "code", "unit")},
        )
        .group_by([*keys, "person_id"])
        .agg(rows=_.count())
    )
    return by_person.group_by(keys).agg(rows=lambda t: sum_int64(t.rows), persons=_.count())


def lab_losses(lab_token_counts: ir.Table) -> tuple[list[Row], Row]:
    """Return the ledger's rows for labs without a token, and the cutflow's row for those with one."""
    rows = lab_token_counts.to_pyarrow().to_pylist()
    total = sum(row["rows"] for row in rows)
    common = {"step": "lab_tokens", "table": "lab"}
    kept = {"rows": 0, "persons": 0}
    kept |= next((row for row in rows if row["reason"] is None), {})
    losses = [common | row | {"rows_in": total} for row in rows if row["reason"]]
    return losses, common | {name: kept[name] for name in ("rows", "persons")}


def selection_losses(
    person_spans: ir.Table, number_of_days_threshold: int, sequences: ir.Table | None = None
) -> tuple[list[Row], list[Row]]:
    """Return the ledger's and the cutflow's rows for the steps from events to ``sequences``.

    Before there are sequences, those of the steps that the spans decide.
    """
    found = _count_outcomes(person_spans, number_of_days_threshold, sequences)
    kept = found.get("kept", {"repeated": 0, "repeating": 0})
    found["once_a_day"] = {"rows": kept["repeated"], "persons": kept["repeating"]}
    rows = sum(row["rows"] for step, row in found.items() if step != "once_a_day")
    persons = sum(row["persons"] for step, row in found.items() if step != "once_a_day")
    losses: list[Row] = []
    flow: list[Row] = [{"step": "events", "table": "events", "rows": rows, "persons": persons}]
    for step, reason in SELECTION.items():
        lost = found.get(step, {"rows": 0, "persons": 0})
        if lost["rows"]:
            counted = {"rows": lost["rows"], "persons": lost["persons"], "rows_in": rows}
            losses.append({"step": step, "table": "events", "reason": reason} | counted)
        rows -= lost["rows"]
        persons -= lost["persons"] if step != "once_a_day" else 0  # they lose rows, and stay
        flow.append({"step": step, "table": "events", "rows": rows, "persons": persons})
    return losses, flow


def _count_outcomes(
    person_spans: ir.Table, number_of_days_threshold: int, sequences: ir.Table | None
) -> dict[str, Row]:
    """Return events and persons by the step that took the person out, ``kept`` if none did."""
    if sequences is None:
        kept = person_spans.select(known_id="person_id", tokens="events")
    else:
        events = sequences.day_position_tokens.length() - baseline_length(sequences)
        kept = sequences.select(known_id="person_id", tokens=events)
    persons = person_spans.left_join(kept, person_spans.person_id == kept.known_id)
    outcome = ibis.cases(
        (persons.split.isnull(), "split"),
        (persons.days < number_of_days_threshold, "number_of_days_threshold"),
        (persons.known_id.isnull(), "min_history_size"),
        else_="kept",
    )
    counts = (
        persons.mutate(outcome=outcome, repeats=persons.events - persons.tokens)
        .group_by("outcome")
        .agg(
            rows=_.events.sum().cast("int64"),
            persons=_.count(),
            repeated=_.repeats.sum().fill_null(0).cast("int64"),
            repeating=(_.repeats > 0).fill_null(False).cast("int64").sum().cast("int64"),
        )
    )
    return {row["outcome"]: row for row in counts.to_pyarrow().to_pylist()}


def account(
    raw_row_counts: ir.Table,
    lab_token_counts: ir.Table,
    person_spans: ir.Table,
    number_of_days_threshold: int,
    sequences: ir.Table,
) -> tuple[list[Row], list[Row]]:
    """Return the rows of the ledger and those of the cutflow, from raw tables to ``sequences``."""
    from_labs, binned = lab_losses(lab_token_counts)
    selected, steps = selection_losses(person_spans, number_of_days_threshold, sequences)
    losses = [*read_losses(raw_row_counts), *from_labs, *selected]
    return losses, [*read_flow(raw_row_counts), binned, *steps]


def read_flow(row_counts: ir.Table) -> list[Row]:
    """Return the cutflow's rows for the raw tables and for what could be read of them."""
    counts = row_counts.to_pyarrow().to_pylist()
    steps = {"all": "raw", None: "read"}
    rows = [
        {"step": steps[row["reason"]]} | {name: row[name] for name in ("table", "rows", "persons")}
        for row in counts
        if row["reason"] in steps
    ]
    return sorted(rows, key=lambda row: (row["step"], row["table"]))


def number_steps(rows: list[Row]) -> ir.Table:
    """Return the cutflow with its rows numbered in the order of the steps."""
    ordered = sorted(rows, key=lambda row: (STEPS.index(row["step"]), row["table"]))
    return small_table([{"number": n} | row for n, row in enumerate(ordered)], CUTFLOW)
