"""Raw tables of new persons to predictions, timed from the first node to the last.

python benchmarks/predict.py --trained STORAGE_OF_THE_TRAINING --folder DIR [--persons 40000]

``few`` persons show what does not grow with them: opening files, planning queries, loading the model.
"""

import argparse
import tempfile
from pathlib import Path

from kedro.framework.startup import bootstrap_project
from timing import PROJECT, timed_run

FEW = 100


def measure(trained: Path, folder: Path, persons: int) -> float:
    """Simulate persons that the model has not seen, and return the seconds to predict them."""
    with tempfile.TemporaryDirectory(dir=folder) as storage:
        size = {"persons": persons, "chunk_persons": 5000}
        timed_run(["cohort"], storage=storage, seed=11, cohort=size)
        return timed_run(["predict"], storage=storage, trained=str(trained))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trained", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--persons", type=int, default=40_000)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    few = measure(arguments.trained, arguments.folder, FEW)
    seconds = measure(arguments.trained, arguments.folder, arguments.persons)
    rate, after = arguments.persons / seconds, (arguments.persons - FEW) / (seconds - few)
    print(f"{FEW} persons {few:.1f} s; {arguments.persons} persons {seconds:.1f} s")
    print(f"{rate:.0f} persons/s, {after:.0f} after start-up")


if __name__ == "__main__":
    main()
