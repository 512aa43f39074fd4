import errno
import logging
import signal
import subprocess
import sys
import warnings

import click
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, DatasetError
from kedro.validation.exceptions import ParameterValidationError
from kedro.validation.parameter_validator import ParameterValidator
from kedro_datasets.json import JSONDataset
from safetensors import SafetensorError

from clm_ler import cli
from clm_ler.engines.errors import EngineError
from clm_ler.files.locks import LockedFolderError
from clm_ler.pipeline_registry import CHAIN
from clm_ler.tables.tasks.definition import Tasks
from tests.end_to_end.conftest import ROOT


@pytest.fixture
def run(monkeypatch):
    """`kedro run` where the run itself raises what the test says."""

    def run(error, *arguments):
        def fail(**options):
            raise error

        command = cli.ClearRun("run", callback=fail, params=cli.run.params)
        return CliRunner().invoke(command, arguments)

    return run


def test_an_error_of_ours_is_its_message_and_exit_code_1(run):
    with pytest.raises(ValueError) as raised:
        from clm_ler.engines import engine

        engine("abacus")
    result = run(raised.value)
    assert result.exit_code == 1
    assert result.output.splitlines()[0] == (
        "Error: engine must be 'duckdb' or 'pyspark', not 'abacus'"
    )
    assert "Traceback" not in result.output


def test_what_is_wrong_with_a_parameter_is_a_line(run):
    with pytest.raises(ParameterValidationError) as raised:
        ParameterValidator({})._apply_validation(
            {"task": [{"name": "mine", "horizon": 3}]}, {"task": Tasks | None}
        )
    line = run(raised.value).output.splitlines()[0]
    assert line.startswith("Error: Parameter 'task': task mine: horizon: Extra inputs are not perm")


def test_what_libraries_say_of_a_run_is_there_for_who_asks():
    theirs = {
        "kedro.runner.sequential_runner": logging.WARNING,
        "kedro.pipeline.node": logging.ERROR,
        "transformers.trainer_utils": logging.WARNING,
    }
    for verbose in (True, False):
        cli.choose_lines(verbose)
        shown = {logging.getLogger(name).isEnabledFor(level) for name, level in theirs.items()}
        assert shown == {verbose}


def test_the_traceback_can_be_had(run):
    error = DatasetError("broken")
    assert run(error, "--traceback").exception is error


def test_a_bug_keeps_its_traceback(run):
    assert isinstance(run(KeyError("name")).exception, KeyError)
    with pytest.raises(ValueError) as raised:
        int("raised elsewhere than in the package")
    assert cli.explanation(raised.value) is None


def test_the_first_message_of_ours_counts_and_the_datasets_name_stays():
    outer = DatasetError("patient: it was never written.")
    outer.__cause__ = DatasetError("it was never written.")
    assert cli.explanation(outer) == "patient: it was never written."
    outer = DatasetError("Failed while saving data to dataset X(\n a, b).\nno column")
    outer.__cause__ = DatasetError("no column")
    assert cli.explanation(outer) == "no column"


@pytest.mark.parametrize("damage", [b'{"loss": 1', b"\xff\xfe"])
def test_a_file_that_was_cut_is_named_with_its_dataset(damage, tmp_path):
    file = tmp_path / "metrics.json"
    file.write_bytes(damage)
    with pytest.raises(DatasetError) as raised:
        DataCatalog({"metrics": JSONDataset(filepath=str(file))}).load("metrics")
    assert cli.explanation(raised.value).startswith(f"metrics: {file} is cut or damaged:")


def test_a_pipeline_that_is_not_there_is_named():
    text = "An error occurred while importing the 'clm_ler.pipelines.{}' module."
    assert cli.explanation(ImportError(text.format("pretrain"))) is None
    error = ImportError(text.format("pretrian"))
    assert "no pipeline 'pretrian'" in cli.explanation(error)


def test_warnings_of_libraries_are_details(caplog, capfd):
    logging.captureWarnings(False)  # whatever a test before has left
    try:
        for verbose in (False, True):
            cli.choose_lines(verbose)
            with warnings.catch_warnings():
                warnings.simplefilter("always")  # as where a thread has undone another's filter
                warnings.warn("an old name", DeprecationWarning, stacklevel=1)
            assert ("an old name" in caplog.text) is verbose
        assert "an old name" not in capfd.readouterr().err
    finally:
        cli.choose_lines(False)
        logging.captureWarnings(False)


def test_the_run_command_takes_everything_that_kedros_takes():
    names = {option.name for option in cli.run.params}
    assert {option.name for option in cli.kedro_run.params} | {"traceback", "verbose"} == names
    assert isinstance(cli.cli, click.Group)


def named(env=None, params=None, **options):
    """What the run command makes of its options."""
    given = dict.fromkeys(("pipeline", "conf_source"))
    given |= {"env": env, "params": params or {}, "pipelines": []}
    given |= {"node_names": [], "from_nodes": [], "to_nodes": []} | options
    cli.complete(given)
    return given


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)
    bootstrap_project(ROOT)


def test_a_plain_run_is_the_chain_of_its_environment():
    assert named()["pipelines"] == list(CHAIN)
    assert named("spark")["pipelines"] == list(CHAIN)
    assert named("omop")["pipelines"] == ["split", "preprocess", "vocab", "pretrain"]
    assert named("omop", pipelines=["split"])["pipelines"] == ["split"]


def test_of_several_chains_the_first_is_the_default():
    assert named("ehrshot")["pipelines"] == ["ehrshot_read", "umls_mapping", "ehrshot_eval"]
    assert named("ehrshot", {"chain": "native"})["pipelines"][1] == "ehrshot_native"


def test_with_a_kit_it_is_used():
    assert named("omop", {"kit": "DIR"})["pipelines"] == ["site"]
    assert named("fhir", {"kit": "DIR"})["pipelines"] == ["fhir_read", "site"]


def test_an_unknown_chain_is_refused():
    with pytest.raises(ValueError, match="one of translated, native, not 'nativ'"):
        named("ehrshot", {"chain": "nativ"})


def test_nodes_need_no_namespace():
    full = ["a.one", "a.b.two", "three"]
    assert cli._with_namespace("one", full) == ["a.one"]
    assert cli._with_namespace("a.one", full) == ["a.one"]
    assert cli._with_namespace("two", full) == ["a.b.two"]
    assert cli._with_namespace("four", full) == ["four"]


def test_names_of_nodes_are_completed_in_the_pipelines_that_run():
    options = named(pipelines=["vocab"], from_nodes=["build_tokenizer"], to_nodes=["nonsense"])
    assert options["from_nodes"][0].rpartition(".")[2] == "build_tokenizer"
    assert options["to_nodes"] == ["nonsense"]


def interrupted():
    error = DatasetError("Failed while loading")
    error.__cause__ = RuntimeError("Query interrupted")
    error.__cause__.__cause__ = KeyboardInterrupt()
    return error


def hidden():
    """What Kedro's loader makes of any KeyError, here of one from OmegaConf's tidying up after Ctrl-C."""
    error = ValueError("Merging strategy soft not supported.")
    error.__context__, error.__suppress_context__ = KeyError("x"), True
    error.__context__.__context__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), interrupted(), hidden()])
def test_an_interrupted_run_says_that_it_goes_on(run, error):
    result = run(error)
    assert result.exit_code == 130
    assert result.output == "Interrupted: the same command goes on from here.\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "There is no room left on the disk"),
        (OSError(errno.EROFS, "Read-only", "/data/x"), "is read-only: .* (/data/x)"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (OSError(errno.EIO, "Input/output error", "/data/x"), "cannot be read or written there"),
        (EngineError("IO Error: Could not write file x: No space left"), "no room left"),
        (SafetensorError("I/O error: File too large (os error 27)"), "see ulimit -f"),
    ],
)
def test_a_machine_at_its_limits_is_one_line(run, error, said):
    failed = DatasetError("Failed while saving data to dataset X(...).\nlong")
    failed.__cause__ = error
    result = run(failed)
    assert result.exit_code == 1
    assert said.split(".*")[0] in result.output.splitlines()[0]
    assert len(result.output.splitlines()) == 2  # the other says where more is


def test_a_storage_in_use_has_an_exit_code_of_its_own(run):
    assert run(LockedFolderError("data is in use since noon")).exit_code == cli.IN_USE


@pytest.mark.parametrize("arguments", [[], ["--pipelines=pretrain,finetune"]])
def test_torchrun_is_for_pretraining_alone(run, arguments, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    said = run(AssertionError("it ran"), *arguments).output
    assert said.startswith("Error: torchrun is for --pipelines=pretrain: run all others without it")


@pytest.mark.parametrize("runner", ["ParallelRunner", "Nobody"])
def test_a_runner_that_cannot_run_is_a_line(run, runner):
    said = run(AssertionError("it ran"), f"--runner={runner}").output
    assert said.startswith(
        f"Error: --runner must be SequentialRunner or ThreadRunner, not {runner}"
    )


NATIVE = """
import ctypes
from clm_ler import cli

def sleep(**options):
    print("begun", flush=True)
    libc = ctypes.CDLL(None)
    while True:  # other threads run meanwhile, as beside LightGBM; no KeyboardInterrupt is raised
        libc.poll(None, 0, 100_000)

command = cli.ClearRun("run", callback=sleep, params=cli.run.params)
command.main(["--pipelines=split"])
"""


@pytest.mark.slow
def test_ctrl_c_ends_a_run_in_the_midst_of_native_code():
    process = subprocess.Popen(
        [sys.executable, "-c", NATIVE], stdout=-1, stderr=-1, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _out, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == "Interrupted: the same command goes on from here."
