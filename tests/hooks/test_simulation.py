import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from clm_ler.datasets.rrf import RRFDataset
from clm_ler.hooks import simulation
from clm_ler.hooks.current import RunHooks
from clm_ler.hooks.simulation import SimulationGuard
from tests.hooks.context import context


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


def run(path, project=None, pipeline=PIPELINE, dataset=None, **command_line):
    """Simulate in a project of which the path's folder is the storage, where nothing else is said."""
    command_line = command_line or {"storage": str(path.parent)}
    hooks = _create_hook_manager()
    _register_hooks(hooks, (SimulationGuard(), RunHooks()))
    hooks.hook.after_context_created(context=context(project or path.parent, command_line))
    dataset = dataset or JSONDataset(filepath=path.as_posix())
    told = {"run_params": {}, "pipeline": pipeline, "catalog": DataCatalog({"patient": dataset})}
    hooks.hook.before_pipeline_run(**told)
    SequentialRunner().run(pipeline, told["catalog"], hook_manager=hooks)
    hooks.hook.after_pipeline_run(run_result={}, **told)


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
    (tmp_path / "patient.json" / "mine.parquet").write_text("x")
    with pytest.raises(RuntimeError, match="not simulated"):
        run(tmp_path / "patient.json")


def test_nothing_is_simulated_outside_of_the_storage(tmp_path):
    run(tmp_path / "data" / "patient.json", project=tmp_path, storage="data")
    with pytest.raises(RuntimeError, match="would write patient outside of the storage"):
        run(tmp_path / "my_release" / "patient.json", project=tmp_path, storage="data")
    assert not (tmp_path / "my_release").exists()


def test_a_users_compressed_release_is_refused(tmp_path):
    release = RRFDataset(filepath=str(tmp_path / "MRCONSO.RRF"), columns=["CUI"])
    (tmp_path / "MRCONSO.RRF.gz").write_bytes(b"mine")
    with pytest.raises(RuntimeError, match="would overwrite patient"):
        run(tmp_path / "MRCONSO.RRF", dataset=release)


class Killed(BaseException):
    """Ends a run as a signal does: no hook is called."""


def run_and_be_killed(path, while_writing, at=None):
    def die(other):
        if while_writing:
            path.write_text('{"simulated": tru')
        if while_writing and at:
            os.utime(path, (at.timestamp(), at.timestamp()))
        raise Killed

    killed = Node(die, "other", "patient", name="simulate", tags=["simulation"])
    others = PIPELINE.filter(node_names=["a_node_before", "a_node_after"])
    with pytest.raises(Killed):
        run(path, pipeline=others + Pipeline([killed]))


def test_what_a_killed_simulation_left_may_be_overwritten(tmp_path):
    path = tmp_path / "patient.json"
    run_and_be_killed(path, while_writing=True)
    run(path)


def test_simulating_again_may_be_killed_as_often_as_one_likes(tmp_path, monkeypatch):
    path = tmp_path / "patient.json"
    run(path)
    for hours, while_writing in enumerate([False, True, False], start=1):
        later = datetime.now(UTC) + timedelta(hours=hours)
        monkeypatch.setattr(simulation, "datetime", SimpleNamespace(now=lambda _, now=later: now))
        run_and_be_killed(path, while_writing, later)
    run(path)


def test_a_machine_whose_clock_is_ahead_of_the_files_goes_on(tmp_path, monkeypatch):
    ahead = datetime.now(UTC) + timedelta(hours=1)
    with monkeypatch.context() as patch:
        patch.setattr(simulation, "datetime", SimpleNamespace(now=lambda _: ahead))
        run_and_be_killed(tmp_path / "patient.json", while_writing=True)
    run(tmp_path / "patient.json")
