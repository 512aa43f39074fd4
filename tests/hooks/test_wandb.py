import base64
import hashlib
import json
import sys
import time
from types import SimpleNamespace

import pandas as pd
import plotly.graph_objects as go
import pytest
from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.plotly import JSONDataset as FigureDataset
from wandb.errors import UsageError

from clm_ler import __version__
from clm_ler.datasets.optional import OptionalDataset
from clm_ler.hooks.current import RunHooks
from clm_ler.hooks.wandb import WandbHooks
from tests.hooks.context import context

pytestmark = pytest.mark.slow  # it starts Kedro sessions

SECRET = 987654321123


def summarise(
    sequences: pd.DataFrame, units: pd.DataFrame, report: dict | None
) -> tuple[pd.DataFrame, dict, go.Figure]:
    return sequences, {"accuracy": 0.5}, go.Figure(go.Bar(x=["a"], y=[1]))


PIPELINE = Pipeline(
    [
        Node(
            summarise,
            ["sequences", "units", "absent"],
            ["encoded", "metrics", "curves"],
            name="summarise",
        )
    ]
)


def settings(folder, mode):
    return {
        "mode": mode,
        "project": "clm-ler",
        "entity": None,
        "group": "trials",
        "id": "run1",
        "dir": str(folder),
        "tags": ["tag"],
    }


def track(tmp_path, mode, **parameters):
    catalog = DataCatalog(
        {
            "sequences": ParquetDataset(
                filepath=str(tmp_path / "sequences.parquet"), metadata={"wandb": "dataset"}
            ),
            "units": ParquetDataset(
                filepath=str(tmp_path / "units.parquet"), metadata={"wandb": "dataset"}
            ),
            "absent": OptionalDataset(
                dataset={
                    "type": "json.JSONDataset",
                    "filepath": str(tmp_path / "absent.json"),
                    "metadata": {"wandb": "dataset"},
                }
            ),
            "encoded": ParquetDataset(
                filepath=str(tmp_path / "encoded.parquet"), metadata={"wandb": "dataset"}
            ),
            "metrics": JSONDataset(
                filepath=str(tmp_path / "metrics.json"), metadata={"wandb": "metrics"}
            ),
            "curves": FigureDataset(
                filepath=str(tmp_path / "curves.json"), metadata={"wandb": "figure"}
            ),
        }
    )
    catalog.save("sequences", pd.DataFrame({"person_id": [SECRET]}))
    catalog.save("units", pd.DataFrame({"unit": ["mg/dL"]}))
    manager = _create_hook_manager()
    _register_hooks(manager, (WandbHooks(), RunHooks()))
    kinds = {"wandb": settings(tmp_path, mode), "parameters": {"seed": 42} | parameters}
    manager.hook.after_context_created(context=context(tmp_path, **kinds))
    run_params = {"env": None, "pipeline_names": ["vocab"]}
    manager.hook.before_pipeline_run(run_params=run_params, pipeline=PIPELINE, catalog=catalog)
    SequentialRunner().run(PIPELINE, catalog, hook_manager=manager)
    manager.hook.after_pipeline_run(
        run_params=run_params, run_result={}, pipeline=PIPELINE, catalog=catalog
    )


def wait_for_writer(folder):
    """W&B's own process may still be writing when the run is closed."""
    for _ in range(300):
        if all(path.stat().st_size > 1000 for path in folder.rglob("*.wandb")):
            return
        time.sleep(0.1)
    raise TimeoutError("W&B wrote nothing")


@pytest.fixture(scope="module")
def offline_run(tmp_path_factory):
    """The bytes of everything that an offline run would send."""
    folder = tmp_path_factory.mktemp("wandb")
    track(folder, "offline")
    wait_for_writer(folder)
    files = [path for path in (folder / "wandb").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_offline_run_holds_parameters_metrics_figures_and_references(offline_run):
    log = next(content for name, content in offline_run.items() if name.endswith(".wandb"))
    for expected in (b"accuracy", b"curves", b"encoded", b"seed", b"inputs", b"units", b"tag"):
        assert expected in log


def test_no_person_level_value_is_sent(offline_run):
    secret = str(SECRET).encode()
    little_endian = SECRET.to_bytes(8, "little")
    assert offline_run
    for content in offline_run.values():
        assert secret not in content
        assert little_endian not in content


def test_nothing_is_imported_or_written_while_tracking_is_off(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    track(tmp_path, "disabled")
    assert not (tmp_path / "wandb").exists()
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"accuracy": 0.5}


@pytest.mark.parametrize("mode", ["offlin", False])  # off is false in YAML
def test_a_mode_that_is_none_is_refused(tmp_path, mode):
    with pytest.raises(ValueError, match="wandb must be disabled, offline or online, not"):
        track(tmp_path, mode)


def test_the_id_of_a_person_is_not_sent(tmp_path):
    with pytest.raises(ValueError, match=r"explain.person is the id of a person: .* without wandb"):
        track(tmp_path, "offline", explain={"person": SECRET})
    assert not (tmp_path / "wandb").exists()
    track(tmp_path, "disabled", explain={"person": SECRET})
    track(tmp_path, "offline", explain=None)


def test_what_wandb_says_of_a_login_is_a_line_of_ours(tmp_path, monkeypatch):
    def refuse(**options):
        raise UsageError("No API key configured.")

    monkeypatch.setattr("wandb.init", refuse)
    with pytest.raises(RuntimeError, match="W&B begins no run: No API key configured"):
        track(tmp_path, "online")


class OnlineRun:
    """Keeps what a run would send to the server."""

    offline = False

    def __init__(self):
        self.used, self.logged, self.charts = [], [], []
        self.summary, self.configured, self.exit_code = {}, {}, None
        self.config = SimpleNamespace(
            update=lambda values, allow_val_change: self.configured.update(values)
        )

    def use_artifact(self, artifact):
        self.used.append(artifact)

    def log_artifact(self, artifact):
        self.logged.append(artifact)

    def log(self, values):
        self.charts += values

    def finish(self, exit_code):
        self.exit_code = exit_code


@pytest.fixture
def online_run(tmp_path, monkeypatch):
    run, opened = OnlineRun(), {}
    monkeypatch.setattr("wandb.init", lambda **options: opened.update(options) or run)
    track(tmp_path, "online")
    return run, opened


def test_an_online_run_links_its_outputs_to_its_inputs_by_checksum(online_run, tmp_path):
    run, _ = online_run
    assert {artifact.name for artifact in run.used} == {"sequences", "units"}
    (encoded,) = run.logged
    (entry,) = encoded.manifest.entries.values()
    assert entry.ref == f"file://{tmp_path}/encoded.parquet"
    content = (tmp_path / "encoded.parquet").read_bytes()
    assert entry.digest == base64.b64encode(hashlib.md5(content).digest()).decode()
    assert run.summary == {"metrics": {"accuracy": 0.5}}
    assert run.charts == ["curves"]
    assert run.exit_code == 0


def test_an_online_run_can_be_gone_on_with_and_names_its_code(online_run):
    run, opened = online_run
    assert (opened["id"], opened["resume"], opened["group"]) == ("run1", "allow", "trials")
    assert run.configured["seed"] == 42
    assert run.configured["clm_ler"] == __version__
