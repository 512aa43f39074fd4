import os
import sys
import uuid

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from clm_ler.engines import engine_of
from tests.parsed_once import keep_what_was_parsed

# Several processes run side by side, and start others: more threads than cores wait for one another by spinning.
# Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

keep_what_was_parsed()

# A busy machine is slow now and then; no test is about time. CI gives the same answer every time;
# elsewhere each run looks at new examples.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")


@pytest.hookimpl(tryfirst=True)  # before the processes read the names
def pytest_collection_modifyitems(items):
    """With several processes, keep in one of them what shares a costly fixture."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_shared(item)))


def _shared(item):
    """The trained chain, the Spark session, or what the test's own module makes."""
    if "chain" in item.fixturenames:
        return "chain"
    return "spark" if item.get_closest_marker("spark") else item.module.__name__


@pytest.fixture(scope="session")
def spark():
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable  # Python functions run in this environment
    options = {
        "spark.master": "local[2]",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "false",  # as engines/spark.py configures it
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        # Each query runs once, on a few rows: compiling it costs more than it saves.
        "spark.sql.codegen.wholeStage": "false",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.ui.showConsoleProgress": "false",
        # One session serves hundreds of tests: what Spark remembers of past queries fills its memory.
        "spark.driver.memory": "2g",
        "spark.sql.ui.retainedExecutions": "5",
        "spark.ui.retainedJobs": "5",
        "spark.ui.retainedStages": "5",
    }
    session = SparkSession.builder.appName("tests").config(map=options).getOrCreate()
    backend = ibis.pyspark.connect(session)
    engine_of(backend).configure("1GB", 1, "data")
    yield backend
    session.stop()


@pytest.fixture
def backend(request):
    """DuckDB; each engine in turn where a test is marked `both_engines` (tests/engines)."""
    if getattr(request, "param", "duckdb") == "duckdb":
        return ibis.duckdb.connect()
    return request.getfixturevalue("spark")


@pytest.fixture
def as_table(backend, tmp_path):
    """Rows to a table of the engine, through Parquet as in a catalog: nulls are nulls."""

    def make(rows, schema):
        schema = ibis.schema(schema).to_pyarrow()
        if not isinstance(rows, pa.Table):
            rows = pa.Table.from_pylist(
                [dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema
            )
        path = tmp_path / f"{uuid.uuid4().hex}.parquet"
        pq.write_table(rows.cast(schema), path)
        return backend.read_parquet(path)

    return make
