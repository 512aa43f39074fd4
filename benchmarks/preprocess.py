"""Time and memory of raw tables to sequences, beside DuckDB's bare sort of the same rows.

python benchmarks/preprocess.py --events 1e6 1e7 1e8 --memory-limit 2GiB --threads 2

Where other work shares the machine, ``--rounds 5`` takes turns, and prints medians.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

PROJECT = Path(__file__).parents[1]
EVENTS_PER_PERSON = 200
# Share of the events, source values (system, separator, distinct codes) and columns of each table.
TABLES = {
    "diagnosis": (
        0.30,
        "'ICD-10-CM ' || chr(65 + k % 26) || (10 + k % 89) || '.' || k % 97",
        20_000,
    ),
    "prescription": (0.20, "'RxNorm_drug:' || (100000 + 37 * k)", 9_000),
    "procedure": (0.17, "'CPT4 ' || (10000 + k)", 8_000),
    "lab": (0.33, "'LOINC ' || (1000 + 7 * k) || '-' || k % 10", 800),
}
COLUMNS = {
    "diagnosis": ("condition_start_datetime", "condition_source_value"),
    "prescription": ("drug_exposure_start_datetime", "drug_source_value"),
    "procedure": ("procedure_datetime", "procedure_source_value"),
    "lab": ("measurement_datetime", "measurement_source_value"),
}


def simulate(folder: Path, events: int, longest: int = 0) -> None:
    """Write raw tables: visits of about six events, one minute each, codes by Zipf's law.

    Args:
        folder: Where they go.
        events: Of persons who all have about as many.
        longest: Events of one more person.
    """
    connection = duckdb.connect(config={"memory_limit": "2GiB"})
    connection.execute("CREATE MACRO u(i, s) AS (hash(i * 1000003 + s) % 1000000007) / 1000000007")
    persons = max(events // EVENTS_PER_PERSON, 10)
    _copy(
        connection,
        folder / "patient",
        f"""SELECT i * 7 + 13 AS person_id,
            strftime(TIMESTAMP '1930-01-01' + to_days((u(i, 1) * 29000)::INT), '%Y-%m-%d %H:%M:%S')
                AS birth_datetime,
            if(u(i, 2) < 0.5, 'F', 'M') AS gender_source_value,
            'race ' || (u(i, 3) * 5)::INT AS race_source_value,
            'ethnicity ' || (u(i, 4) * 2)::INT AS ethnicity_source_value,
            'state ' || (u(i, 5) * 50)::INT AS location_state
            FROM range({persons + bool(longest)}) t(i)""",
    )
    for seed, (name, (share, value, codes)) in enumerate(TABLES.items(), start=10):
        per_person = round(EVENTS_PER_PERSON * share)
        lab = """, round(exp(4 + u(i, 3) + u(i, 4) - u(i, 5)), 1)::VARCHAR AS value_source_value,
            if(u(i, 6) < 0.9, 'mg/dL', 'g/L') AS unit_source_value"""
        time_column, value_column = COLUMNS[name]
        _copy(
            connection,
            folder / name,
            f"""SELECT least(i // {per_person}, {persons}) * 7 + 13 AS person_id,
            strftime(TIMESTAMP '2012-01-01' + to_minutes(
                (u(i // {per_person}, 7) * 1000000)::INT
                + (u(i // {per_person} * 40 + (u(i, {seed}) * 32)::INT, 8) * 3000000)::INT
                + (u(i, 9) * 3)::INT), '%Y-%m-%d %H:%M:%S') AS {time_column},
            {value} AS {value_column} {lab if name == "lab" else ""}
            FROM (SELECT i, pow({codes}, u(i, {seed} + 20))::INT AS k
                  FROM range({persons * per_person + round(longest * share)}) t(i))""",
        )


def _copy(connection: duckdb.DuckDBPyConnection, folder: Path, query: str) -> None:
    folder.mkdir(parents=True)
    connection.execute(f"COPY ({query}) TO '{folder}/part.parquet' (FORMAT parquet)")
    (folder / "_SUCCESS").touch()  # as `cohort` marks a table that is complete


def sort_bare(folder: Path, memory_limit: str, threads: int) -> dict[str, float]:
    """Return the seconds, on the clock and of the CPU, that DuckDB needs to sort and write the rows."""
    connection = duckdb.connect(
        config={"memory_limit": memory_limit, "threads": threads, "temp_directory": f"{folder}/tmp"}
    )
    rows = " UNION ALL BY NAME ".join(
        f"SELECT * RENAME ({time_column} AS time, {value_column} AS value) "
        f"FROM '{folder}/{name}/*.parquet'"
        for name, (time_column, value_column) in COLUMNS.items()
    )
    started, cpu = time.perf_counter(), time.process_time()
    connection.execute(
        f"COPY (SELECT * FROM ({rows}) ORDER BY person_id, time) TO '{folder}/sorted.parquet'"
    )
    return {"floor": time.perf_counter() - started, "floor CPU": time.process_time() - cpu}


def run_project(storage: Path, memory_limit: str, threads: int) -> dict[str, float]:
    """Run ``split`` and ``preprocess`` in a process of their own; return seconds and memory.

    Of each node, of all from the first to the last (``total``), and of Kedro's start before them.
    """
    code = f"""
import json, sys, time
sys.path.insert(0, {str(PROJECT / "benchmarks")!r})
from timing import Clock, peak_gib
from kedro.framework.hooks import hook_impl
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
class NodeClock(Clock):
    nodes = {{}}
    @hook_impl
    def before_node_run(self, node): self.node_started = time.perf_counter()
    @hook_impl
    def after_dataset_saved(self, dataset_name, node):
        self.nodes[node.name] = time.perf_counter() - self.node_started
bootstrap_project({str(PROJECT)!r})
params = {{"storage": {str(storage)!r}, "memory_limit": {memory_limit!r}, "threads": {threads}}}
clock = NodeClock()
with KedroSession.create({str(PROJECT)!r}, runtime_params=params) as session:
    session._hook_manager.register(clock)
    started = time.perf_counter()
    session.run(pipeline_names=["split", "preprocess"])
print(json.dumps(clock.nodes | {{"start of Kedro": clock.started - started,
    "total": clock.seconds, "CPU": clock.cpu, "GiB": peak_gib()}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def size(*folders: Path) -> float:
    """Return the size of all files below the folders in MB."""
    return sum(f.stat().st_size for top in folders for f in top.rglob("*") if f.is_file()) / 1e6


def measure(
    events: int, memory_limit: str, threads: int, rounds: int, folder: Path
) -> dict[str, float]:
    """Return one row of the table: medians over the rounds."""
    raw = folder / "01_raw"
    simulate(raw, events)
    raw_size = size(*(raw / name for name in ("patient", *TABLES)))
    measured = []
    for _round in range(rounds):
        floor = sort_bare(raw, memory_limit, threads)
        (raw / "sorted.parquet").unlink()
        for earlier in folder.glob("0[2-8]_*"):
            shutil.rmtree(earlier)
        measured.append(floor | run_project(folder, memory_limit, threads))
    row = {name: statistics.median(one[name] for one in measured) for name in measured[0]}
    ratios = {
        "ratio": row["total"] / row["floor"],
        "CPU ratio": row["CPU"] / row["floor CPU"],
    }
    derived = [folder / name for name in ("03_primary", "04_feature", "05_model_input")]
    return ratios | {"raw MB": raw_size, "derived MB": size(*derived)} | row


def main() -> None:
    """Print one row per number of events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", nargs="+", type=float, default=[1e6, 1e7])
    parser.add_argument("--memory-limit", default="2GiB")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="for the tables; a temporary one by default")
    arguments = parser.parse_args()
    for events in arguments.events:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            limits = arguments.memory_limit, arguments.threads
            row = measure(int(events), *limits, arguments.rounds, Path(folder))
        print(f"{events:,.0f} events:", json.dumps({k: round(v, 2) for k, v in row.items()}))


if __name__ == "__main__":
    main()
