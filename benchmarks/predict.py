"""Raw tables of new persons to predictions, timed from the first node to the last.

    python benchmarks/predict.py --folder DIR [--persons 40000]

Without ``--trained STORAGE``, the storage of a model that was trained before, it first trains one on the
simulated hospital of the default run. ``few`` persons show what does not grow with them: opening files,
planning queries, loading the model.
"""

import argparse
import tempfile
from pathlib import Path

from kedro.framework.startup import bootstrap_project
from timing import PROJECT, timed_run

FEW = 100
TRAINING = ("cohort", "split", "preprocess", "vocab", "pretrain", "finetune")


def measure(trained: Path, folder: Path, persons: int) -> float:
    """Simulate persons that the model has not seen, and return the seconds to predict them."""
    with tempfile.TemporaryDirectory(dir=folder) as storage:
        size = {"persons": persons, "chunk_persons": 5000}
        timed_run(["cohort"], storage=storage, seed=11, cohort=size)
        return timed_run(["predict"], storage=storage, trained=str(trained))


def train(folder: Path, persons: int) -> Path:
    """Return the storage of a model that is trained on so many persons."""
    storage = folder / f"trained_on_{persons}"
    timed_run(TRAINING, storage=str(storage), cohort={"persons": persons})
    return storage


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trained", type=Path)
    parser.add_argument("--training-persons", type=int, default=2000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--persons", type=int, default=40_000)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    trained = arguments.trained or train(arguments.folder, arguments.training_persons)
    few = measure(trained, arguments.folder, FEW)
    seconds = measure(trained, arguments.folder, arguments.persons)
    rate, after = arguments.persons / seconds, (arguments.persons - FEW) / (seconds - few)
    print(f"{FEW} persons {few:.1f} s; {arguments.persons} persons {seconds:.1f} s")
    print(f"{rate:.0f} persons/s, {after:.0f} after start-up")


if __name__ == "__main__":
    main()
