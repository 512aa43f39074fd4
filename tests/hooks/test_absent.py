import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from clm_ler.corridor.wiring import MAY_LACK_INPUTS
from clm_ler.hooks.absent import AbsentInputHooks, MissingInputHooks
from tests.end_to_end.conftest import ROOT


def same(value):
    return value


def pair(first, second):
    return [first, second]


TELLS = Node(pair, ["made", "absent"], "told", name="tell", tags=MAY_LACK_INPUTS)


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


def made_by(pipeline):
    """A pipeline's inputs as they are after nothing was run, by the catalog of the project."""
    settings = {"storage": "nowhere"}
    with KedroSession.create(ROOT, runtime_params=settings) as session:
        catalog = session.load_context().catalog
    inputs = sorted(pipelines[pipeline].inputs())
    pipelines.set_requested([pipeline])  # as a run of it does
    return catalog, Pipeline([Node(same, name, f"{name}_read") for name in inputs])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pipeline", "told"),
    [
        ("vocab", "lab_percentiles is not there: run preprocess first"),
        ("umls_mapping", "source_codes is not there: run ehrshot_read or site or transfer first"),
        ("ehrshot_eval", "code_translations is not there: run .*umls_mapping first"),
    ],
)
def test_what_an_earlier_pipeline_makes_is_named_with_it(pipeline, told):
    bootstrap_project(ROOT)
    catalog, reads = made_by(pipeline)
    with pytest.raises(ValueError, match=told):
        MissingInputHooks().before_pipeline_run(reads, catalog)


@pytest.mark.slow
def test_raw_tables_are_for_the_parameters_to_ask_for():
    bootstrap_project(ROOT)
    catalog, reads = made_by("split")
    MissingInputHooks().before_pipeline_run(reads, catalog)


@pytest.mark.slow
def test_a_model_is_not_applied_in_the_run_that_trains_it():
    """Nothing says which comes first: it would be the model of the run before."""
    bootstrap_project(ROOT)
    both = pipelines["finetune"] + pipelines["predict"]
    for settings, refused in (({}, True), ({"trained": "elsewhere"}, False)):
        with KedroSession.create(
            ROOT, runtime_params={"storage": "nowhere", **settings}
        ) as session:
            catalog = session.load_context().catalog
        with pytest.raises(
            ValueError, match="run predict afterwards" if refused else "is not there"
        ):
            MissingInputHooks().before_pipeline_run(both, catalog)
