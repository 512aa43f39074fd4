import pytest

from clm_ler.files import fingerprints
from clm_ler.files.fingerprints import fingerprint


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "table"
    (folder / "bucket=0").mkdir(parents=True)
    (folder / "bucket=0" / "a.parquet").write_bytes(b"rows")
    (folder / "_manifest.json").write_text("{}")
    return folder


def test_nothing_has_none(tmp_path):
    assert fingerprint(str(tmp_path / "absent")) is None


def test_the_same_content_elsewhere_is_the_same(folder, tmp_path):
    found = fingerprint(str(folder))
    assert (found["files"], found["bytes"]) == (2, 6)
    (tmp_path / "elsewhere").mkdir()
    moved = folder.rename(tmp_path / "elsewhere" / "table")
    assert fingerprint(f"file://{moved}") == found


def test_names_sizes_and_small_contents_count(folder, monkeypatch):
    file = folder / "bucket=0" / "a.parquet"
    seen = {fingerprint(str(folder))["digest"]}
    for content in (b"wors", b"rows and more"):
        file.write_bytes(content)
        seen.add(fingerprint(str(folder))["digest"])
    file.rename(folder / "bucket=0" / "b.parquet")
    seen.add(fingerprint(str(folder))["digest"])
    assert len(seen) == 4


def test_a_large_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "SMALL", 3)
    (tmp_path / "a").write_bytes(b"rows")
    before = fingerprint(str(tmp_path / "a"))
    (tmp_path / "a").write_bytes(b"wors")
    assert fingerprint(str(tmp_path / "a")) == before
