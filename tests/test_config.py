import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from omegaconf.errors import InterpolationResolutionError

from clm_ler.config import ConfigLoader, among

FILES = {
    "base/globals.yml": "storage: data\n",
    "base/parameters.yml": "pretrain: {epochs: 5, size: 8, checkpoints: null}\nseed: 1\n",
    "base/parameters_finetune.yml": """
        finetune:
          labels: {task: task, positive_class_criteria: label}
          method: full
          tuneable_parameters: {learning_rate: [1, 2], dropout: [0]}
        """,
    "base/catalog.yml": "_storage: ${runtime_params:storage, ${globals:storage}}\n",
    "base/catalog_mine.yml": """
        _folder: ${_storage}/mine
        rows: {type: T, filepath: '${_folder}/r'}
        work: {type: T, filepath: '${param:pretrain.checkpoints, ${_storage}/work}'}
        """,
    "mine/parameters.yml": "split:\n  salt: ${runtime_params:salt, none}\nseed: 2\n",
    "labels/parameters.yml": "finetune: {labels: {task: outcome}}\n",
    "grid/parameters_a.yml": "finetune: {tuneable_parameters: {size: ['${runtime_params:size, 1}']}}\n",
    "grid/parameters_b.yml": "finetune: {method: frozen}\n",
    "tasks/readmission.yml": "name: readmission\nindex: {visits: [IP]}\n",
    "task/parameters.yml": "task: {name: own}\n",
    "spark/globals.yml": "storage: elsewhere\n",
    "spark/parameters.yml": "pretrain: {checkpoints: mine}\n",
}

Loader = Callable[..., ConfigLoader]


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def loader(conf: Path) -> Loader:
    def loader(env: str | None = None, conf: Path = conf, **runtime_params: object) -> ConfigLoader:
        return ConfigLoader(
            str(conf),
            env=env,
            base_env="base",
            default_run_env="base",
            runtime_params=runtime_params,
            merge_strategy={"parameters": "soft"},
        )

    return loader


def test_a_task_that_is_no_yaml_is_named_with_its_line(loader: Loader, conf: Path) -> None:
    (conf / "tasks/torn.yml").write_text("name: torn\nindex: {visits: [IP}\n")
    with pytest.raises(ValueError, match=r"^tasks/torn\.yml, line 2 is no YAML: [^\n]*$"):
        loader("base", task="torn")["parameters"]


@pytest.mark.parametrize("env", ["base", "mine", "spark"])
def test_a_command_line_value_changes_that_value_only(loader: Loader, env: str) -> None:
    before = loader(env)["parameters"]
    after = loader(env, pretrain={"epochs": 1})["parameters"]
    assert after == before | {"pretrain": before["pretrain"] | {"epochs": 1}}


def test_the_command_line_wins_over_the_environment_and_that_over_the_base(loader: Loader) -> None:
    assert loader("mine")["parameters"]["seed"] == 2
    assert loader("mine", seed=3)["parameters"]["seed"] == 3


def test_values_may_refer_to_the_command_line(loader: Loader) -> None:
    assert loader("mine", salt="s")["parameters"]["split"] == {"salt": "s"}
    assert loader("mine")["parameters"]["split"] == {"salt": "none"}


def test_an_environment_need_not_repeat_the_parameters_that_it_leaves_alone(
    loader: Loader,
) -> None:
    finetune = loader("labels")["parameters"]["finetune"]
    assert finetune["labels"] == {"task": "outcome", "positive_class_criteria": "label"}
    assert finetune["method"] == "full"


def test_a_block_that_is_a_choice_is_replaced_whole(loader: Loader) -> None:
    finetune = loader("grid")["parameters"]["finetune"]
    assert finetune["tuneable_parameters"] == {"size": [1]}
    assert finetune["method"] == "frozen"
    assert finetune["labels"]["task"] == "task"


def test_the_command_line_adds_to_a_block_that_is_replaced_whole(loader: Loader) -> None:
    more = {"tuneable_parameters": {"dropout": [0.5]}}
    grid = loader("grid", finetune=more, size=3)["parameters"]["finetune"]["tuneable_parameters"]
    assert grid == {"size": [3], "dropout": [0.5]}
    base = loader(finetune=more)["parameters"]["finetune"]["tuneable_parameters"]
    assert base == {"learning_rate": [1, 2], "dropout": [0.5]}


def test_a_task_is_named_by_its_file_or_given_whole(loader: Loader) -> None:
    ready = loader(task="readmission")["parameters"]["task"]
    assert ready == {"name": "readmission", "index": {"visits": ["IP"]}}
    assert loader("task")["parameters"]["task"] == {"name": "own"}
    assert loader("task", task="readmission")["parameters"]["task"] == ready
    several = loader(task=["readmission", {"name": "own"}])["parameters"]["task"]
    assert several == [ready, {"name": "own"}]
    assert loader("task", task="readmission+readmission")["parameters"]["task"] == [ready, ready]
    for name in ("other", "../tasks/readmission", "*"):
        with pytest.raises(ValueError, match="There is no task"):
            loader(task=name)["parameters"]


def test_without_a_task_it_is_that_of_the_kit(loader: Loader, tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    kit.mkdir()
    assert loader(kit=str(kit))["parameters"].get("task") is None
    (kit / "task.json").write_text('{"name": "theirs"}')
    assert loader(kit=str(kit))["parameters"]["task"] == {"name": "theirs"}
    assert loader("task", kit=str(kit))["parameters"]["task"] == {"name": "own"}
    assert loader(task="readmission", kit=str(kit))["parameters"]["task"]["name"] == "readmission"
    (kit / "task.json").write_text("cut of")
    assert loader(kit=str(kit))["parameters"].get("task") is None


def test_what_entries_share_follows_the_command_line(loader: Loader) -> None:
    assert loader()["catalog"]["rows"]["filepath"] == "data/mine/r"
    assert loader(storage="s3://mine")["catalog"]["rows"]["filepath"] == "s3://mine/mine/r"


def test_an_entry_may_read_a_parameter(loader: Loader) -> None:
    assert loader()["catalog"]["work"]["filepath"] == "data/work"
    assert loader("spark")["catalog"]["work"]["filepath"] == "mine"
    given = {"checkpoints": "given"}
    assert loader("spark", pretrain=given)["catalog"]["work"]["filepath"] == "given"


def test_an_entry_that_reads_what_is_not_there_says_so(loader: Loader, conf: Path) -> None:
    (conf / "base/catalog_wrong.yml").write_text("wrong: {filepath: '${param:pretrain.nothing}'}")
    with pytest.raises(InterpolationResolutionError, match=r"pretrain\.nothing"):
        loader()["catalog"]


def test_two_loaders_do_not_see_each_others_values(loader: Loader) -> None:
    first, second = loader("spark"), loader("mine", storage="given")
    for _ in range(2):
        assert first["catalog"]["rows"]["filepath"] == "elsewhere/mine/r"
        assert first["catalog"]["work"]["filepath"] == "mine"
        assert second["catalog"]["rows"]["filepath"] == "given/mine/r"
        assert second["catalog"]["work"]["filepath"] == "given/work"


def test_nor_do_they_from_two_threads(loader: Loader) -> None:
    def read(storage: str) -> set[str]:
        return {loader(storage=storage)["catalog"]["work"]["filepath"] for _ in range(20)}

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(read, "ab")) == [{"a/work"}, {"b/work"}]


@pytest.mark.parametrize("packed", [False, True])
def test_what_nothing_reads_is_found(loader: Loader, conf: Path, packed: bool) -> None:
    if packed:
        with tarfile.open(conf / "conf.tar.gz", "w:gz") as archive:
            for name in ("base", "mine"):
                archive.add(conf / name, f"conf/{name}")
        conf = conf / "conf.tar.gz"
    read = {"storage": "a", "seed": 3, "pretrain": {"epochs": 1}}
    assert loader("mine", conf, salt="s", other=1, **read).unread() == ["other"]
    assert loader("base", conf, salt="s", **read).unread() == ["salt"]


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (
            "preprocess: {tables: {lab: [{select_expr: []}]}}",
            "tables.lab must be names with values, not a list",
        ),
        ("preprocess: {parents: {ICD10CM: 1}}", "parents must be a list, not names with values"),
    ],
)
def test_a_list_where_names_belong_is_told_with_its_place(
    loader: Loader, conf: Path, own: str, told: str
) -> None:
    (conf / "base/parameters.yml").write_text("preprocess: {tables: {lab: {a: 1}}, parents: [A]}")
    (conf / "mine/parameters.yml").write_text(own)
    with pytest.raises(ValueError, match=f"conf/mine: preprocess.{told}"):
        loader("mine")["parameters"]


def test_so_is_one_on_the_command_line(loader: Loader) -> None:
    with pytest.raises(ValueError, match=r"--params: finetune\.labels must be names with values"):
        loader(finetune={"labels": [1]})["parameters"]


def test_a_tab_is_told_with_its_file(loader: Loader, conf: Path) -> None:
    (conf / "base" / "parameters.yml").write_text("preprocess:\n\ttables: {}\n")
    with pytest.raises(ValueError, match=r"parameters\.yml, unable to read line .*A tab there"):
        loader()["parameters"]


def test_what_is_not_known_is_named_with_what_is():
    assert among("codes", "source", ["source", "standard"]) == "source"
    assert among("tables", ["a", "b"], ["a", "b", "c"]) == ["a", "b"]
    with pytest.raises(ValueError, match=r"^tables: there is no 'd', but a, b\.$"):
        among("tables", ["a", "d"], ["a", "b"])
