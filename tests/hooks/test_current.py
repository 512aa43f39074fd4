"""Two runs in one process do not meet: their hooks are the same objects, what they note is not."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroServiceSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Node, Pipeline

from clm_ler.hooks.current import current_run
from tests.end_to_end.conftest import ROOT

pytestmark = pytest.mark.slow  # it starts Kedro sessions


@pytest.fixture(scope="module")
def session() -> Iterator[KedroServiceSession]:
    bootstrap_project(ROOT)
    with KedroServiceSession.create(project_path=ROOT, serving_mode=True) as session:
        yield session


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """The W&B runs that were opened: what they were told, and with which exit code they ended."""
    opened: list[SimpleNamespace] = []

    def init(**options: Any) -> SimpleNamespace:
        run = SimpleNamespace(summary={}, configured={}, ended=[], offline=False)
        run.config = SimpleNamespace(update=lambda values, **_: run.configured.update(values))
        run.finish = lambda exit_code: run.ended.append(exit_code)
        opened.append(run)
        return run

    monkeypatch.setattr("wandb.init", init)
    return opened


def pipeline(meet: Barrier) -> Pipeline:
    """Write a simulated dataset and a metric; each run waits for the others before and after."""

    def simulate(seed: int) -> dict[str, Any]:
        meet.wait(60)
        if seed < 0:
            raise ValueError("as asked")
        return {"a_task": {"seed": seed}}

    def measure(seed: int, shots: object) -> dict[str, Any]:
        meet.wait(60)
        return {"seed": seed, "tasks": {}}

    return Pipeline(
        [
            Node(simulate, "params:pretrain.seed", "ehrshot_shots", tags="simulation"),
            Node(measure, ["params:pretrain.seed", "ehrshot_shots"], "finetune_metrics"),
        ]
    )


@pytest.fixture
def run(session, tmp_path, monkeypatch):
    def run(seeds: list[int], threads: int) -> None:
        monkeypatch.setitem(pipelines, "meeting", pipeline(Barrier(threads)))

        def run_one(seed: int) -> None:
            told = {"storage": str(tmp_path / f"of_{seed}"), "wandb": "online"}
            told |= {"pretrain": {"seed": seed}}
            try:
                session.run(pipeline_names=["meeting"], runtime_params=told)
            finally:
                assert current_run() is None  # in the thread of the run

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run_one, seeds))

    return run


def simulated(storage: Path) -> dict[str, Any]:
    receipt = storage / "01_raw" / "EHRSHOT_ASSETS" / ".benchmark.simulated.json"
    return json.loads(receipt.read_text())


@pytest.mark.parametrize("threads", [1, 2])
def test_runs_note_their_own(threads, run, tracked, tmp_path):
    run([1, 2], threads)
    assert len(tracked) == 2
    for wandb_run in tracked:
        seed = wandb_run.configured["pretrain"]["seed"]
        assert wandb_run.summary == {"finetune_metrics": {"seed": seed, "tasks": {}}}
        assert wandb_run.ended == [0]
        storage = tmp_path / f"of_{seed}"
        receipt = simulated(storage)
        assert receipt["started"] is None
        assert all(Path(file).is_relative_to(storage) for file in receipt["files"])
        assert len(receipt["files"]) == 1


def test_a_run_that_fails_leaves_nothing_to_the_next(run, tracked, tmp_path):
    with pytest.raises(ValueError, match="as asked"):
        run([-1], 1)
    run([3], 1)
    assert [each.ended for each in tracked] == [[1], [0]]
    assert simulated(tmp_path / "of_3")["started"] is None


def test_a_run_that_is_refused_leaves_no_trace(session, tracked, tmp_path):
    record = tmp_path / "08_reporting" / "run.json"
    record.parent.mkdir()
    record.write_text('{"vocab": {"run": "the last good one", "state": "done"}}')
    written = record.read_text()
    with pytest.raises(ValueError, match="is not there: run"):
        told = {"storage": str(tmp_path), "wandb": "online"}
        session.run(pipeline_names=["vocab"], runtime_params=told)
    assert record.read_text() == written
    assert tracked == []
