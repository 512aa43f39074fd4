import datetime

import pyarrow as pa
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.chunked_table import ChunkedTableDataset

TABLE = pa.table(
    {
        "person_id": [3, 5, 9],
        "time": pa.array(
            [datetime.datetime(2020, 1, 1), None, datetime.datetime(1890, 2, 3, 4, 5)]
        ),
        "code": ["a b", None, "é"],
    }
)


def stream(*tables: pa.Table) -> pa.RecordBatchReader:
    batches = [batch for table in tables for batch in table.to_batches()]
    return pa.RecordBatchReader.from_batches(tables[0].schema, batches)


@pytest.fixture
def parquet(tmp_path):
    return ChunkedTableDataset(filepath=str(tmp_path / "deep" / "table"))


@pytest.fixture
def csv(tmp_path):
    return ChunkedTableDataset(filepath=str(tmp_path / "deep" / "t.csv"), file_format="csv")


def test_each_batch_becomes_a_file(parquet, tmp_path):
    parquet.save(stream(TABLE.slice(0, 1), TABLE.slice(1)))
    names = [path.name for path in sorted((tmp_path / "deep" / "table").glob("*.parquet"))]
    assert names == ["part-000000.parquet", "part-000001.parquet"]
    loaded = parquet.load().order_by("person_id").to_pyarrow()
    assert loaded.to_pylist() == TABLE.to_pylist()


def test_a_table_is_taken_as_well(parquet):
    parquet.save(TABLE)
    assert parquet.load().count().execute() == 3


def test_saving_again_replaces_everything(parquet):
    parquet.save(stream(TABLE, TABLE, TABLE))
    parquet.save(stream(TABLE))
    assert parquet.load().count().execute() == 3


def test_an_empty_stream_is_an_empty_table(parquet):
    parquet.save(TABLE.slice(0, 0))
    assert parquet.load().to_pyarrow().num_rows == 0
    assert parquet.load().columns == ("person_id", "time", "code")


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_failing_stream_leaves_what_was_there(kind, request, tmp_path):
    dataset = request.getfixturevalue(kind)
    dataset.save(stream(TABLE))

    def failing():
        yield from TABLE.to_batches()
        raise RuntimeError("no more")

    with pytest.raises(DatasetError, match="no more"):
        dataset.save(pa.RecordBatchReader.from_batches(TABLE.schema, failing()))
    assert dataset.load().count().execute() == 3
    assert len(list((tmp_path / "deep").iterdir())) == 1


def test_a_folder_that_was_never_completed_is_refused(parquet, tmp_path):
    parquet.save(stream(TABLE))
    (tmp_path / "deep" / "table" / "_SUCCESS").unlink()
    with pytest.raises(DatasetError, match="never fully written"):
        parquet.load()


def test_csv_is_one_plain_file_and_loads_as_text(csv, tmp_path):
    csv.save(stream(TABLE.slice(0, 2), TABLE.slice(2)))
    text = (tmp_path / "deep" / "t.csv").read_text()
    assert text.splitlines()[0] == "person_id,time,code"
    assert len(text.splitlines()) == 4
    loaded = csv.load().order_by("person_id")
    assert set(map(str, loaded.schema().values())) == {"string"}
    assert loaded.code.to_pyarrow().to_pylist() == ["a b", None, "é"]


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_a_folder_with_an_equals_sign_adds_no_column(tmp_path, file_format):
    path = str(tmp_path / "site=b" / f"table.{file_format}")
    dataset = ChunkedTableDataset(filepath=path, file_format=file_format)
    dataset.save(TABLE)
    assert dataset.load().columns == ("person_id", "time", "code")


@pytest.mark.spark
@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_spark_reads_what_was_written(spark, tmp_path, file_format):
    path = str(tmp_path / "site=b" / f"table.{file_format}")
    ChunkedTableDataset(filepath=path, file_format=file_format).save(stream(TABLE, TABLE))
    dataset = ChunkedTableDataset(
        filepath=path, file_format=file_format, connection={"backend": "pyspark"}
    )
    table = dataset.load()
    assert table.columns == ("person_id", "time", "code")
    codes = table.code.to_pyarrow().to_pylist()
    assert sorted(code or "" for code in codes) == ["", "", "a b", "a b", "é", "é"]
