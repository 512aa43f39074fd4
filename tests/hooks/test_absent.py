import pytest
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from clm_ler.hooks.absent import TAG, AbsentInputHooks


def same(value):
    return value


def pair(first, second):
    return [first, second]


TELLS = Node(pair, ["made", "absent"], "told", name="tell", tags=TAG)


def run(folder, *nodes):
    names = {name for node in nodes for name in [*node.inputs, *node.outputs]} - {"told"}
    catalog = DataCatalog({name: JSONDataset(filepath=f"{folder}/{name}.json") for name in names})
    pipeline = Pipeline(list(nodes))
    AbsentInputHooks().before_pipeline_run(pipeline, catalog)
    return SequentialRunner().run(pipeline, catalog)["told"].load()


def test_what_is_not_there_is_none_and_what_this_run_makes_comes_first(tmp_path):
    (tmp_path / "raw.json").write_text("7")
    assert run(tmp_path, TELLS) == [None, None]
    assert run(tmp_path, Node(same, "raw", "made", name="make"), TELLS) == [7, None]
    assert run(tmp_path, TELLS) == [7, None]


def test_what_another_node_needs_has_to_be_there(tmp_path):
    with pytest.raises(DatasetError):
        run(tmp_path, TELLS, Node(same, "absent", "told_too", name="other"))
