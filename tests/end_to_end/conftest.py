import shutil
from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from clm_ler.cli import chain_of

ROOT = Path(__file__).parents[2]
SMALL = {
    "cohort": {"persons": 300, "ehrshot": {"persons": 200}},
    "vocab": {"min_persons": 1},  # these hospitals are too small to hide anybody in
    "pretrain": {
        "hidden_size": 64,
        "num_train_epochs": 6,
        "override_maxlen": 128,
        "tokens_per_batch": 1024,
    },
    "finetune": {"num_train_epochs": 1, "tuneable_parameters": {"learning_rate": [1.0e-3]}},
    # Of each group of tasks one or two; the findings of chexpert are 14 tasks, in test_ehrshot.
    "ehrshot_eval": {
        "tasks": ["guo_los", "guo_icu", "lab_anemia", "new_hypertension"],
        "shots": [8],
        "bootstraps": 50,
    },
}
BASELINES = (
    "untrained",
    "demographics",
    "count",
    "count_bins",
    "windowed",
    "clm_ler_windowed",
)


@pytest.fixture(scope="session")
def kedro_run():
    """Run pipelines as `kedro run` does; returns the catalog of the run."""
    bootstrap_project(ROOT)

    def run(storage, pipelines=None, env=None, conf_source=None, **parameters):
        runtime = SMALL | parameters | ({"storage": str(storage)} if storage else {})
        project = {"env": env, "conf_source": conf_source and str(conf_source)}
        pipelines = pipelines or chain_of(**project, params=runtime)
        with KedroSession.create(ROOT, runtime_params=runtime, **project) as session:
            session.run(pipeline_names=pipelines)
        with KedroSession.create(ROOT, runtime_params=runtime, **project) as session:
            return session.load_context().catalog

    return run


@pytest.fixture(scope="session")
def storage(tmp_path_factory):
    """Where the small simulated hospital lies."""
    return tmp_path_factory.mktemp("chain") / "data"


@pytest.fixture(scope="session")
def chain(kedro_run, storage):
    """The catalog after everything has run on a small simulated hospital."""
    return kedro_run(storage)


@pytest.fixture(scope="session")
def place(chain, storage, kedro_run, tmp_path_factory):
    """A copy of a finished chain, with its events and labels in MEDS: commands may change it."""
    place = tmp_path_factory.mktemp("commands") / "data"
    shutil.copytree(storage, place)
    kedro_run(place, ["meds_export", "meds_labels"])
    return place
