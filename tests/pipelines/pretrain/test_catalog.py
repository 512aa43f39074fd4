"""The catalog entries of training, from the project's own configuration."""

from pathlib import Path
from typing import Any

import pytest
from kedro.io import AbstractDataset

from clm_ler.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

pytestmark = pytest.mark.slow  # it starts Kedro sessions

CONF = Path(__file__).parents[3] / "conf"


def entry(name: str, **runtime_params: Any) -> Any:
    arguments = CONFIG_LOADER_ARGS | {"default_run_env": "base"}
    loader = CONFIG_LOADER_CLASS(str(CONF), runtime_params=runtime_params, **arguments)
    return AbstractDataset.from_config(name, loader["catalog"][name])


@pytest.mark.parametrize("name", ["pretrain_workspace", "finetune_workspace"])
def test_work_is_local_where_the_storage_is_not(name: str) -> None:
    folder = entry(name, storage="s3://bucket/site").load()
    assert folder.parts[:3] == ("data", "tmp", "work")
    assert folder != entry(name, storage="s3://bucket/other").load()


@pytest.mark.parametrize("pipeline", ["pretrain", "finetune"])
def test_checkpoints_lie_where_the_parameter_says(pipeline: str) -> None:
    given = {pipeline: {"checkpoints": "/mine"}}
    assert entry(f"{pipeline}_workspace", **given).load() == Path("/mine")


@pytest.mark.parametrize("name", ["parent_model", "parent_tokenizer"])
def test_there_is_no_parent_unless_one_is_named(name: str, tmp_path: Path) -> None:
    assert entry(name).load() is None
    named = entry(name, pretrain={"input_model": str(tmp_path / "nowhere")})
    with pytest.raises(Exception, match="nowhere"):
        named.load()


def test_what_lives_during_a_run_is_stored_where_asked(tmp_path: Path) -> None:
    for name in ("trained_classifier", "trained_model", "training_speed"):
        assert type(entry(name)).__name__ == "PassedOnDataset"
        kept = entry(name, keep_intermediate=True, storage=str(tmp_path))
        assert not kept.exists()
    kept.save({"steps": 1})
    assert kept.load() == {"steps": 1}
