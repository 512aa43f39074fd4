import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.elsewhere import ElsewhereDataset

ENTRY = {"below": "08_reporting/results.parquet", "dataset": {"type": "ibis.FileDataset"}}


def entry_of(tmp_path, *names):
    return ElsewhereDataset(storages={name: str(tmp_path / name) for name in names}, **ENTRY)


def test_each_storage_has_its_own(tmp_path):
    for name, value in {"native": 1, "both": 2}.items():
        folder = tmp_path / name / "08_reporting"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"value": [value]}), folder / "results.parquet")
    found = entry_of(tmp_path, "native", "both").load()
    assert {name: table.to_pyarrow()["value"].to_pylist() for name, table in found.items()} == {
        "native": [1],
        "both": [2],
    }
    assert entry_of(tmp_path, "native").exists()


def test_no_other_run_is_none(tmp_path):
    for storages in ({}, None):
        assert ElsewhereDataset(storages=storages, **ENTRY).load() == {}


def test_other_runs_are_only_read(tmp_path):
    entry = entry_of(tmp_path, "native")
    assert not entry.exists()
    with pytest.raises(DatasetError, match="only read"):
        entry.save({})
