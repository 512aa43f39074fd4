"""What is told of the way from index dates to labels, and what is not."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.tables.tasks.attrition import (
    END,
    START,
    _rows_without_small_counts,
    _shown,
    check_labels,
    count_attrition,
    count_prevalence,
)
from clm_ler.tables.tasks.candidates import AGE, LOST, SAME_TIME, SEX
from clm_ler.tables.tasks.definition import TaskOptions

TASK = TaskOptions(
    name="t",
    events={"sick": {"codes": {"X": ["1"]}}, "seen": {"codes": {"X": ["2"]}}},
    index={"event": "seen"},
    outcome={"event": "sick"},
)
LEAST = 10
CANDIDATE = {
    "task": "string",
    "person_id": "int64",
    "prediction_time": "timestamp",
    "label": "int64",
    "age": "int32",
    "gender": "string",
    "reason": "string",
}


@pytest.fixture
def candidates(as_table):
    """40 women and 40 men of 50 years, the women once ill; some are lost."""
    rows = []
    for person in range(80):
        sex = "FM"[person % 2]
        rows.append((person, datetime(2020, 1, 1), int(sex == "F"), 50, sex, None))
        rows.append((person, datetime(2021, 1, 1), 0, 51, sex, AGE if person < 30 else None))
    rows += [(person, datetime(2022, 1, 1), None, 50, "F", SEX) for person in range(3)]
    rows += [(person, datetime(2022, 1, 1), None, 50, "F", LOST) for person in range(90, 105)]
    return as_table([(TASK.name, *row) for row in rows], CANDIDATE)


def test_each_step_tells_what_it_takes_and_leaves(candidates):
    rows = count_attrition(candidates, [TASK], LEAST).to_pyarrow().to_pylist()
    told = [(row["reason"], row["rows"], row["rows_left"], row["persons_left"]) for row in rows]
    assert told == [
        (START, 0, 178, 95),
        (AGE, 30, 148, 95),
        (f"{SEX}; {LOST}", 18, 130, 80),  # three persons alone are not told
        (END, 0, 130, 80),
    ]


def test_prevalence_is_told_of_groups_that_are_large_enough(candidates):
    rows = count_prevalence(candidates, [TASK], LEAST).to_pyarrow().to_pylist()
    told = {(row["attribute"], row["group"]): row["prevalence"] for row in rows}
    assert told["all", "everyone"] == 40 / 130
    assert told["year", "2020"] is None  # 2021 has nobody with the outcome: both are hidden
    assert told["sex", "F"] is None


steps = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 40)).map(
        lambda n: {"rows": max(n[0], n[1]), "persons": n[1], "gone": min(n[2], n[1])}
    ),
    max_size=8,
)


@given(steps, st.integers(0, 60))
def test_no_difference_of_two_numbers_tells_of_few_persons(given_steps, left):
    for number, step in enumerate(given_steps):
        step["reason"] = f"reason {number}"
    rows = sum(step["rows"] for step in given_steps) + left
    persons = sum(step["gone"] for step in given_steps) + left
    steps = [dict(step) for step in given_steps]
    told = _rows_without_small_counts(steps, (rows, persons), "t", LEAST)
    numbers = [row["persons_left"] for row in told if row["persons_left"] is not None]
    assert all(number == 0 or number >= LEAST for number in numbers)
    differences = [a - b for n, a in enumerate(numbers) for b in numbers[n + 1 :]]
    assert all(gone == 0 or gone >= LEAST for gone in differences)
    # Nothing that is told in rows is told of few persons either: they come together.
    fewest = {step["reason"]: step["persons"] for step in given_steps}
    for row in told:
        if row["rows"]:
            assert max(fewest[reason] for reason in row["reason"].split("; ")) >= LEAST


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=6))
def test_a_hidden_group_cannot_be_had_by_subtraction(cells):
    rows = [
        {"group": str(n), "sick": a, "well": b, "rows": a + b + 1, "persons": a + b, "outcomes": a}
        for n, (a, b) in enumerate(cells)
    ]
    shown = _shown(rows, "x", LEAST)
    hidden = [row for row, told in zip(rows, shown, strict=True) if told["suppressed"]]
    assert all(
        min(row["sick"], row["well"]) >= LEAST
        for row, told in zip(rows, shown, strict=True)
        if not told["suppressed"]
    )
    assert len(hidden) != 1 or len(rows) == 1 or min(hidden[0]["sick"], hidden[0]["well"]) >= LEAST


def test_labels_that_contradict_each_other_stop_the_run(as_table, candidates):
    rows = candidates.to_pyarrow().to_pylist()
    rows.append(rows[0] | {"label": 0, "reason": SAME_TIME})
    table = as_table([tuple(row.values()) for row in rows], CANDIDATE)
    with pytest.raises(
        ValueError, match="task t: 1 prediction times of one person have two labels"
    ):
        check_labels(table, TASK, LEAST)
    with pytest.raises(ValueError, match=r"Raise task\.merge_hours\.$"):  # what does help
        check_labels(table, TASK, LEAST)
    check_labels(candidates, TASK, LEAST)


def test_too_few_outcomes_stop_the_run_and_few_are_not_counted(candidates):
    few = candidates.filter((candidates.label == 0) | (candidates.person_id < 8))
    with pytest.raises(ValueError, match="fewer than 10 labels are with the outcome") as error:
        check_labels(few, TASK, LEAST)
    assert "lost for the reason" in str(error.value)
    asked = TASK.model_copy(update={"min_events": 50})
    with pytest.raises(ValueError, match=r"40 labels are with the outcome, and .* asks for 50"):
        check_labels(candidates, asked, LEAST)
