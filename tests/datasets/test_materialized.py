import ibis
import pyarrow as pa
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.materialized import MaterializedDataset
from clm_ler.engines import engine_of

CODES = pa.table({"n": [0, 1, 2], "code": ["b", None, "a"]})


@pytest.fixture
def dataset():
    connection = {"backend": "duckdb", "database": ":memory:"}
    held = MaterializedDataset(table_name="held", connection=connection)
    engine_of(held.connection).configure("1GB", 1, "data")
    yield held
    held.release()


def numbers(dataset, count):
    return dataset.connection.sql(f"SELECT id AS n FROM range({count}) AS t(id)")


def test_what_is_held_is_what_was_saved_until_it_is_released(dataset):
    rows = numbers(dataset, 3)
    dataset.save(rows.join(engine_of(rows).with_categories(CODES, ["code"]), "n"))
    loaded = dataset.load()
    assert dict(loaded.schema()) == {"n": ibis.dtype("int64"), "code": ibis.dtype("string")}
    assert loaded.order_by("n").to_pyarrow().to_pylist() == CODES.to_pylist()
    dataset.save(rows.filter(rows.n == 1))
    assert dataset.load().count().execute() == 1
    dataset.release()
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"held is there only in the run.*keep_intermediate"):
        dataset.load()


def test_a_released_table_takes_no_room(dataset):
    dataset.save(numbers(dataset, 10))
    assert "held" in dataset.connection.list_tables()
    dataset.release()
    assert "held" not in dataset.connection.list_tables()
