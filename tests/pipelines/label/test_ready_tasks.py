"""The six ready tasks on the simulated hospital, beside a derivation of their own."""

from datetime import datetime, time

import pytest
from ibis import _

from clm_ler.pipelines.label import nodes
from clm_ler.pipelines.label.figures import plot_task
from clm_ler.tables.tasks.codes import data_span
from clm_ler.tables.tasks.definition import TaskOptions, Tasks
from tests.pipelines.label.derive import derive, people
from tests.pipelines.label.hospital import OPTIONS, TASKS, definition, label, read_hospital


@pytest.fixture(scope="module")
def hospital():
    return read_hospital(300)


@pytest.fixture(scope="module")
def persons(hospital):
    return people(hospital)


def test_there_are_six_and_each_says_where_it_is_from():
    assert len(TASKS) == 6
    for name in TASKS:
        task = TaskOptions(**definition(name))
        assert task.name == name
        assert len(task.source) > 50


@pytest.fixture(scope="module")
def made(hospital):
    """What the pipeline makes of all six in one run."""
    return label(hospital, *(TaskOptions(**definition(name)) for name in TASKS))


@pytest.mark.parametrize("name", TASKS)
def test_labels_are_those_of_an_independent_derivation(made, persons, name):
    rows = made["task_candidates"].filter(_.task == name, _.reason.isnull()).to_pyarrow()
    found = {(row["person_id"], row["prediction_time"], row["label"]) for row in rows.to_pylist()}
    _first, end = data_span(made["record_days"])
    expected = derive(name, persons, datetime.combine(end, time.min))
    assert found == expected
    assert len({label for *_, label in found}) == 2


def test_what_is_told_of_several_is_told_of_each(made):
    tasks = Tasks([definition(name) | {"min_events": 1} for name in TASKS])
    attrition, prevalence = nodes.describe_labels(made["task_candidates"], tasks, OPTIONS)
    alone = nodes.describe_labels(made["task_candidates"], Tasks(tasks.root[0]), OPTIONS)
    for both, one in zip((attrition, prevalence), alone, strict=True):
        rows = both.to_pyarrow().to_pylist()
        assert [row for row in rows if row["task"] == TASKS[0]] == one.to_pyarrow().to_pylist()
        assert {row["task"] for row in rows} == {*TASKS}
    figure = plot_task(attrition, prevalence)
    assert sum(bar.orientation == "h" for bar in figure.data) == 2 * len(TASKS)
    assert figure.layout.title.text.startswith("<b>6 tasks: ")
    assert plot_task(*alone).layout.title.text.startswith(f"<b>{TASKS[0]}: ")
