import pytest

both_engines = pytest.mark.parametrize(
    "backend", ["duckdb", pytest.param("pyspark", marks=pytest.mark.spark)], indirect=True
)
