import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DataCatalog, DatasetError

from clm_ler.datasets.optional import OptionalDataset
from clm_ler.files.location import dataset_location

ROWS = pa.table({"person_id": [1, 2]})


def parquet(path):
    return {"type": "ibis.FileDataset", "filepath": str(path)}


def test_what_is_not_there_is_none_and_one_line_says_where(tmp_path, caplog):
    caplog.set_level(logging.DEBUG, "clm_ler")
    entry = OptionalDataset(dataset=parquet(tmp_path / "lab.parquet"))
    assert not entry.exists()
    assert entry.load() is None
    said = [record.getMessage() for record in caplog.records if record.name.startswith("clm_ler")]
    assert said == [f"There is nothing at {tmp_path}/lab.parquet: going on without."]


def test_what_is_there_is_what_the_wrapped_dataset_loads(tmp_path):
    pq.write_table(ROWS, tmp_path / "lab.parquet")
    for required in (False, True):
        entry = OptionalDataset(dataset=parquet(tmp_path / "lab.parquet"), required=required)
        assert entry.exists()
        assert entry.load().to_pyarrow() == ROWS


def test_what_is_required_and_not_there_is_named(tmp_path):
    entry = OptionalDataset(dataset=parquet(tmp_path / "lab.parquet"), required=True)
    with pytest.raises(DatasetError, match=r"nothing at .*/lab\.parquet"):
        entry.load()


def test_saving_goes_through(tmp_path):
    table = {
        "type": "clm_ler.datasets.chunked_table.ChunkedTableDataset",
        "filepath": str(tmp_path / "lab"),
    }
    entry = OptionalDataset(dataset=table)
    entry.save(ROWS)
    assert entry.load().to_pyarrow() == ROWS


def test_what_is_there_but_not_whole_is_an_error(tmp_path):
    table = "clm_ler.datasets.chunked_table.ChunkedTableDataset"
    (tmp_path / "lab").mkdir()
    entry = OptionalDataset(dataset={"type": table, "filepath": str(tmp_path / "lab")})
    with pytest.raises(DatasetError, match="never fully written"):
        entry.load()


def test_a_place_that_nobody_names_is_nowhere(caplog):
    caplog.set_level(logging.INFO)
    entry = OptionalDataset(dataset={"type": "ibis.FileDataset", "filepath": None}, required=True)
    assert entry.load() is None
    assert not entry.exists()
    assert dataset_location(entry) is None
    assert caplog.messages == []
    entry.release()
    with pytest.raises(DatasetError, match="No place is named"):
        entry.save(ROWS)


def test_hooks_find_where_it_lies_and_its_metadata(tmp_path):
    config = parquet(tmp_path / "lab.parquet")
    entry = OptionalDataset(dataset=config, metadata={"wandb": "dataset"})
    assert dataset_location(entry) == str(tmp_path / "lab.parquet")
    assert entry.metadata == {"wandb": "dataset"}
    assert OptionalDataset(dataset=config | {"metadata": {"a": 1}}).metadata == {"a": 1}
    assert "lab.parquet" in str(entry)


def test_credentials_reach_the_wrapped_dataset():
    entry = {
        "type": "clm_ler.datasets.optional.OptionalDataset",
        "dataset": {"type": "json.JSONDataset", "filepath": "memory://a", "credentials": "mine"},
    }
    catalog = DataCatalog.from_config({"entry": entry}, {"mine": {"use_listings_cache": False}})
    assert catalog["entry"].wrapped._fs.storage_options == {"use_listings_cache": False}
