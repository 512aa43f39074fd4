import logging

import ibis
import pytest

from clm_ler.hooks.summary import describe_losses, warn_of_early_ends
from clm_ler.tables.cutflow import check_anyone_left, number_steps

LEDGER = {"step": "string", "table": "string", "reason": "string", "rows": "int64"}


def flow(*rows):
    return [
        {"step": step, "table": table, "rows": n, "persons": persons}
        for step, table, n, persons in rows
    ]


def ledger(*rows):
    return ibis.memtable([dict(zip(LEDGER, row, strict=True)) for row in rows], schema=LEDGER)


def test_the_last_lines_say_what_got_a_token_and_why_the_rest_did_not():
    cutflow = number_steps(
        flow(
            ("raw", "diagnosis", 90, 5),
            ("raw", "prescription", 10, 5),
            ("read", "diagnosis", 88, 5),
            ("read", "prescription", 10, 5),
            ("raw", "lab", 2000, 5),
            ("read", "lab", 1900, 5),
            ("lab_tokens", "lab", 920, 4),
        )
    )
    losses = ledger(
        ("read", "patient", "no person_id", 3),
        ("read", "diagnosis", "no code", 2),
        ("read", "lab", "before birth", 100),
        ("lab_tokens", "lab", "no unit", 600),
        ("lab_tokens", "lab", "no unit", 300),
        ("lab_tokens", "lab", "not a number", 80),
    )
    assert describe_losses(cutflow, losses) == [
        "patient: 3 rows have no id, and are lost",
        "codes: 98.0% of 100 rows have a token; lost: 'no code' 2",
        "labs: 46.0% of 2,000 rows have a token; lost: 'no unit' 900, 'before birth' 100, "
        "'not a number' 80",
        "  'no unit': see preprocess.results.without_unit",
    ]


def test_a_table_that_ends_years_before_the_others_is_named(caplog):
    rows = [("lab", 2018, 990), ("lab", 2022, 1), ("diagnosis", 2021, 50), ("procedure", 2020, 9)]
    schema = {"table": "string", "year": "int64", "rows": "int64"}
    table = ibis.memtable([dict(zip(schema, row, strict=True)) for row in rows], schema=schema)
    with caplog.at_level(logging.WARNING, "clm_ler"):
        warn_of_early_ends(table)
    assert caplog.messages == [
        "lab ends in 2018, diagnosis in 2021: is all of it there? See rows_by_year."
    ]


def test_a_run_that_leaves_nobody_says_why():
    steps = flow(("read", "patient", 9, 9), ("events", "events", 20, 9))
    check_anyone_left([], steps)
    losses = [
        {"table": "lab", "reason": "no unit", "rows": 50},
        {"table": "events", "reason": "history spans too few days", "rows": 1020},
    ]
    message = (
        r"^No person is left after the step 'number_of_days_threshold'. Rows were lost in lab: "
        r"'no unit' 50; events: 'history spans too few days' 1,020. .* set preprocess.number_of_days"
    )
    with pytest.raises(ValueError, match=message):
        check_anyone_left(losses, [*steps, *flow(("number_of_days_threshold", "events", 0, 0))])
