from datetime import datetime

import ibis
import pyarrow as pa
import pytest

from clm_ler.tables.engine import configure, connection, small_table
from tests.engines import both_engines

SCHEMA = ibis.schema({"unit": "string", "factor": "float64", "n": "int64"})


@both_engines
def test_what_is_missing_is_null_on_every_engine(backend):
    rows = [
        {"unit": "mg/dL", "factor": 1.5, "n": 1},
        {"unit": None, "factor": None, "n": 2},
        {"unit": "NaN", "factor": 0.0, "n": 3},
        {"unit": "", "factor": 0.0, "n": 4},
    ]
    table = small_table(rows, SCHEMA).order_by("n")
    assert backend.to_pyarrow(table).to_pylist() == rows


@both_engines
def test_lists_made_in_python_reach_every_engine(backend):
    configure(backend, "1GB", 1, "data")
    rows = [
        {"sample": "a", "time": datetime(2020, 1, 2, 3), "probabilities": [0.25, 0.75]},
        {"sample": None, "time": None, "probabilities": []},
    ]
    kinds = {
        "sample": pa.string(),
        "time": pa.timestamp("us"),
        "probabilities": pa.list_(pa.float64()),
    }
    table = ibis.memtable(pa.Table.from_pylist(rows, schema=pa.schema(kinds)))
    found = backend.to_pyarrow(
        table.mutate(n=table.probabilities.length()).order_by(ibis.desc("n"))
    )
    assert found.drop(["n"]).to_pylist() == rows


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="must be 'duckdb' or 'pyspark', not 'polars'"):
        connection("polars")
