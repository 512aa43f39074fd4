"""A kit is used as it was packaged, or not at all."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clm_ler.files import kit as kits
from clm_ler.files.kit import Kit, Part, check_kit
from clm_ler.files.model_folder import UnfitModelError, check_folder, sha256_of

UNITS = pa.table({"unit": ["mg/dL"]})


class Model:
    def save_pretrained(self, folder):
        folder.mkdir()
        (folder / "config.txt").write_text("a model")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    parts = {
        "06_models/finetuned_model": Part(Model(), "weights", 900),
        "04_feature/units.parquet": Part(UNITS, "units", 12),
        "task.json": Part({"name": "t"}, "the task"),
        "README.md": Part("# A card", "the card"),
    }
    folder = tmp_path_factory.mktemp("packed") / "kit"
    folder.mkdir()
    Kit(parts, {"min_persons": 10}).save_pretrained(folder)
    return folder


@pytest.fixture
def kit(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "kit")


def test_the_inventory_lists_every_file_with_its_digest_and_its_persons(kit):
    inventory = Kit.from_pretrained(kit)
    rows = {row["file"]: row for row in inventory["files"]}
    assert rows.keys() == {
        "06_models/finetuned_model/config.txt",
        "06_models/finetuned_model/SHA256SUMS",
        "04_feature/units.parquet",
        "task.json",
        "README.md",
    }
    for name, row in rows.items():
        assert row["sha256"] == sha256_of(kit / name)
        assert row["bytes"] == (kit / name).stat().st_size
    assert rows["04_feature/units.parquet"]["persons"] == 12
    assert inventory["min_persons"] == 10
    assert "no file" in inventory["statement"].lower()
    assert pq.read_table(kit / "04_feature/units.parquet").equals(UNITS)
    check_folder(kit / "06_models" / "finetuned_model")


def change(kit):
    (kit / "task.json").write_text('{"name": "other"}')


def remove(kit):
    (kit / "README.md").unlink()


def add(kit):
    (kit / "04_feature" / "code_translations.parquet").write_bytes(b"")


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (change, "task.json has another SHA-256"),
        (remove, "README.md is missing"),
        (add, "code_translations.parquet is not listed"),
    ],
)
def test_a_file_that_is_another_missing_or_new_is_named(kit, happens, told):
    happens(kit)
    with pytest.raises(UnfitModelError, match=told):
        check_kit(str(kit))


def test_a_later_format_says_what_to_install(kit):
    inventory = json.loads((kit / "kit.json").read_text())
    later = inventory | {"format": kits.FORMAT + 1, "clm_ler": "9.1"}
    (kit / "kit.json").write_text(json.dumps(later))
    with pytest.raises(
        UnfitModelError, match=r"format 2, made by clm-ler 9\.1.*install a later one"
    ):
        check_kit(str(kit))


@pytest.mark.parametrize("content", [None, "no json", "[]", "{}", '{"format": 1, "files": [1]}'])
def test_another_folder_is_no_kit(tmp_path, content):
    if content is not None:
        (tmp_path / "kit.json").write_text(content)
    with pytest.raises(UnfitModelError, match="is no kit"):
        check_kit(str(tmp_path))


def test_a_kit_in_a_bucket_is_to_be_copied():
    with pytest.raises(UnfitModelError, match="copy the kit to a local folder"):
        check_kit("s3://bucket/kit")
