"""A file of Kedro's own datasets is there as a whole or not at all."""

import ibis
import pandas as pd
import plotly.graph_objects as go
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.whole import CSVDataset, FigureDataset, JSONDataset, TableDataset
from clm_ler.engines.duckdb import DuckDB


class Unwritable:
    """Fails after a part of it is written."""

    def write_json(self, stream, **options):
        stream.write("half")
        raise OSError("no room")

    def to_csv(self, path_or_buf, **options):
        self.write_json(path_or_buf)


BROKEN = ibis.memtable({"n": ["x"]}).mutate(n=ibis._.n.cast("int64"))
TABLE = {"connection": DuckDB.connection}
KINDS = {
    "json": (JSONDataset, {}, {"a": 1}, {"a": 1, "b": object()}),
    "figure": (FigureDataset, {}, go.Figure(), Unwritable()),
    "csv": (CSVDataset, {}, pd.DataFrame({"n": [1]}), Unwritable()),
    "parquet": (TableDataset, TABLE, ibis.memtable({"n": [1]}), BROKEN),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_in_the_middle_leaves_the_old_file(kind, tmp_path):
    dataset, options, good, bad = KINDS[kind]
    path = tmp_path / "deep" / "file"
    entry = dataset(filepath=str(path), **options)
    with pytest.raises(DatasetError):
        entry.save(bad)
    assert not list(path.parent.iterdir())
    entry.save(good)
    before = path.read_bytes()
    with pytest.raises(DatasetError):
        entry.save(bad)
    assert [file.name for file in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == before
    entry.load()


def test_a_folder_with_an_equals_sign_adds_no_column(tmp_path):
    entry = TableDataset(filepath=str(tmp_path / "site=b" / "counts.parquet"), **TABLE)
    entry.save(ibis.memtable({"n": [1]}))
    assert entry.load().columns == ("n",)


def test_a_preview_shows_rows_of_many_persons_and_none_of_single_ones(tmp_path):
    def preview(name, rows):
        entry = TableDataset(filepath=str(tmp_path / name), **TABLE)
        missing = entry.preview()
        entry.save(ibis.memtable(rows))
        return missing, entry.preview()

    days = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])
    counts = {"token": ["a", "b", "c"], "day": days, "persons": [10, 9, None]}
    missing, shown = preview("counts", counts)
    assert missing == {}
    assert shown["columns"] == ["token", "day", "persons"]
    assert shown["data"] == [["a", "2020-01-01T00:00:00.000", 10.0]]
    for rows in ({"person_id": [1, 2], "persons": [10, 11]}, {"code": ["a"], "n": [99]}):
        assert preview(next(iter(rows)), rows)[1]["data"] == []
