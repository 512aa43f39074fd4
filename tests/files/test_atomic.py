import os
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from clm_ler.files.atomic import (
    COMPLETE,
    read_json,
    replace_folder,
    replacing,
    sweep,
    write_bytes,
    write_json,
    writing,
)


@pytest.fixture(params=["file", "memory"])
def place(request, tmp_path):
    """A file system that renames and one that is an object store, and a folder there."""
    if request.param == "file":
        yield LocalFileSystem(), str(tmp_path)
        return
    filesystem = MemoryFileSystem()
    filesystem.store.clear()
    yield filesystem, "/bucket"
    filesystem.store.clear()


def content(filesystem, folder):
    """The bytes of all files below a folder, hidden ones too, by name."""
    files = filesystem.find(folder) if filesystem.exists(folder) else []
    return {file.removeprefix(f"{folder}/"): filesystem.cat_file(file) for file in files}


def fill(filesystem, folder, number):
    filesystem.makedirs(folder)
    for name in ("a", "b", COMPLETE):
        filesystem.pipe_file(f"{folder}/{name}{'' if name == COMPLETE else number}", b"%d" % number)


def test_a_file_is_replaced(place):
    filesystem, folder = place
    for text in (b"first", b"second"):
        with writing(filesystem, f"{folder}/deep/file") as stream:
            stream.write(text)
        assert content(filesystem, folder) == {"deep/file": text}


def test_a_folder_is_replaced_and_nothing_of_the_old_one_is_left(place):
    filesystem, folder = place
    for number in (1, 2):
        with replacing(filesystem, f"{folder}/table") as aside:
            fill(filesystem, aside, number)
    expected = {f"table/{name}": b"2" for name in ("a2", "b2", COMPLETE)}
    assert content(filesystem, folder) == expected


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_fails_in_the_middle_leaves_the_old_content_and_nothing_else(place, error):
    filesystem, folder = place
    with replacing(filesystem, f"{folder}/table") as aside:
        fill(filesystem, aside, 1)
    write_bytes(filesystem, f"{folder}/file", b"old")
    before = content(filesystem, folder)
    with pytest.raises(error), replacing(filesystem, f"{folder}/table") as aside:
        fill(filesystem, aside, 2)
        raise error
    with pytest.raises(error), writing(filesystem, f"{folder}/file") as stream:
        stream.write(b"half")
        raise error
    assert content(filesystem, folder) == before


def test_what_a_killed_writer_left_is_replaced_by_the_next_one(place):
    filesystem, folder = place
    killed = replacing(filesystem, f"{folder}/table")
    aside = killed.__enter__()
    fill(filesystem, aside, 1)
    assert not filesystem.exists(f"{folder}/table")
    with replacing(filesystem, f"{folder}/table") as aside:
        fill(filesystem, aside, 2)
    assert {name.partition("/")[0] for name in content(filesystem, folder)} == {"table"}


def test_a_folder_in_an_object_store_counts_only_while_it_is_whole(monkeypatch):
    filesystem, moved = MemoryFileSystem(), []
    filesystem.store.clear()
    for number in (1, 2):
        with replacing(filesystem, "/bucket/table") as aside:
            fill(filesystem, aside, number)
            move = filesystem.mv

            def look_and_move(source, target, move=move):
                moved.append((target, filesystem.exists(f"/bucket/table/{COMPLETE}")))
                move(source, target)

            monkeypatch.setattr(filesystem, "mv", look_and_move)
        monkeypatch.undo()
    assert [whole for _target, whole in moved] == [False] * 6
    assert [target.rpartition("/")[2] for target, _whole in moved[3:]] == ["a2", "b2", COMPLETE]
    filesystem.store.clear()


def test_a_folder_that_cannot_be_put_in_place_is_there_as_before(tmp_path, monkeypatch):
    target = tmp_path / "model"
    replace_folder(target, lambda folder: (folder / "weights").write_text("old"))
    rename = Path.rename

    def refuse(path, to):
        if path.name.endswith(".part"):
            raise OSError("no room")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no room"):
        replace_folder(target, lambda folder: (folder / "weights").write_text("new"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (target / "weights").read_text() == "old"


def test_a_path_without_a_folder_is_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_json(Path("numbers.json"), {"one": 1})
    assert read_json(Path("numbers.json")) == {"one": 1}
    assert os.listdir() == ["numbers.json"]


def test_a_json_file_that_is_not_there_is_none(tmp_path):
    assert read_json(tmp_path / "none.json") is None


def test_an_object_of_a_store_is_uploaded_once(monkeypatch):
    filesystem = fsspec.filesystem("memory")
    moves = []
    monkeypatch.setattr(filesystem, "mv", lambda *paths: moves.append(paths))
    write_bytes(filesystem, "/bucket/manifest", b"{}")
    assert filesystem.cat_file("/bucket/manifest") == b"{}"
    assert moves == []
    filesystem.store.clear()


def test_what_killed_writers_left_is_swept(tmp_path):
    (tmp_path / "deep" / ".table.part").mkdir(parents=True)
    (tmp_path / "deep" / ".table.part" / "a").touch()
    (tmp_path / ".numbers.json.part").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / ".model.old").mkdir()
    (tmp_path / ".other.old").mkdir()  # killed between two renames: it is the only one there is
    (tmp_path / ".other.old" / "weights").write_text("whole")
    (tmp_path / ".lock").touch()
    assert len(sweep(tmp_path)) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "deep", "model", "other"]
    assert (tmp_path / "other" / "weights").read_text() == "whole"
    assert not list((tmp_path / "deep").iterdir())
    assert sweep(tmp_path) == []


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    fsync, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("sync"), fsync(handle)))
    monkeypatch.setattr(Path, "rename", lambda path, to: (done.append("name"), rename(path, to)))
    write_json(tmp_path / "numbers.json", {"one": 1})
    assert done == ["sync", "name", "sync"]  # the file, its name, the folder
    done.clear()
    replace_folder(tmp_path / "model", lambda folder: (folder / "weights").touch())
    assert done == ["sync", "sync", "name", "sync"]
