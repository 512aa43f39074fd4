"""`kedro run --env=spark`, in a process of its own, beside what DuckDB has made of the same tables."""

import json
import os
import shutil
import subprocess
import sys

import duckdb
import pyarrow as pa
import pytest
import yaml

from clm_ler.datasets.encoded import EncodedSequencesDataset
from clm_ler.files.arrow import mapped_files
from clm_ler.tables.sources import RAW_TABLES
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
MANY = 200_000


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A folder where Spark writes what it does."""
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def on_spark(chain, storage, log, tmp_path_factory):
    """The storage of the run on Spark."""
    place = tmp_path_factory.mktemp("spark") / "data"
    settings = {
        "enabled": "true",
        "dir": log / "events",
        "rolling.enabled": "false",
        "compress": "false",
    }
    (log / "events").mkdir()
    lines = [f"spark.eventLog.{name} {value}" for name, value in settings.items()]
    lines.append("spark.sql.autoBroadcastJoinThreshold -1")  # as on a cluster with large tables
    (log / "spark-defaults.conf").write_text("\n".join(lines))
    shutil.copytree(storage / "01_raw", place / "01_raw")
    training = ",".join(f"pretrain.{name}={value}" for name, value in SMALL["pretrain"].items())
    run = ["-m", "kedro", "run", "--env=spark", "--pipelines=split,preprocess,vocab,pretrain"]
    few = f"vocab.min_persons={SMALL['vocab']['min_persons']}"
    given = f"--params=storage={place},buckets=4,{few},{training}"
    environment = os.environ | {"SPARK_CONF_DIR": str(log)}
    command = [sys.executable, *run, given]
    ran = subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 0, ran.stderr
    (log / "stderr").write_text(ran.stderr)
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


ENCODED = "05_model_input/encoded_sequences"


def encoded(storage):
    """What training is given, as on a machine that has no Spark."""
    duckdb_alone = {"backend": "duckdb", "database": ":memory:"}
    return EncodedSequencesDataset(filepath=str(storage / ENCODED), connection=duckdb_alone).load()


def test_training_maps_the_files_that_executors_have_written(on_spark):
    before = pa.total_allocated_bytes()
    table = encoded(on_spark)
    assert pa.total_allocated_bytes() - before < table.nbytes / 10
    assert {*mapped_files(table)} == {str(file) for file in (on_spark / ENCODED).rglob("*.arrow")}


def sorted_rows(storage):
    """What training is given, in the order of persons."""
    return encoded(storage).sort_by("person_id")


def test_it_writes_the_ids_that_duckdb_writes(on_spark, storage):
    assert sorted_rows(on_spark).equals(sorted_rows(storage))


def test_a_person_of_very_many_events_gives_the_rows_of_duckdb(kedro_run, spark, tmp_path):
    places = {name: tmp_path / name for name in ("duckdb", spark.name)}
    kedro_run(places["duckdb"], ["cohort"], cohort={"persons": 200, "ehrshot": {"persons": 30}})
    raw = places["duckdb"] / "01_raw"
    duckdb.sql(f"""
        COPY (SELECT * EXCLUDE (n) REPLACE (
                'ICD-10-CM A' || n % 997 AS condition_source_value,
                strftime(TIMESTAMP '2015-01-01' + to_minutes(7 * n), '%Y-%m-%d %H:%M:%S')
                    AS condition_start_datetime)
            FROM (FROM '{raw}/diagnosis/*.parquet' LIMIT 1), range({MANY}) numbers(n))
        TO '{raw}/diagnosis/many.parquet'""")
    shutil.copytree(raw, places[spark.name] / "01_raw")
    for name, place in places.items():
        kedro_run(place, ["split", "preprocess", "vocab"], engine=name, memory_limit="256MB")
    here, there = places.values()
    for layer, name in (("03_primary", "coded_events"), ("04_feature", "sequences")):
        assert rows(here, layer, name) == rows(there, layer, name)
    assert sorted_rows(here).equals(sorted_rows(there))
    assert max(map(len, encoded(there)["input_ids"])) > MANY


def test_its_labels_are_those_of_duckdb(kedro_run, on_spark, storage, spark, tmp_path):
    shutil.copytree(storage, tmp_path / "data")
    task = yaml.safe_load((ROOT / "conf/tasks/long_stay.yml").read_text()) | {"min_events": 5}
    places = {"duckdb": tmp_path / "data", spark.name: on_spark}
    for name, place in places.items():
        kedro_run(place, ["label"], engine=name, task=task)
    for name in ("visits", "deaths", "labels"):
        found = rows(on_spark, "03_primary", name)
        assert found == rows(tmp_path / "data", "03_primary", name)
        assert found


def test_it_trains_the_model_that_duckdb_trains(on_spark, storage):
    model = "06_models/pretrained_model/model.safetensors"
    assert (on_spark / model).read_bytes() == (storage / model).read_bytes()


def test_spark_warns_of_nothing(on_spark, log):
    assert [line for line in (log / "stderr").read_text().splitlines() if " WARN " in line] == []


def test_spark_reads_each_raw_table_once_and_shuffles_its_rows_once(on_spark, log):
    (file,) = (log / "events").iterdir()
    events = [json.loads(line) for line in file.read_text().splitlines()]
    jobs = [event for event in events if event["Event"] == "SparkListenerJobStart"]
    tasks = [event["Task Metrics"] for event in events if event["Event"] == "SparkListenerTaskEnd"]
    inputs = [task["Input Metrics"] for task in tasks]
    read = sum(one["Records Read"] for one in inputs if one["Bytes Read"])
    shuffled = sum(task["Shuffle Write Metrics"]["Shuffle Bytes Written"] for task in tasks)
    raw = {
        name: duckdb.read_parquet(str(on_spark / "01_raw" / name / "*.parquet")).shape[0]
        for name in RAW_TABLES
    }
    assert read == sum(raw.values()) + raw["patient"]  # by `split` and by `preprocess`
    assert shuffled < 90 * read  # bytes
    assert len(jobs) < 60  # a table each, and a few for each node: whatever the number of rows
