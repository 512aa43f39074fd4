"""The chain on a standalone Spark cluster of two workers on this machine, beside DuckDB's rows.

make executors
python benchmarks/cluster.py --persons 300 --archive dist/executors.tar.gz

Master and workers are processes of their own, as on several machines. The executors run the Python of
the archive, and nothing of this environment; without ``--archive`` the machine's own ``python3``, which
has no such package: the run is refused in a line. Tables that both engines have written are compared
row by row.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyspark

PROJECT = Path(__file__).resolve().parents[1]
TABLES = ("03_primary/coded_events", "03_primary/lab_events", "04_feature/sequences")
FEW = "preprocess.min_loinc_counts=20,vocab.min_persons=2"


def start(log: Path, *command: str) -> subprocess.Popen[bytes]:
    """Start one of Spark's daemons in the foreground of its own process."""
    launcher = str(Path(pyspark.__path__[0], "bin", "spark-class"))
    place = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_WORKER_DIR": str(log.parent / log.stem)}
    place["PYTHONPATH"] = ""  # executors have what the archive has
    with log.open("wb") as stream:
        return subprocess.Popen([launcher, *command], stderr=stream, env=os.environ | place)


def said(log: Path, pattern: str, seconds: float = 300) -> str:
    """Return what a daemon's log says, once it says it."""
    for _second in range(int(seconds)):
        if found := re.search(pattern, log.read_text()):
            return found[1]
        time.sleep(1)
    raise SystemExit(f"{log} does not say {pattern}")


@contextmanager
def cluster(folder: Path, workers: int, cores: int, memory: str) -> Iterator[str]:
    """Give the address of a cluster, which ends with the block."""
    deploy, logs = "org.apache.spark.deploy", folder / "logs"
    logs.mkdir()
    host = ("--host", "127.0.0.1", "--webui-port", "0")
    master = logs / "master.log"
    daemons = [start(master, f"{deploy}.master.Master", *host, "--port", "0")]
    try:
        address = said(master, r"Starting Spark master at (\S+)")
        size = ("--cores", str(cores), "--memory", memory)
        for number in range(workers):
            log = logs / f"worker{number}.log"
            daemons.append(start(log, f"{deploy}.worker.Worker", *host, *size, address))
        for number in range(workers):
            said(logs / f"worker{number}.log", r"(Successfully registered)")
        yield address
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait()


def kedro(*arguments: str, **environment: str) -> None:
    """Run Kedro in a process of its own; end where it fails."""
    command = [sys.executable, "-m", "kedro", "run", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | environment, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def differing(one: Path, other: Path) -> int:
    """Return how many rows are in one of two person tables only."""
    left, right = (
        f"read_parquet('{at}/**/*.parquet', hive_partitioning=false)" for at in (one, other)
    )
    both = f"(FROM {left} EXCEPT ALL FROM {right}) UNION ALL (FROM {right} EXCEPT ALL FROM {left})"
    return duckdb.sql(f"SELECT count(*) FROM ({both})").fetchone()[0]


def main() -> None:
    """Make a hospital, run the chain on both engines, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=300)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="of each worker")
    parser.add_argument("--memory", default="1g", help="of each executor's JVM")
    parser.add_argument("--pipelines", default="split,preprocess,vocab")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder, "duckdb"), Path(folder, "spark")
        made = f"storage={here},cohort.persons={given.persons},cohort.ehrshot.persons=30,{FEW}"
        kedro(f"--pipelines=cohort,{given.pipelines}", f"--params={made}")
        there.mkdir()
        (there / "01_raw").symlink_to(here / "01_raw")
        settings = {"spark.executor.memory": given.memory, "spark.driver.host": "127.0.0.1"}
        python = "python3"
        if given.archive:
            settings["spark.archives"] = f"{given.archive.resolve()}#executors"
            python = "./executors/bin/python"
        lines = "\n".join(f"{name} {value}" for name, value in settings.items())
        Path(folder, "spark-defaults.conf").write_text(lines)
        with cluster(Path(folder), given.workers, given.cores, "2g") as address:
            run = (
                f"storage={there},spark_master={address},spark_driver_memory=2g,memory_limit=512MB"
            )
            started = time.perf_counter()
            kedro(
                "--env=spark",
                f"--pipelines={given.pipelines}",
                f"--params={run},buckets=4,{FEW}",
                SPARK_CONF_DIR=folder,
                PYSPARK_PYTHON=python,
            )
            print(f"{time.perf_counter() - started:.0f} s on {given.workers} workers")
        for name in TABLES:
            print(f"{name}: {differing(here / name, there / name)} rows differ")


if __name__ == "__main__":
    main()
