"""What `kedro estimate` says of the tables and of training, beside what they take.

python benchmarks/estimate.py --events 1e6 1e7 1e8 --memory-limit 2GB --threads 2
python benchmarks/estimate.py --training STORAGE --steps 300

CPU seconds, which other work on the machine changes least; the most memory of the process; the most bytes
below the storage, raw tables left out, looked at once a second. Training is of the sequences of a storage,
from which nothing but these is read.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from preprocess import PROJECT, simulate, size
from timing import Clock

from clm_ler.corridor.deferred import import_functions
from clm_ler.engines.plans import size_in_bytes
from clm_ler.estimate import CPU_SECONDS, disk_gb, memory_gb, probe, training_cost
from clm_ler.modeling.training import speed

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


def train(sequences: Path, steps: int, folder: Path | None) -> dict[str, float]:
    """Return the CPU seconds that 20 steps promise for a training, and those of `pretrain` as a whole."""
    speed.time = SimpleNamespace(perf_counter=time.process_time)  # type: ignore[assignment]
    bootstrap_project(PROJECT)
    with tempfile.TemporaryDirectory(dir=folder) as storage:
        for part in ("04_feature/tokenizer", "05_model_input/encoded_sequences"):
            shutil.copytree(sequences / part, Path(storage, part))
        given = {"storage": storage, "pretrain": {"max_steps": steps}}
        with KedroSession.create(PROJECT, runtime_params=given) as session:
            import_functions(pipelines.values())
            context = session.load_context()
            found = probe(context.catalog, context.params)
            _steps, estimated = training_cost(found, context.params["pretrain"])
        clock = Clock()
        with KedroSession.create(PROJECT, runtime_params=given) as session:
            session._hook_manager.register(clock)  # type: ignore[attr-defined]
            session.run(pipeline_names=["pretrain"])
    return {"estimated": estimated, "measured": clock.cpu}


def main() -> None:
    """Print a line per number of events, or of a training: estimated, measured, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", nargs="+", type=float, default=[1e6, 1e7])
    parser.add_argument("--memory-limit", default="2GB")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="for the tables; a temporary one by default")
    parser.add_argument(
        "--training", type=Path, help="a storage with sequences; tables are left out"
    )
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    if arguments.training:
        told = train(arguments.training, arguments.steps, arguments.folder)
        ratio = told["estimated"] / told["measured"]
        print(f"training of {arguments.steps} steps, CPU: {told}, ratio {ratio:.2f}")
        return
    for events in arguments.events:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            simulate(Path(folder, "01_raw"), int(events))
            measured = run(Path(folder), arguments.memory_limit, arguments.threads)
        rows = int(events * (1 + 1 / 200))  # a row for each person beside
        estimated = {
            "CPU": CPU_SECONDS.at(rows),
            "memory": memory_gb(rows, size_in_bytes(arguments.memory_limit)),
            "disk": disk_gb(rows, size_in_bytes(arguments.memory_limit)),
        }
        for name, value in measured.items():
            told = f"estimated {estimated[name]:.2f}, measured {value:.2f}"
            print(f"{events:,.0f} events, {name}: {told}, ratio {estimated[name] / value:.2f}")


if __name__ == "__main__":
    main()
