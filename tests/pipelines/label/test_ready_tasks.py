"""The six ready tasks on the simulated hospital, beside a derivation of their own."""

from datetime import datetime, time

import pytest

from clm_ler.tables.tasks.codes import data_span
from clm_ler.tables.tasks.definition import TaskOptions
from tests.pipelines.label.derive import derive, people
from tests.pipelines.label.hospital import TASKS, definition, label, read_hospital


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


@pytest.mark.parametrize("name", TASKS)
def test_labels_are_those_of_an_independent_derivation(hospital, persons, name):
    task = TaskOptions(**definition(name))
    made = label(hospital, task)
    rows = made["task_candidates"].to_pyarrow().to_pylist()
    found = {
        (row["person_id"], row["prediction_time"], row["label"])
        for row in rows
        if row["reason"] is None
    }
    _first, end = data_span(made["record_days"])
    expected = derive(name, persons, datetime.combine(end, time.min))
    assert found == expected
    assert len({label for *_, label in found}) == 2
