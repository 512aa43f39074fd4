import ibis
import pytest

from clm_ler.tables.engine import connection, small_table
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


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="must be 'duckdb' or 'pyspark', not 'polars'"):
        connection("polars")
