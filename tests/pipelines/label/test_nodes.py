"""What stops a task before the long work, each in one line."""

import copy
from datetime import datetime, timedelta

import ibis
import pytest
from pydantic import ValidationError

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.labels import select_label_rows, select_labels
from clm_ler.pipelines.label import nodes
from clm_ler.tables.tasks.definition import LabelPipelineOptions, Tasks
from tests.pipelines.label.hospital import OPTIONS, READING, definition

DIABETES = definition("new_diabetes")


def changed(**parts):
    """The task of new diabetes with other parts."""
    given = copy.deepcopy(DIABETES)
    for name, part in parts.items():
        given[name] = given[name] | part if isinstance(given.get(name), dict) else part
    return given


@pytest.fixture(scope="module")
def records():
    """Codes, units and days of a small record: 30 diabetics, ten years."""
    codes = [
        ("ICD10CM", "E11.9", False, "", 30),
        ("ICD10CM", "I10", False, "", 500),
        ("LOINC", "4548-4", True, "%", 50),
        ("LOINC", "4548-4", True, "", 5),
        ("LOINC", "2160-0", True, "furlong", 50),
    ]
    schema = {"system": "string", "code": "string", "lab": "boolean", "unit": "string"}
    rows = [dict(zip([*schema, "rows"], row, strict=True)) for row in codes]
    first = datetime(2010, 1, 1)
    days = [{"day": (first + timedelta(days=n)).date(), "rows": 1} for n in range(3650)]
    return (
        ibis.memtable(rows, schema=schema | {"rows": "int64"}),
        ibis.memtable(days, schema={"day": "date", "rows": "int64"}),
    )


def find(records, task, concept_sets=None):
    vocabulary = (None, None, None)
    found = nodes.find_task_codes(*records, *vocabulary, concept_sets, Tasks(task), READING)
    return found.to_pyarrow().to_pylist()


def test_codes_and_units_are_found_in_the_records(records):
    rows = find(records, DIABETES)
    found = {(row["event"], row["code"], row["unit"]): row["factor"] for row in rows}
    assert found == {
        ("type_2_diabetes", "E11.9", ""): 1,
        ("any_diabetes", "E11.9", ""): 1,
        ("high_hba1c", "4548-4", "%"): 1,
        ("high_hba1c", "4548-4", ""): None,  # without a unit nobody knows
    }


def event(**parts):
    return {"events": {"type_2_diabetes": parts}}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            event(codes={"ICD10CM": ["E99*"]}),
            "'type_2_diabetes' .outcome.event.: none of its codes",
        ),
        (
            event(codes={"ICD10": ["E11*"]}),
            r"none of its codes is in the records\. Correct them; vocabulary_report",
        ),
        (event(concepts=[{"id": 201826}]), "names OMOP concepts, and there is no vocabulary"),
        (event(concept_set="t2dm"), "there is no concept set 't2dm' .* which has other"),
        ({"min_events": 31}, "are in fewer than 31 rows of the records"),
        (
            {"outcome": {"days": [1, 4000]}},
            "records span 36[0-9][0-9] days: nobody can be followed",
        ),
        (
            {"index": {"since": "2019-01-01"}, "outcome": {"days": [1, 400]}},
            "records span 3[0-9][0-9] days from 2019-01-01: nobody can be followed",
        ),
        (
            event(codes={"LOINC": ["2160-0"]}, unit="mg/dL", above=1),
            "none of 50 results can be read in 'mg/dL'",
        ),
    ],
)
def test_what_cannot_come_to_anything_stops_at_once(records, parts, message):
    with pytest.raises(ValueError, match=message) as error:
        find(records, changed(**parts), {"other": {"items": []}})
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("task new_diabetes")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"index": {"visits": (), "event": "type_2_diabetes"}},
            "the index uses the outcome itself",
        ),
        ({"outcome": {"event": "other"}}, "outcome.event names 'other', and the events are"),
        ({"outcome": {"stay_days": 7}}, "either 'event' or 'stay_days'"),
        ({"outcome": {"days": [30, 1]}}, "days are from and to"),
        ({"index": {"dates": ["2020-01-01"]}}, "an index is one of"),
        (event(codes={"X": ["1"]}, above=1), "need the codes of a laboratory result and a unit"),
        (event(codes={"X": ["1"]}, death=True), "an event is one of"),
        (event(any_of=["nobody"]), "any_of names 'nobody'"),
        ({"horizon": 30}, "Extra inputs are not permitted"),
        ({"name": "n_positions"}, "cannot have the name of a column of samples"),
        (
            {"events": {"High_HbA1c": {"codes": {"X": ["1"]}}}},
            "events high_hba1c, High_HbA1c differ in case alone",
        ),
        ({"index": {"hours_after": float("inf")}}, "Input should be a finite number"),
        ({"index": {"hours_after": 1e12}}, "should be less than or equal to"),
        ({"index": {"age": [float("nan"), None]}}, "Input should be a finite number"),
        ({"merge_hours": float("inf")}, "Input should be a finite number"),
        ({"outcome": {"washout": 10**12}}, "should be less than or equal to"),
        ({"outcome": {"days": [1, 10**9]}}, "of a century at most"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused(parts, message):
    with pytest.raises(ValidationError, match=message):
        Tasks(changed(**parts))


@pytest.mark.parametrize(
    ("tasks", "message"),
    [([], "an empty list of tasks"), ([DIABETES] * 2, "two tasks are called new_diabetes")],
)
def test_several_tasks_have_names_of_their_own(tasks, message):
    with pytest.raises(ValidationError, match=message):
        Tasks(tasks)


def test_a_task_without_its_tables_says_which_are_missing():
    tasks = Tasks([DIABETES, definition("in_hospital_death")])
    for select, name, whose in (
        (nodes.select_visit_rows, "visit", "new_diabetes"),
        (nodes.select_death_rows, "death", "in_hospital_death"),
    ):
        with pytest.raises(ValueError, match=f"task {whose} needs a table of {name}s, and"):
            select(None, tasks, OPTIONS, READING)
    with pytest.raises(ValueError, match="There is no task: give --params=task=NAME"):
        nodes.select_visit_rows(None, None, OPTIONS, READING)


def test_visits_and_deaths_that_are_lost_have_a_reason(as_table):
    persons = as_table([(1,), (2,)], {"person_id": "int64"})
    rows = [
        ("1", "2020-01-02", "2020-01-01", " ip"),
        ("1", "x", "2020-01-01", "IP"),
        ("2", "2020-01-02 10:00", None, "OP"),
        ("9", "2020-01-01", None, "OP"),
    ]
    visit = as_table(rows, dict.fromkeys(("person_id", "start_time", "end_time", "type"), "string"))
    options = LabelPipelineOptions(
        tables={"visit": {"select_expr": ["person_id", "start_time", "end_time", "type"]}}
    )
    task = Tasks(definition("long_stay"))
    selected = nodes.select_visit_rows(visit, task, options, READING)
    rows = nodes.read_visits(selected, persons, READING).to_pyarrow().to_pylist()
    assert sorted(
        (row["type"], row["reason"], row["end_time"]) for row in rows if row["reason"]
    ) == [
        ("IP", "no start", None),
        ("OP", "person is not known", None),
    ]
    assert [row["end_time"] for row in rows if row["reason"] is None] == [None, None]


CANDIDATE = {
    "person_id": "int64",
    "prediction_time": "timestamp",
    "label": "int64",
    "task": "string",
}


def test_labels_are_those_of_the_task_or_of_the_table(as_table):
    kept, lost = ((n, datetime(2020, 1, 1), label, "long_stay") for n, label in ((1, 1), (2, None)))
    found = as_table([(*kept, None), (*lost, "age")], CANDIDATE | {"reason": "string"})
    ids = as_table([], {"person_id": "int64", "own_id": "string"})
    read = (FinetuneOptions(checkpoints=""), READING)
    none = select_label_rows(None, None, *read)
    task, other = (Tasks(definition(name)) for name in ("long_stay", "new_diabetes"))
    labels = select_labels(none, found, ids, task)
    assert [tuple(row.values()) for row in labels.to_pyarrow().to_pylist()] == [kept]
    with pytest.raises(ValueError, match="are of task long_stay, not of new_diabetes: run `label`"):
        select_labels(none, found, ids, other)
    with pytest.raises(ValueError, match="no labels of task long_stay: run the pipeline `label`"):
        select_labels(none, None, ids, task)
    with pytest.raises(ValueError, match="There are no labels"):
        select_labels(none, found, ids, None)
    own = as_table([kept], CANDIDATE)
    rows = select_label_rows(own, None, *read)
    assert select_labels(rows, None, ids, None).count().execute() == 1
    assert select_label_rows(own, task, *read).count().execute() == 0
