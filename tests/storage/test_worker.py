"""What another process says of a bucket that it gives up on."""

import importlib
import sys
import zipfile
from zipimport import zipimporter

import pytest

from clm_ler.storage.worker import BucketError, Part, Query, collect, do_apart


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT CAST(text AS INT) FROM rows", "bucket 3: ConversionException"),
        ("FROM read_parquet('gone.parquet')", r"bucket 3: IOException .*gone\.parquet"),
        ("SELECT absent FROM rows", "bucket 3: BinderException .*absent"),
    ],
)
def test_an_error_is_one_line_without_values(sql, said):
    part = Part(3, {"rows": "SELECT 'CANARY' AS text"})
    with pytest.raises(BucketError, match=f"^{said}") as raised:
        do_apart([Query(sql, [], {})], {}, None, collect, part)
    assert "CANARY" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_store_that_refuses_is_told():
    def refused(_connection, _sql, _part):
        raise PermissionError("Access Denied")

    with pytest.raises(BucketError, match=r"^bucket 0: PermissionError Access Denied$"):
        do_apart([Query("SELECT 1", [], {})], {}, None, refused, Part(0, {}))


def test_a_task_leaves_no_finder_of_a_zip_file_and_more_may_be_imported_from_it(
    tmp_path, monkeypatch
):
    with zipfile.ZipFile(tmp_path / "shipped.zip", "w") as file:
        for name in ("shipped_once", "shipped_later"):
            file.writestr(f"{name}.py", "")
    monkeypatch.syspath_prepend(tmp_path / "shipped.zip")
    importlib.import_module("shipped_once")
    assert str(tmp_path / "shipped.zip") in sys.path_importer_cache
    do_apart([Query("SELECT 1", [], {})], {}, None, collect, Part(0, {}))
    assert not any(isinstance(one, zipimporter) for one in sys.path_importer_cache.values())
    importlib.import_module("shipped_later")
