import click
import pytest
from click.testing import CliRunner
from kedro.io import DatasetError

from clm_ler import cli


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


def test_a_pipeline_that_is_not_there_is_named():
    text = "An error occurred while importing the 'clm_ler.pipelines.{}' module."
    assert cli.explanation(ImportError(text.format("pretrain"))) is None
    error = ImportError(text.format("pretrian"))
    assert "no pipeline 'pretrian'" in cli.explanation(error)


def test_the_run_command_takes_everything_that_kedros_takes():
    names = {option.name for option in cli.run.params}
    assert {option.name for option in cli.kedro_run.params} | {"traceback"} == names
    assert isinstance(cli.cli, click.Group)
