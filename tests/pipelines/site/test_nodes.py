"""A site's codes as tokens of the kit, and whom it is asked about."""

from datetime import datetime

import ibis
import pytest
from ibis import _

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.pipelines.site import nodes
from clm_ler.tables.labels import LABELS
from clm_ler.tables.tasks.definition import Tasks

READING = PreprocessOptions(tables={})
OPTIONS = FinetuneOptions(checkpoints="none")
DAY, LATER = datetime(2020, 1, 1), datetime(2020, 5, 1)
EVENTS = {"person_id": "int64", "time": "timestamp", "system": "string", "code": "string"}
NUMBERS = ibis.memtable([], schema={"person_id": "int64", "own_id": "string"})
CODED = ibis.memtable([(1, DAY, "X", "a"), (1, LATER, "X", "b"), (2, DAY, "X", "a")], schema=EVENTS)
LABS = ibis.memtable([(2, LATER, "L", "c")], schema=EVENTS)
TASK = Tasks(
    {
        "name": "t",
        "events": {"flu": {"codes": {"X": ["a"]}}},
        "index": {"visits": ["OP"]},
        "outcome": {"event": "flu"},
    }
)


def rows(table, *names):
    return sorted(tuple(row.values()) for row in table.select(*names).to_pyarrow().to_pylist())


def test_codes_that_the_site_does_not_find_are_taken_from_the_kit():
    found = ibis.memtable(
        {"source_system": ["X"], "source_code": ["a"], "vocab_token": ["K:1"], "method": ["direct"]}
    )
    kit = ibis.memtable(
        {
            "source_system": ["X"] * 3,
            "source_code": ["a", "b", "elsewhere"],
            "vocab_token": ["K:2", "K:3", "K:4"],
        }
    )
    codes = ibis.memtable({"system": ["X"] * 3, "code": ["a", "b", "c"]})
    assert rows(nodes.add_translations(found, kit, codes), *nodes.TRANSLATIONS) == [
        ("X", "a", "K:1"),
        ("X", "b", "K:3"),
    ]
    assert len(rows(nodes.add_translations(found, None, codes), "source_code")) == 1


RAW = ibis.memtable(
    [(1, DAY, 1, "t"), (2, None, 0, "t")],
    schema={"person_id": "int64", "prediction_time": "timestamp", "label": "int64"}
    | {"task": "string"},
)
CANDIDATES = ibis.memtable(
    [(1, LATER, 0, "t", None), (2, DAY, 1, "t", "too young")],
    schema={"person_id": "int64", "prediction_time": "timestamp", "label": "int64"}
    | {"task": "string", "reason": "string"},
)


@pytest.mark.parametrize(
    ("raw", "candidates", "task", "found"),
    [
        (RAW, None, None, [(1, DAY, 1, "t"), (2, LATER, 0, "t")]),
        (RAW, None, TASK, [(1, DAY, 1, "t"), (2, LATER, 0, "t")]),
        (RAW, CANDIDATES, TASK, [(1, LATER, 0, "t")]),
        (None, None, TASK, []),
    ],
)
def test_labels_are_those_of_label_or_of_the_table_or_none(raw, candidates, task, found):
    if raw is not None:  # it is read by the SQL of an engine
        raw = ibis.duckdb.connect().create_table("raw", raw.to_pyarrow())
    selected = nodes.select_label_rows(raw, candidates, task, OPTIONS, READING)
    labels = nodes.find_labels(selected, candidates, NUMBERS, CODED, LABS, task)
    assert rows(labels, *LABELS) == found


def test_it_is_asked_at_labels_else_at_the_users_times_else_at_the_last_event():
    times = ibis.memtable({"person_id": [7], "prediction_time": [DAY]})
    asked = [
        nodes.ask_times(labels, given, CODED, LABS)
        for labels, given in (
            (RAW.filter(_.person_id == 1), times),
            (RAW.limit(0), times),
            (RAW.limit(0), None),
        )
    ]
    assert [rows(table, "person_id", "prediction_time") for table in asked] == [
        [(1, DAY)],
        [(7, DAY)],
        [(1, LATER), (2, LATER)],
    ]


def test_persons_of_each_code_are_counted():
    found = nodes.count_persons_by_code(CODED, LABS)
    assert rows(found, "code", "persons") == [("a", 2), ("b", 1), ("c", 1)]


def test_recalibrated_risks_stand_beside_the_kits():
    predictions = ibis.memtable(
        {
            "person_id": [1, 1, 1],
            "task": ["t", "other", "classes"],
            "probabilities": [[0.5, 0.5], [0.5, 0.5], [0.2, 0.3, 0.5]],
        }
    )
    line = {"intercept": {"intercept": 0.0, "slope": 1.0}}
    line |= {"intercept and slope": {"intercept": None, "slope": None}}
    found = nodes.recalibrate_predictions(predictions, {"t": line, "classes": line}).read_all()
    assert found["risk_intercept"].to_pylist() == [pytest.approx(0.5), None, None]
    assert found["risk_intercept_and_slope"].to_pylist() == [None, None, None]
    assert found["person_id"].to_pylist() == [1, 1, 1]
