from collections import Counter

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from clm_ler.datasets.whole import JSONDataset
from clm_ler.hooks import current
from clm_ler.hooks.record import RecordHooks
from clm_ler.hooks.steps import Steps

NODES = Pipeline(
    [
        Node(len, "params:split", "sizes", name="measure", namespace="split"),
        Node(len, "sizes", "total", name="add", namespace="vocab"),
    ]
)


@pytest.fixture
def record(tmp_path):
    """Runs the hooks as a run of that name that ends in a state does; returns what is written then."""

    def run(name, ending, left=None):
        names = ("sizes", "total", "run_record")
        entries = {each: JSONDataset(filepath=str(tmp_path / f"{each}.json")) for each in names}
        given = current.Run(None, {}, {"seed": 7, "split": {"train_ratio": 0.7}, "vocab": {}})
        given.catalog = DataCatalog(entries)
        given.steps = Steps(Counter(left)) if left else None
        token = current._RUN.set(given)
        hooks = RecordHooks()
        hooks.before_pipeline_run({"run_id": name, "env": "mine"}, NODES)
        if ending == "done":
            given.catalog.save("sizes", [1])
            hooks.after_pipeline_run(NODES)
        elif ending == "failed":
            hooks.on_pipeline_error(NODES)
        current._RUN.reset(token)
        return given.catalog.load("run_record")

    return run


def test_each_pipeline_has_what_made_its_results(record):
    written = record("first", "done")
    split = written["split"]
    assert (split["run"], split["environment"], split["state"]) == ("first", "mine", "done")
    assert (split["seed"], split["parameters"]) == (7, {"split": {"train_ratio": 0.7}})
    assert split["versions"]["kedro"].startswith("1.")
    assert split["outputs"]["sizes"] == written["vocab"]["inputs"]["sizes"]
    assert split["outputs"]["sizes"]["files"] == 1
    assert written["vocab"]["outputs"] == {}  # nothing was saved
    assert split["goes_on_from"] is None


@pytest.mark.parametrize("ending", ["failed", "killed"])
def test_a_run_that_did_not_end_is_what_the_next_goes_on_from(record, ending):
    assert record("first", ending)["split"]["state"] != "done"
    again = record("second", "done")["split"]
    assert (again["goes_on_from"], again["state"]) == ("first", "done")
    assert record("third", "done")["split"]["goes_on_from"] is None


def test_a_pipeline_that_was_done_before_the_failure_is_done(record):
    written = record("first", "failed", left={"split": 0, "vocab": 1})
    assert {name: each["state"] for name, each in written.items()} == {
        "split": "done",
        "vocab": "failed",
    }
    assert record("second", "done")["split"]["goes_on_from"] is None


def test_a_failure_is_not_hidden_by_the_record(monkeypatch):
    given = current.Run(None, {}, {})
    token = current._RUN.set(given)
    RecordHooks().on_pipeline_error(NODES)  # there is not even a catalog
    current._RUN.reset(token)
