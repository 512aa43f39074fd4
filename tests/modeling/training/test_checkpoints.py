from pathlib import Path

import pyarrow as pa
import pytest

from clm_ler.modeling.training.checkpoints import (
    COMPLETE,
    INITIAL,
    RESULT,
    ChangedRunError,
    describe_data,
    differences,
    is_finished,
    last_checkpoint,
    open_run,
)
from tests.modeling.records import records

RUN = {"data": {"tokens": 10, "sha256": "a"}, "seed": 1}


def checkpoint(directory: Path, step: int, complete: bool = True) -> Path:
    path = directory / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").touch()
    if complete:
        (path / COMPLETE).touch()
    return path


def test_a_checkpoint_that_was_not_written_to_its_end_is_not_gone_on_from(tmp_path: Path) -> None:
    open_run(tmp_path, RUN, overwrite=False)
    whole, half = checkpoint(tmp_path, 20), checkpoint(tmp_path, 100, complete=False)
    assert last_checkpoint(tmp_path) == str(whole)
    open_run(tmp_path, RUN, overwrite=False)
    assert whole.exists() and not half.exists()


def test_the_newest_checkpoint_is_that_of_the_highest_step(tmp_path: Path) -> None:
    checkpoint(tmp_path, 100), checkpoint(tmp_path, 20)
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")
    assert last_checkpoint(tmp_path / "nowhere") is None


def test_another_run_is_refused_and_named(tmp_path: Path) -> None:
    open_run(tmp_path, RUN, overwrite=False)
    checkpoint(tmp_path, 20)
    changed = {"data": {"tokens": 12, "sha256": "a"}, "seed": 1}
    with pytest.raises(ChangedRunError, match=r"^data\.tokens: 10 -> 12$"):
        open_run(tmp_path, changed, overwrite=False)
    assert last_checkpoint(tmp_path) is not None
    open_run(tmp_path, changed, overwrite=True)
    assert last_checkpoint(tmp_path) is None


def test_a_run_that_got_nowhere_is_in_nobodys_way(tmp_path: Path) -> None:
    open_run(tmp_path, RUN, overwrite=False)
    (tmp_path / INITIAL).mkdir()
    open_run(tmp_path, {**RUN, "seed": 2}, overwrite=False)
    assert not (tmp_path / INITIAL).exists()


def test_overwrite_gives_up_a_finished_run_but_goes_on_with_a_begun_one(tmp_path: Path) -> None:
    open_run(tmp_path, RUN, overwrite=True)
    checkpoint(tmp_path, 20)
    open_run(tmp_path, RUN, overwrite=True)
    assert last_checkpoint(tmp_path) is not None
    (tmp_path / RESULT).mkdir()
    open_run(tmp_path, RUN, overwrite=False)
    assert is_finished(tmp_path)
    open_run(tmp_path, RUN, overwrite=True)
    assert not is_finished(tmp_path) and last_checkpoint(tmp_path) is None


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    checkpoint(tmp_path, 20)
    open_run(tmp_path, RUN, overwrite=True)
    assert (tmp_path / "notes.txt").exists()


def test_differences_are_named_leaf_by_leaf() -> None:
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}) == [
        "a.c: 2 -> 3",
        "d: None -> 4",
    ]


def test_content_is_what_is_described_not_its_chunks() -> None:
    table = records(20)
    described = describe_data(table)
    assert described["persons"] == {"train": 12, "valid": 4, "test": 4}
    assert describe_data(pa.concat_tables([table.slice(0, 7), table.slice(7)])) == described
    for name in table.column_names:
        other = records(20, seed=1)[name]
        if name == "split":
            other = table[name].take(list(range(19, -1, -1)))
        if name == "person_id":
            other = pa.chunked_array([pa.array(range(1, 21), pa.int64())])
        changed = table.set_column(table.column_names.index(name), name, other)
        assert describe_data(changed)["digest"] != described["digest"], name
