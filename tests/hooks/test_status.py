"""What kedro-viz is told of a run, as kedro-viz itself reads it."""

import json

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro_viz.api.rest.responses.run_events import transform_events_to_structured_format
from kedro_viz.integrations.kedro.hooks_utils import hash_node

from clm_ler.datasets.whole import JSONDataset
from clm_ler.hooks import current
from clm_ler.hooks.status import FILE, StatusHooks
from clm_ler.hooks.steps import StepHooks
from tests.hooks.context import context

FIRST = Node(len, "text", "sizes", name="measure", namespace="split")
SECOND = Node(len, "sizes", "total", name="add", namespace="vocab")


@pytest.fixture
def told(tmp_path):
    """Runs nodes as a run with that storage does, the last one failing with an error; what is told then."""
    (tmp_path / "pyproject.toml").touch()

    def run(nodes, storage="data", error=None):
        site = context(tmp_path)
        given = current.Run(site, {"storage": storage}, {})
        given.catalog = DataCatalog({"sizes": JSONDataset(filepath=str(tmp_path / "sizes.json"))})
        token = current._RUN.set(given)
        pipeline = Pipeline(nodes)
        StepHooks().before_pipeline_run(pipeline)
        for node in nodes:
            StepHooks().before_node_run(node)
            if node is FIRST:
                given.catalog.save("sizes", [1, 2, 3])
        if error is None:
            StepHooks().after_pipeline_run()
            StatusHooks().after_pipeline_run(pipeline)
        else:
            StatusHooks().on_pipeline_error(error, pipeline)
        current._RUN.reset(token)
        return transform_events_to_structured_format(json.loads((tmp_path / FILE).read_text()))

    return run


def test_each_node_and_what_it_wrote_is_shown_as_it_went_last(told, tmp_path):
    first = told([FIRST])
    assert {*first.nodes} == {hash_node(FIRST)}
    size = (tmp_path / "sizes.json").stat().st_size
    assert [(entry.name, entry.size) for entry in first.datasets.values()] == [("sizes", size)]
    both = told([SECOND])
    assert {node: found.status.value for node, found in both.nodes.items()} == {
        hash_node(FIRST): "success",
        hash_node(SECOND): "success",
    }
    assert both.pipeline.status.value == "success"


def test_a_failure_is_named_without_its_text(told, tmp_path):
    found = told([FIRST, SECOND], error=ValueError("born on 1950-01-01"))
    assert found.nodes[hash_node(SECOND)].error.message.startswith("ValueError: the log")
    assert found.nodes[hash_node(FIRST)].status.value == "success"
    assert found.pipeline.status.value == "failed"
    assert "1950-01-01" not in (tmp_path / FILE).read_text()  # "1950" alone is in some microseconds
    assert told([SECOND]).nodes[hash_node(SECOND)].error is None


@pytest.mark.parametrize("damaged", ["[{", "3", '["event"]'])
def test_a_run_that_is_done_does_not_fail_for_it(told, tmp_path, damaged, caplog):
    (tmp_path / ".viz").mkdir()
    (tmp_path / FILE).write_text(damaged)
    with pytest.raises(
        (json.JSONDecodeError, TypeError, AttributeError)
    ):  # of kedro-viz, which reads it
        told([FIRST])
    assert f"{FILE} is not written" in caplog.text
    assert (tmp_path / FILE).read_text() == damaged


@pytest.mark.parametrize("storage", ["s3://bucket/site", "/somewhere/else"])
def test_nothing_is_written_where_the_storage_is_elsewhere(told, storage):
    with pytest.raises(FileNotFoundError):
        told([FIRST], storage=storage)
