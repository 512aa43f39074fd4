"""`kedro run --env=spark`, in a process of its own, beside what DuckDB has made of the same tables."""

import shutil
import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest

from clm_ler.datasets.encoded import EncodedSequencesDataset
from tests.end_to_end.conftest import ROOT, SMALL

pytestmark = pytest.mark.spark

TABLES = {
    "03_primary": ["demographics", "person_splits", "coded_events", "lab_events"],
    "04_feature": [
        "lab_value_counts",
        "unit_conversions",
        "lab_percentiles",
        "lab_token_counts",
        "person_spans",
        "sequences",
        "token_counts",
    ],
    "08_reporting": ["loss_ledger", "cutflow"],
}


@pytest.fixture(scope="module")
def on_spark(chain, storage, tmp_path_factory):
    """The storage of the run on Spark."""
    place = tmp_path_factory.mktemp("spark") / "data"
    shutil.copytree(storage / "01_raw", place / "01_raw")
    training = ",".join(f"pretrain.{name}={value}" for name, value in SMALL["pretrain"].items())
    run = ["-m", "kedro", "run", "--env=spark", "--pipelines=split,preprocess,vocab,pretrain"]
    given = f"--params=storage={place},buckets=4,{training}"
    subprocess.run([sys.executable, *run, given], cwd=ROOT, check=True)
    return place


def rows(storage, layer, name):
    """The rows of a table as it lies there: one file, a folder of Spark's, or a person table."""
    files = [str(storage / layer / f"{name}.parquet")]
    if not (storage / layer / f"{name}.parquet").is_file():
        files = [str(file) for file in (storage / layer).glob(f"{name}*/**/*.parquet")]
    table = duckdb.read_parquet(files, hive_partitioning=False).to_arrow_table()
    return sorted(map(repr, table.to_pylist()))


@pytest.mark.parametrize(("layer", "name"), [(at, name) for at in TABLES for name in TABLES[at]])
def test_it_writes_the_rows_that_duckdb_writes(on_spark, storage, layer, name):
    found = rows(on_spark, layer, name)
    assert found == rows(storage, layer, name)
    assert found


def test_it_writes_the_ids_that_duckdb_writes(on_spark, chain):
    stored = EncodedSequencesDataset(
        filepath=str(on_spark / "05_model_input" / "encoded_sequences"),
        connection={"backend": "duckdb", "database": ":memory:"},
    ).load()
    expected = chain.load("encoded_sequences")
    assert isinstance(expected, pa.Table)
    assert stored.sort_by("person_id").equals(expected.sort_by("person_id"))


def test_it_trains_the_model_that_duckdb_trains(on_spark, storage):
    model = "06_models/pretrained_model/model.safetensors"
    assert (on_spark / model).read_bytes() == (storage / model).read_bytes()
