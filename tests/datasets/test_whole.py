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
