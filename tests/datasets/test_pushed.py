from pathlib import Path

import huggingface_hub
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.pushed import PushedDataset
from clm_ler.pipelines.package.options import PackageOptions


class Note:
    """Something with ``save_pretrained`` and ``from_pretrained``."""

    def __init__(self, text):
        self.text = text

    def save_pretrained(self, folder):
        Path(folder).mkdir(exist_ok=True)
        Path(folder, "README.md").write_text(self.text)


class Hub:
    """What the Hub was asked for."""

    asked: list = []

    def create_repo(self, repository, **options):
        self.asked.append((repository, options))

    def upload_folder(self, repo_id, folder_path, **options):
        self.asked.append((repo_id, Path(folder_path, "README.md").read_text()))


def entry(tmp_path, push_to):
    place = str(tmp_path / "kit")
    return PushedDataset(filepath=place, loader=f"{__name__}.Note", push_to=push_to)


def test_nothing_is_pushed_unless_asked_for(tmp_path):
    assert PackageOptions().push_to is None
    entry(tmp_path, None).save(Note("one"))
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]


def test_a_folder_is_replaced_by_the_same_files(tmp_path):
    there = tmp_path / "shared" / "kit"
    entry(tmp_path, str(there)).save(Note("none"))
    (there / "old").touch()
    entry(tmp_path, str(there)).save(Note("one"))
    files = {path.name: path.read_text() for path in there.iterdir()}
    assert files == {path.name: path.read_text() for path in (tmp_path / "kit").iterdir()}
    assert files["README.md"] == "one"


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    entry(tmp_path, str(shared / "kit")).save(Note("one"))
    with pytest.raises(DatasetError, match="has other files, and would be replaced: name a folder"):
        entry(tmp_path, str(shared)).save(Note("one"))
    assert [path.name for path in shared.iterdir()] == ["kit"]


def test_the_hub_gets_a_private_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    entry(tmp_path, "hf://somebody/kit").save(Note("one"))
    created, uploaded = Hub.asked
    assert created == ("somebody/kit", {"private": True, "exist_ok": True})
    assert uploaded == ("somebody/kit", "one")


def test_what_the_hub_refuses_is_one_line_and_the_kit_is_there(tmp_path, monkeypatch):
    def refuse(self, repository, **options):
        raise OSError("no token\nmore")

    monkeypatch.setattr(Hub, "create_repo", refuse)
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    with pytest.raises(DatasetError, match="did not take the folder as a/b: no token"):
        entry(tmp_path, "hf://a/b").save(Note("one"))
    assert (tmp_path / "kit" / "README.md").exists()
