"""What `kedro estimate` says of the tables, beside what a run of them takes.

python benchmarks/estimate.py --events 1e6 1e7 1e8 --memory-limit 2GB --threads 2

CPU seconds, which other work on the machine changes least; the most memory of the process; the most bytes
below the storage, raw tables left out, looked at once a second.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from preprocess import PROJECT, simulate, size

from clm_ler.doctor import bytes_of
from clm_ler.estimate import CPU_SECONDS, DISK_GB, memory_gb

CODE = """
import json, os, sys
sys.path.insert(0, {folder!r})
from timing import peak_gib, timed_run
from kedro.framework.startup import bootstrap_project
bootstrap_project({project!r})
timed_run(["split", "preprocess", "vocab"], **{parameters!r})
times = os.times()
print(json.dumps({{"CPU": times.user + times.system, "memory": peak_gib() * 1.0737}}))
"""


def run(storage: Path, memory_limit: str, threads: int) -> dict[str, float]:
    """Run the pipelines in a process of their own; return CPU seconds, and GB of memory and disk."""
    parameters = {"storage": str(storage), "memory_limit": memory_limit, "threads": threads}
    code = CODE.format(
        folder=str(Path(__file__).parent), project=str(PROJECT), parameters=parameters
    )
    said, raw, most = storage / "said", size(storage / "01_raw"), 0.0
    with said.open("w") as stdout:  # DuckDB draws its progress there
        process = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=stdout)
        while process.poll() is None:
            most = max(most, _size(storage))
            time.sleep(1)
    if process.returncode:
        raise SystemExit(process.returncode)
    most = max(most, size(storage)) - raw
    return json.loads(said.read_text().splitlines()[-1]) | {"disk": most / 1e3}


def _size(storage: Path) -> float:
    try:
        return size(storage)
    except FileNotFoundError:  # written under another name and renamed, or dropped
        return 0.0


def main() -> None:
    """Print a line per number of events: estimated, measured, and the ratio of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", nargs="+", type=float, default=[1e6, 1e7])
    parser.add_argument("--memory-limit", default="2GB")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="for the tables; a temporary one by default")
    arguments = parser.parse_args()
    for events in arguments.events:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            simulate(Path(folder, "01_raw"), int(events))
            measured = run(Path(folder), arguments.memory_limit, arguments.threads)
        rows = int(events * (1 + 1 / 200))  # a row for each person beside
        estimated = {
            "CPU": CPU_SECONDS.at(rows),
            "memory": memory_gb(rows, bytes_of(arguments.memory_limit)),
            "disk": DISK_GB.at(rows),
        }
        for name, value in measured.items():
            told = f"estimated {estimated[name]:.2f}, measured {value:.2f}"
            print(f"{events:,.0f} events, {name}: {told}, ratio {estimated[name] / value:.2f}")


if __name__ == "__main__":
    main()
