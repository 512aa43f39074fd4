import os

import click
import pytest
from click.testing import CliRunner

from clm_ler.command_options import PROJECT_OPTIONS, RUN_OPTIONS, GivenOnce


def read(*arguments, options=RUN_OPTIONS):
    """What a command with these options is given, or what it answers."""
    given = {}
    command = GivenOnce("command", callback=lambda **found: given.update(found), params=options)
    result = CliRunner().invoke(command, arguments)
    return given if result.exit_code == 0 else result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--params=storage=a", "--params=seed=3"),
        ("--params", "storage=a", "--params=seed=3"),
        ("--pipelines=split", "--pipelines=vocab"),
        ("--env=mine", "-e", "omop"),
    ],
)
def test_an_option_of_which_one_value_would_be_lost_is_refused(arguments):
    option = arguments[0].partition("=")[0]
    assert f"{option} is given twice, and only the last one would count" in read(*arguments)


def test_each_option_once_is_taken():
    given = read("--params=storage=a,seed=3", "--pipelines=split,vocab")
    assert given["params"] == {"storage": "a", "seed": 3}
    assert given["pipelines"] == ["split", "vocab"]


def test_the_home_folder_is_known_at_any_depth_and_in_every_command():
    home = os.path.expanduser("~")
    values = "--params=storage=~/results,package.push_to=~/kits,report.title=~5"
    for options in (RUN_OPTIONS, PROJECT_OPTIONS):
        assert read(values, options=options)["params"] == {
            "storage": f"{home}/results",
            "package": {"push_to": f"{home}/kits"},
            "report": {"title": "~5"},
        }


def test_an_id_with_zeros_in_front_stays_as_it_is_written():
    given = read("--params=explain.person=0012,seed=0,vocab.min_count=10,split.test_ratio=0.25")
    assert given["params"] == {
        "explain": {"person": "0012"},
        "seed": 0,
        "vocab": {"min_count": 10},
        "split": {"test_ratio": 0.25},
    }


@pytest.mark.parametrize(
    ("given", "value"),
    [("/data/site=01", "/data/site=01"), ("-012", "-012"), ("0012 ,seed=1", "0012")],
)
def test_only_a_whole_value_is_a_number_with_zeros_in_front(given, value):
    assert read(f"--params=storage={given}")["params"]["storage"] == value


def test_the_options_of_kedro_are_not_changed():
    from kedro.framework.cli.project import run

    (params,) = (option for option in run.params if option.name == "params")
    context = click.Context(click.Command("run"))
    assert params.callback(context, params, "storage=~/x") == {"storage": "~/x"}
