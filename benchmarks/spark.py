"""CPU seconds of raw tables to sequences on Spark, beside Spark's bare work on the same tables.

python benchmarks/spark.py --events 1e6 4e6 --cores 2

The bare work reads the five tables, shuffles their rows to person buckets once, sorts within and writes
them. CPU seconds are those of the whole tree of processes, the start of Python and Java included. Of runs
on Spark, Spark's event log says what is read, shuffled and written per event, and by how many jobs; of all,
the storage says how many bytes a run leaves.
``--beside PATH`` runs another checkout of the project too; ``--pipelines`` another part of the chain.
"""

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import psutil
from preprocess import COLUMNS, PROJECT, simulate, size

BARE = """
import json, sys
from pyspark.sql import SparkSession, functions as f
raw, to, buckets, times, options = json.loads(sys.argv[1])
spark = SparkSession.builder.config(map=options).getOrCreate()
for name, time in times.items():
    rows = spark.read.parquet(f"{raw}/{name}").withColumn("bucket", f.pmod("person_id", f.lit(buckets)))
    rows = rows.repartition(buckets, "bucket").sortWithinPartitions("bucket", "person_id", time)
    rows.write.partitionBy("bucket").parquet(f"{to}/{name}")
"""
_SUBREAPER = 36  # Linux: whoever has lost its parent becomes a child of this process


@contextmanager
def peaks(row: dict[str, float]) -> Iterator[None]:
    """Add to a row the most GiB that a process of each kind has had: Java, Spark's workers, the rest."""
    ended = Event()

    def look() -> None:
        while not ended.wait(0.2):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.Error):
                    daemon = "pyspark.daemon" in process.cmdline()
                    kind = "worker" if daemon else "Java" if process.name() == "java" else "Python"
                    gib = process.memory_info().rss / 2**30
                    row[f"GiB, {kind}"] = max(row.get(f"GiB, {kind}", 0), gib)

    looking = Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()


def measured(command: list[str], cwd: Path, **environment: str) -> dict[str, float]:
    """Run a command and return the seconds that it and all that it has started took, and memory."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(cwd / "src"), **environment}
    row: dict[str, float] = {}
    with peaks(row):
        subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, env=environment)
    with suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"CPU": cpu, "wall": time.perf_counter() - started} | row


@contextmanager
def event_log(row: dict[str, float], events: int) -> Iterator[dict[str, str]]:
    """Give the environment in which Spark keeps a log, and add to a row what it says, per event."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        log.mkdir()
        settings = {"enabled": "true", "dir": log, "rolling.enabled": "false", "compress": "false"}
        lines = [f"spark.eventLog.{name} {value}" for name, value in settings.items()]
        Path(folder, "spark-defaults.conf").write_text("\n".join(lines))
        yield {"SPARK_CONF_DIR": folder}
        told = [json.loads(line) for file in log.iterdir() for line in file.open()]
    tasks = [one["Task Metrics"] for one in told if one["Event"] == "SparkListenerTaskEnd"]
    reads = [task["Input Metrics"] for task in tasks]
    shuffles = [task["Shuffle Write Metrics"]["Shuffle Bytes Written"] for task in tasks]
    row |= {
        "rows read": sum(one["Records Read"] for one in reads if one["Bytes Read"]) / events,
        "bytes read": sum(one["Bytes Read"] for one in reads) / events,
        "bytes shuffled": sum(shuffles) / events,
        "bytes written": sum(t["Output Metrics"]["Bytes Written"] for t in tasks) / events,
        "jobs": sum(one["Event"] == "SparkListenerJobStart" for one in told),
        "CPU of Java's tasks": sum(task["Executor CPU Time"] for task in tasks) / 1e9,
    }


def run_bare(raw: Path, to: Path, cores: int, memory: str) -> dict[str, float]:
    """Measure what Spark needs at least."""
    options = {
        "spark.master": f"local[{cores}]",
        "spark.driver.memory": memory,
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
    }
    times = {"patient": "birth_datetime"} | {name: time for name, (time, _value) in COLUMNS.items()}
    given = json.dumps([str(raw), str(to), 8, times, options])
    return measured([sys.executable, "-c", BARE, given], PROJECT)


def run_project(
    raw: Path, to: Path, arguments: argparse.Namespace, project: Path, engine: str, events: int
) -> dict[str, float]:
    """Measure the project on one engine, in a storage of its own."""
    to.mkdir(parents=True)
    (to / "01_raw").symlink_to(raw)
    settings = {"storage": to, "memory_limit": "1GiB", "threads": arguments.cores}
    command = [sys.executable, "-m", "kedro", "run", f"--pipelines={arguments.pipelines}"]
    if engine == "spark":
        command.append("--env=spark")
        settings |= {"spark_master": f"local[{arguments.cores}]"}
        settings |= {"spark_driver_memory": arguments.memory}
    given = ",".join(f"{name}={value}" for name, value in settings.items())
    row: dict[str, float] = {}
    if engine == "spark":
        with event_log(row, events) as environment:
            row |= measured([*command, f"--params={given}"], project, **environment)
    else:
        row |= measured([*command, f"--params={given}"], project)
    left = [folder for folder in to.glob("0*") if folder.name != "01_raw"]
    return row | {"bytes left": size(*left) * 1e6 / events}


def main() -> None:
    """Print a line for each number of events and each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", nargs="+", type=float, default=[1e6, 4e6])
    parser.add_argument("--longest", type=float, default=0, help="events of one more person")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--memory", default="6g", help="of Spark's driver")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pipelines", default="split,preprocess,vocab")
    parser.add_argument("--beside", type=Path, help="another checkout of the project")
    parser.add_argument("--ways", nargs="+", default=["bare", "spark", "duckdb", "beside"])
    parser.add_argument("--folder", type=Path, help="for the tables; a temporary one by default")
    arguments = parser.parse_args()
    for events in arguments.events:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            raw = Path(folder, "raw")
            simulate(raw, int(events), int(arguments.longest))
            found: dict[str, list[dict[str, float]]] = {}
            for number in range(arguments.rounds):
                for way in arguments.ways:
                    to = Path(folder, f"{way}{number}")
                    if way == "bare":
                        row = run_bare(raw, to, arguments.cores, arguments.memory)
                    elif way == "beside" and not arguments.beside:
                        continue
                    else:
                        project = arguments.beside.resolve() if way == "beside" else PROJECT
                        engine = "spark" if way == "beside" else way
                        row = run_project(raw, to, arguments, project, engine, int(events))
                    found.setdefault(way, []).append(row)
        for way, rows in found.items():
            row = {name: statistics.median(one[name] for one in rows) for name in rows[0]}
            print(
                f"{events:,.0f} events, {way}:",
                json.dumps({k: round(v, 2) for k, v in row.items()}),
            )


if __name__ == "__main__":
    main()
