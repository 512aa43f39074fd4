"""A ready task on stored events, beside DuckDB's bare scan and sort of the events that it reads.

    python benchmarks/label.py --folder DIR [--persons 39000] [--task new_diabetes]

39,000 persons of the simulated hospital have ten million events. Seconds are those of the clock and of the CPU; the
two take turns, ``--rounds`` times, and the ratio is that of the medians.
"""

import argparse
import statistics
import time
from pathlib import Path

import duckdb
from kedro.framework.startup import bootstrap_project
from timing import PROJECT, timed_run

EVENTS = ("coded_events", "lab_events")


def scan_and_sort(storage: Path, threads: int) -> tuple[int, float, float]:
    """Return how many events there are, and the seconds to read, sort and write them."""
    connection = duckdb.connect(config={"threads": threads})
    rows = " UNION ALL BY NAME ".join(
        f"SELECT * FROM read_parquet('{storage}/03_primary/{name}/**/*.parquet')" for name in EVENTS
    )
    target = storage / "sorted.parquet"
    started, cpu = time.perf_counter(), time.process_time()
    connection.execute(f"COPY (SELECT * FROM ({rows}) ORDER BY person_id, time) TO '{target}'")
    seconds = time.perf_counter() - started, time.process_time() - cpu
    count = connection.execute(f"SELECT count(*) FROM '{target}'").fetchall()[0][0]
    target.unlink()
    return count, *seconds


def label(storage: Path, task: str, threads: int) -> tuple[float, float]:
    """Return the seconds of ``label`` from its first node to its last."""
    cpu = time.process_time()
    seconds = timed_run(["label"], storage=str(storage), task=task, threads=threads)
    return seconds, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--persons", type=int, default=39_000)
    parser.add_argument("--task", default="new_diabetes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    storage = arguments.folder / f"hospital_of_{arguments.persons}"
    if not (storage / "03_primary").exists():
        size = {"persons": arguments.persons, "chunk_persons": 5000}
        timed_run(["cohort", "split", "preprocess"], storage=str(storage), cohort=size)
    events, bare, own = 0, [], []
    for _ in range(arguments.rounds):
        events, *seconds = scan_and_sort(storage, arguments.threads)
        bare.append(seconds)
        own.append(label(storage, arguments.task, arguments.threads))
    print(f"{events:,} events, {arguments.task}")
    for number, clock in enumerate(("clock", "CPU")):
        sort, task = (statistics.median(row[number] for row in rows) for rows in (bare, own))
        print(f"{clock}: scan and sort {sort:.1f} s, label {task:.1f} s, ratio {task / sort:.2f}")


if __name__ == "__main__":
    main()
