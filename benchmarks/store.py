"""The chain on Spark with a small driver, everything but raw and shuffled rows in an S3 store.

python benchmarks/store.py --events 2e7 --memory 1g

The store is a server on this machine (moto). Spark's Java library for S3 is not needed, since what Spark
itself reads and writes, the raw tables and their rows by person bucket, lies on the disk. Executors and
driver read and write everything else in the store. The line says CPU seconds without the server's, the
most memory of each kind of process, and the tokens that were written.
"""

import argparse
import io
import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

import boto3
import pyarrow as pa
from moto.server import ThreadedMotoServer
from preprocess import PROJECT, TABLES, simulate
from spark import measured

BUCKET, ENCODED = "records", "derived/05_model_input/encoded_sequences/"
RAW = """
{name}:
  type: ibis.FileDataset
  filepath: {folder}/01_raw/{name}/part.parquet
  file_format: parquet
  connection: {{backend: pyspark}}
"""
ROWS = """
"{{table}}_rows":
  type: clm_ler.datasets.person_table.PersonTableDataset
  filepath: {folder}/02_intermediate/{{table}}_rows
  connection: {{backend: duckdb, database: ":memory:"}}
  from_raw: true
  transient: true
"""


def configure(folder: Path) -> Path:
    """Write a configuration whose environment ``store`` keeps on the disk what Spark reads and writes."""
    conf = folder / "conf"
    shutil.copytree(PROJECT / "conf", conf, ignore=shutil.ignore_patterns("local"))
    shutil.copytree(conf / "spark", conf / "store")
    raw = (RAW.format(name=name, folder=folder) for name in ("patient", *TABLES))
    (conf / "store" / "catalog.yml").write_text("".join([*raw, ROWS.format(folder=folder)]))
    return conf


def count_tokens() -> int:
    """Return how many tokens the encoded sequences in the store have."""
    store = boto3.client("s3")
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=ENCODED)
    names = [found["Key"] for page in pages for found in page["Contents"]]
    bodies = (
        store.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        for name in names
        if name.endswith(".arrow")
    )
    tables = (pa.ipc.open_file(io.BytesIO(body)).read_all() for body in bodies)
    return sum(len(part.flatten()) for table in tables for part in table["input_ids"].chunks)


def main() -> None:
    """Print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=float, default=2e7)
    parser.add_argument("--memory", default="1g", help="of Spark's driver, and of its executors")
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it would tell each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "DEFAULT_REGION": "us-east-1"}
    names["ENDPOINT_URL"] = f"http://{host}:{port}"
    os.environ |= {f"AWS_{name}": value for name, value in names.items()}
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    settings = (
        f"storage=s3://{BUCKET}/derived,memory_limit=1GiB,spark_driver_memory={arguments.memory}"
    )
    settings += f",spark_master=local[{arguments.cores}]"
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder, "01_raw"), int(arguments.events))
        run = ["run", "--env=store", f"--conf-source={configure(Path(folder))}"]
        run += ["--pipelines=split,preprocess,vocab", f"--params={settings}"]
        row = measured([sys.executable, "-m", "kedro", *run], PROJECT)
    row["tokens"] = count_tokens()
    server.stop()
    print(f"{arguments.events:,.0f} events:", json.dumps({k: round(v, 2) for k, v in row.items()}))


if __name__ == "__main__":
    main()
