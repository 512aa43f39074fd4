from types import SimpleNamespace

import pytest
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from clm_ler.datasets.rrf import RRFDataset
from clm_ler.hooks.simulation import SimulationGuard


def simulate(other: object) -> dict:
    return {"simulated": True}


def read(*inputs: object) -> dict:
    return {}


PIPELINE = Pipeline(
    [
        Node(read, None, "other", name="a_node_before"),
        Node(simulate, "other", "patient", name="simulate", tags=["simulation"]),
        Node(read, "patient", "result", name="a_node_after"),
    ]
)


def run(path, guard=None):
    hooks = _create_hook_manager()
    guard = guard or SimulationGuard()
    _register_hooks(hooks, (guard,))
    catalog = DataCatalog({"patient": JSONDataset(filepath=path.as_posix())})
    hooks.hook.before_pipeline_run(run_params={}, pipeline=PIPELINE, catalog=catalog)
    SequentialRunner().run(PIPELINE, catalog, hook_manager=hooks)
    hooks.hook.after_pipeline_run(run_params={}, run_result={}, pipeline=PIPELINE, catalog=catalog)


def test_simulating_twice_into_the_same_place_is_allowed(tmp_path):
    run(tmp_path / "patient.json")
    run(tmp_path / "patient.json")


def test_a_users_file_is_refused_and_left_alone(tmp_path):
    mine = tmp_path / "patient.json"
    mine.write_text('{"mine": true}')
    with pytest.raises(RuntimeError, match="would overwrite patient"):
        run(mine)
    assert mine.read_text() == '{"mine": true}'
    assert [path.name for path in tmp_path.iterdir()] == ["patient.json"]


def test_a_users_file_put_in_place_of_a_simulated_one_is_refused(tmp_path):
    path = tmp_path / "patient.json"
    run(path)
    path.unlink()
    path.write_text('{"mine": true}')
    with pytest.raises(RuntimeError, match="would overwrite patient"):
        run(path)


def test_a_file_added_to_a_simulated_folder_is_refused(tmp_path):
    run(tmp_path / "patient.json" / "part")
    guard = SimulationGuard()
    (tmp_path / "patient.json" / "mine.parquet").write_text("x")
    with pytest.raises(RuntimeError, match="not simulated"):
        run(tmp_path / "patient.json", guard)


def test_nothing_is_simulated_outside_of_the_storage(tmp_path):
    class Loader(dict):
        runtime_params = {"storage": "data"}

    guard, loader = SimulationGuard(), Loader(globals={"storage": "elsewhere"})
    guard.after_context_created(SimpleNamespace(config_loader=loader, project_path=tmp_path))
    run(tmp_path / "data" / "patient.json", guard)
    with pytest.raises(RuntimeError, match="would write patient outside of the storage"):
        run(tmp_path / "my_release" / "patient.json", guard)
    assert not (tmp_path / "my_release").exists()


def test_a_users_compressed_release_is_refused(tmp_path):
    release = RRFDataset(filepath=str(tmp_path / "MRCONSO.RRF"), columns=["CUI"])
    (tmp_path / "MRCONSO.RRF.gz").write_bytes(b"mine")
    with pytest.raises(RuntimeError, match="would overwrite patient"):
        SimulationGuard().before_pipeline_run(PIPELINE, DataCatalog({"patient": release}))


def test_what_a_killed_simulation_left_may_be_overwritten(tmp_path, monkeypatch):
    path = tmp_path / "patient.json"
    with monkeypatch.context() as patched:
        patched.setattr(SimulationGuard, "_finish", lambda self: None)
        run(path)
    run(path)
