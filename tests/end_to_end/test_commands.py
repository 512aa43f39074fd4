"""Every `kedro run` of README and docs, given as it stands but for places and sizes."""

import shlex

import pytest
from click.testing import CliRunner

from clm_ler.cli import run
from tests.end_to_end.conftest import ROOT
from tests.test_docs import COMMANDS

# What another test runs, and what cannot run here.
ELSEWHERE = {
    "--config=": "test_examples",
    "kit=": "test_kit",
    "package.push_to=": "test_pushed",
    "--env=mine": "test_own_tables, test_transfer",
    "--env=omop": "test_doors, test_omop_to_risk_model",
    "cohort_omop": "test_omop_to_risk_model",
    "--env=fhir": "test_fhir",
    "--env=ehrshot": "test_ehrshot",
    "--env=spark": "test_spark; a cluster",
    "kedro run --params=split": "the fixture `chain`",
    "wandb=offline": "test_wandb",
    "vocabulary_root=": "test_omop_vocabulary",
    "s3": "test_s3; a cluster",
    "preset=bert_base": "a GPU",
    "new_diabetes": "test_ready_tasks; too few persons have it here",
    "embed_at": "a table of times of one's own",
    "explain.person": "test_explain",
    "labels_root=": "test_meds_dev",
    "task.aces=": "test_meds_dev",
}
SMALL = {
    "cohort.persons": "300",
    "cohort.ehrshot.persons": "60",
    "pretrain.hidden_size": "32",
    "pretrain.max_steps": "4",
    "pretrain.overwrite": "true",
    "pretrain.override_maxlen": "64",
    "pretrain.tokens_per_batch": "1024",
    "finetune.num_train_epochs": "1",
    "ehrshot_eval.bootstraps": "10",
    "explain.samples": "8",
    "explain.checked": "2",
    "package.min_persons": "1",
}
HERE = [
    command
    for command in COMMANDS
    if command.startswith("kedro run")
    and command
    not in ("kedro run", "kedro run --traceback", "kedro run --verbose")  # `chain`; options
    and not any(part in command for part in ELSEWHERE)
]


def asks_for(command):
    """The environment of a command, its pipelines, and the names of its parameters."""
    words = dict(word.split("=", 1) for word in shlex.split(command)[2:])
    pairs = filter(None, words.get("--params", "").split(","))
    names = frozenset(pair.split("=")[0] for pair in pairs) - {"storage"}
    return words.get("--env"), frozenset(words["--pipelines"].split(",")), names


def is_part_of(command, other):
    """Whether the other one runs all that this one runs, and more."""
    if not all("--pipelines" in one and "--to-nodes" not in one for one in (command, other)):
        return False
    (env, pipelines, names), (of_env, of_pipelines, of_names) = map(asks_for, (command, other))
    return env == of_env and pipelines < of_pipelines and names <= of_names


RUNS = [one for one in HERE if not any(is_part_of(one, other) for other in HERE)]


@pytest.mark.parametrize("command", RUNS)
def test_a_run_of_the_docs_ends(command, place, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(ROOT)
    makes_its_own = "cohort" in command or "--env" in command
    places = {
        "storage": tmp_path / "data" if makes_its_own else place,
        "trained": place,
        "meds_root": place / "05_model_input" / "meds_sequences",
        "umls_root": place / "01_raw" / "umls",
    }
    words = [word for word in shlex.split(command)[2:] if not word.startswith("--params")]
    given = next((word for word in shlex.split(command) if word.startswith("--params=")), "")
    pairs = dict(pair.split("=", 1) for pair in given.removeprefix("--params=").split(",") if pair)
    unknown = {name for name, value in pairs.items() if value.isupper() and name not in places}
    assert not unknown
    placed = {name: places.get(name, value) for name, value in pairs.items()}
    values = placed | SMALL | {"storage": places["storage"]}
    parameters = ",".join(f"{name}={value}" for name, value in values.items())
    done = CliRunner().invoke(run, [*words, f"--params={parameters}"])
    assert done.exit_code == 0, done.output
    assert len(caplog.text.splitlines()) <= 60
