from itertools import pairwise

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.encoded import EncodedSequencesDataset
from clm_ler.datasets.person_table import PersonTableDataset
from clm_ler.engines import engine_of
from clm_ler.engines.duckdb import DuckDB
from clm_ler.modeling.data.store import TokenStore
from clm_ler.storage.encoded import LAST_DAY, SCHEMA

DUCKDB = {"backend": "duckdb", "database": ":memory:", "memory_limit": "1GB"}
COLUMNS = {
    "person_id": "int64",
    "split": "string",
    "input_ids": "array<int32>",
    "token_type_ids": "array<int16>",
    "position_ids": "array<int32>",
    "birth_to_start": "int32",
}
ROWS = [
    (9, "train", [5, 7, 8], [0, 3, 10], [0, 1, 2], 900),
    (4, "valid", [6], [0], [1], None),
    (7, "train", [6, 6], [0, 255], [1, 70_000], 0),
    (5, "test", [], [], [], 3),
]


def stored_rows(table):
    return [tuple(row.values()) for row in table.to_pylist()]


@pytest.fixture
def dataset(tmp_path):
    return EncodedSequencesDataset(filepath=str(tmp_path / "encoded"), connection=DUCKDB)


def as_table(connection, rows, path):
    table = pa.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in rows])
    pq.write_table(table.cast(ibis.schema(COLUMNS).to_pyarrow()), path)
    return connection.read_parquet(path)


def test_no_line_says_what_the_pipeline_says(dataset, caplog):
    caplog.set_level("INFO", "clm_ler")
    dataset.save(ibis.memtable(ROWS, schema=COLUMNS))
    assert caplog.messages == []


def test_columns_come_back_narrow(dataset, tmp_path):
    dataset.save(as_table(dataset.connection, ROWS, tmp_path / "rows.parquet"))
    table = dataset.load()
    assert table.schema == SCHEMA
    late = (*ROWS[2][:4], [1, LAST_DAY], 0)
    assert sorted(stored_rows(table), key=lambda row: row[0]) == [ROWS[1], ROWS[3], late, ROWS[0]]


@pytest.mark.parametrize("harm", ["delete", "cut"])
def test_a_broken_file_is_told_and_made_again(harm, dataset, tmp_path):
    rows = as_table(dataset.connection, ROWS, tmp_path / "rows.parquet")
    dataset.save(rows)
    before = stored_rows(dataset.load())
    (file,) = (tmp_path / "encoded").rglob("*.arrow")
    if harm == "delete":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(
        DatasetError, match=r"^encoded: a file is missing or broken .* writes it again"
    ):
        dataset.load()
    dataset.save(rows)
    assert stored_rows(dataset.load()) == before


def test_person_tables_are_encoded_bucket_by_bucket_in_order(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(DuckDB, "bucket_count", lambda *_: 4)
    many = [(number, *ROWS[0][1:]) for number in range(50, 0, -1)]
    source = PersonTableDataset(filepath=str(tmp_path / "sequences"), connection=DUCKDB)
    source.save(as_table(source.connection, many, tmp_path / "rows.parquet"))
    # With a Python function, as the tokenizer's is: DuckDB gets it anew for each bucket.
    output = {"input_ids": COLUMNS["input_ids"]}

    def unchanged(ids):
        return pc.make_struct(ids, field_names=[*output])

    made = engine_of(source.connection).map_arrow(
        source.load(), unchanged, ["input_ids"], output, digest="none"
    )
    dataset.save(made)
    rows = stored_rows(dataset.load())
    assert sorted(rows) == sorted(many)
    assert sum(a[0] > b[0] for a, b in pairwise(rows)) == 3  # where a bucket ends
    assert len(TokenStore.from_arrow(dataset.load(), "train")) == 50
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.arrow")}
    dataset.save(made)  # as a run does that goes on where another was killed
    assert len(written) == 4
    assert written == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.arrow")}


def test_loading_reads_no_token(dataset, tmp_path):
    row = (1, "train", [5] * 10_000, [0] * 10_000, [1] * 10_000, None)
    dataset.save(as_table(dataset.connection, [row], tmp_path / "rows.parquet"))
    before = pa.total_allocated_bytes()
    table = dataset.load()
    assert table.nbytes >= 70_000
    assert pa.total_allocated_bytes() - before < 7_000
