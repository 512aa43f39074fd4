import pytest

from clm_ler.config import ParameterLoader


@pytest.fixture
def load(tmp_path):
    for name, text in {
        "base/parameters.yml": "pretrain: {epochs: 5, size: 8}\nseed: 1\n",
        "mine/parameters.yml": "split:\n  salt: ${runtime_params:salt, none}\nseed: 2\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def load(env, **runtime_params):
        loader = ParameterLoader(
            str(tmp_path),
            env=env,
            base_env="base",
            default_run_env="mine",
            runtime_params=runtime_params,
        )
        return loader["parameters"]

    return load


@pytest.mark.parametrize("env", ["base", "mine"])
def test_a_command_line_value_changes_that_value_only(load, env):
    assert load(env, pretrain={"epochs": 1})["pretrain"] == {"epochs": 1, "size": 8}


def test_the_command_line_wins_over_the_environment_and_that_over_the_base(load):
    assert load("mine")["seed"] == 2
    assert load("mine", seed=3)["seed"] == 3


def test_values_may_refer_to_the_command_line(load):
    assert load("mine", salt="s")["split"] == {"salt": "s"}
    assert load("mine")["split"] == {"salt": "none"}


def test_what_entries_share_follows_the_command_line(tmp_path):
    for name, text in {
        "base/globals.yml": "storage: data\n",
        "base/catalog.yml": "_storage: ${runtime_params:storage, ${globals:storage}}\n",
        "base/catalog_mine.yml": "_folder: ${_storage}/mine\nrows: {type: T, filepath: '${_folder}/r'}\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    def load(**runtime_params):
        return ParameterLoader(
            str(tmp_path), base_env="base", default_run_env="base", runtime_params=runtime_params
        )

    assert load()["catalog"] == {"rows": {"type": "T", "filepath": "data/mine/r"}}
    loader = load(storage="s3://mine", other=1)
    assert loader["catalog"]["rows"]["filepath"] == "s3://mine/mine/r"
    assert loader.unread() == ["other"]
