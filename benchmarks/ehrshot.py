"""The EHRSHOT evaluation, measured: metrics and bootstraps, and the whole at a size of choice.

    python benchmarks/ehrshot.py metrics
    python benchmarks/ehrshot.py pipeline --storage DIR --site DIR [--persons 6739] [--memory 1500MB]

``metrics`` draws labels in the numbers of the real test split (2,212 patients) and compares
AUROC, average precision and Brier score over 1000 patient bootstraps with a loop over scikit-learn,
of which it runs a part, in the same process. ``pipeline`` simulates a site in ``--site`` and evaluates
the model of the finished default run in ``--storage`` on all training samples with the heads
of ``conf/ehrshot``, node by node; 6,739 persons with 6,182 events each are the size of the benchmark. What
an earlier evaluation has left in ``--storage`` is removed first, so that nothing is timed that was only
looked up. ``--memory`` bounds the table engine; what is printed is the peak of the process.
"""

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.runner import SequentialRunner
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.utils import resample
from timing import peak_gib

from clm_ler.modeling.evaluation.bootstrap import (
    OFFICIAL_METRICS,
    patient_weights,
    weighted_metrics,
)

PROJECT = Path(__file__).resolve().parents[1]
SKLEARN = dict(
    zip(OFFICIAL_METRICS, (roc_auc_score, average_precision_score, brier_score_loss), strict=True)
)
PATIENTS, REPLICATES, CHEXPERT_PATIENTS = 2212, 1000, 399
EVENTS_PER_PERSON, STAYS = 6182, 0.5  # of the simulated site
ALL_LABELS = 1_000_000  # more than a task has: none is left out
# Test labels and positives of the 14 tasks, and the labels of the 14 findings.
TASKS = (
    (2195, 552),
    (2189, 260),
    (2037, 85),
    (56338, 19137),
    (63653, 1554),
    (100568, 1368),
    (67028, 19274),
    (58155, 39970),
    (1258, 159),
    (1317, 172),
    (2220, 56),
    (2222, 21),
    (2243, 20),
    (2127, 144),
)
FINDINGS = [(9428, 900)] * 14
# Fewer settings than the published 27 for the counts with bins, which are eight times as many columns.
SHORT_GBM = {
    "estimator": "gbm",
    "grid": {"max_depth": [-1], "learning_rate": [0.02, 0.1], "num_leaves": [10, 25]},
}
MODELS = {
    "clm_ler": ["lr_lbfgs"],
    "clm_ler_finetuned": [],
    "count": ["gbm"],
    "count_bins": ["gbm_short"],
    "windowed": [],
    "clm_ler_windowed": [],
    "untrained": [],
    "demographics": [],
}


def draw(rows: int, positives: int, patients: int, seed: int) -> tuple[np.ndarray, ...]:
    """Patients, labels and probabilities, rounded as those of trees are: with ties."""
    generator = np.random.default_rng(seed)
    labels = np.zeros(rows, np.int8)
    labels[generator.choice(rows, positives, replace=False)] = 1
    scores = np.clip(0.2 * labels + 0.8 * generator.random(rows), 0, 1).round(4)
    return np.sort(generator.integers(0, patients, rows)), labels, scores


def plain_loop(
    patient_ids: np.ndarray, labels: np.ndarray, scores: np.ndarray, replicates: int
) -> dict[str, np.ndarray]:
    """The protocol as it is usually written."""
    patients = np.unique(patient_ids)
    values: dict[str, list[float]] = {name: [] for name in OFFICIAL_METRICS}
    for seed in range(replicates):
        drawn, counts = np.unique(resample(patients, random_state=seed), return_counts=True)
        weight_of = np.zeros(patients.max() + 1)
        weight_of[drawn] = counts
        for name, metric in SKLEARN.items():
            values[name].append(metric(labels, scores, sample_weight=weight_of[patient_ids]))
    return {name: np.array(found) for name, found in values.items()}


def measure_metrics(plain_replicates: int) -> None:
    ours = theirs = worst = 0.0
    for number, (rows, positives) in enumerate([*TASKS, *FINDINGS]):
        patients = CHEXPERT_PATIENTS if number >= len(TASKS) else PATIENTS
        sample = draw(rows, positives, patients, number)
        started = time.perf_counter()
        found = weighted_metrics(*sample[1:], patient_weights(sample[0], REPLICATES))
        ours += time.perf_counter() - started
        started = time.perf_counter()
        plain = plain_loop(*sample, plain_replicates)
        theirs += (time.perf_counter() - started) * REPLICATES / plain_replicates
        for name, values in plain.items():
            worst = max(worst, np.abs(found[name][:plain_replicates] - values).max())
    print(f"28 sub-tasks x {REPLICATES} bootstraps x {len(OFFICIAL_METRICS)} metrics: {ours:.1f} s")
    print(f"scikit-learn loop, {plain_replicates} bootstraps scaled: {theirs:.0f} s")
    print(f"ratio {theirs / ours:.0f}, largest difference {worst:.1e}")


def measure_pipeline(storage: Path, site: Path, persons: int, memory: str) -> None:
    bootstrap_project(PROJECT)
    root = site / "01_raw" / "EHRSHOT_ASSETS"
    if not root.exists():
        simulate(site, persons)
    options = {
        "shots": [-1],
        "replicates": 1,
        "bootstraps": REPLICATES,
        "max_length": 128,  # as in conf/base
        "heads": {"gbm_short": SHORT_GBM},
        "models": MODELS,
        "checkpoints": str(site / "checkpoints"),
    }
    forget(storage)
    parameters = {"storage": str(storage), "ehrshot_root": str(root), "memory_limit": memory}
    for name in ("ehrshot_read", "ehrshot_eval"):
        run_nodes(parameters | {"ehrshot_eval": options}, "ehrshot", name, None)


def forget(storage: Path) -> None:
    """Remove all that an evaluation leaves: its cells and its tables are else taken as they are."""
    for place in storage.glob("0[2-8]_*/ehrshot_*"):
        print(f"removing {place}")
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()


def simulate(site: Path, persons: int) -> None:
    """Write a site with as many events and labels a patient as the real one."""
    size = {"persons": persons, "events_per_person": EVENTS_PER_PERSON, "stays": STAYS}
    size["most_labels"] = ALL_LABELS
    parameters = {"storage": str(site), "cohort": {"ehrshot": size}}
    names = [node.name for node in pipelines["cohort"].nodes]
    chosen = [name for name in names if "simulate_ehrshot" in name]
    run_nodes(parameters, None, "cohort", chosen)


def run_nodes(
    parameters: dict[str, Any], env: str | None, name: str, only: list[str] | None
) -> None:
    """Run the nodes of a pipeline one by one, with the time and the highest memory so far."""
    with KedroSession.create(PROJECT, env=env, runtime_params=parameters) as session:
        catalog = session.load_context().catalog
        pipeline = pipelines[name].only_nodes(*only) if only else pipelines[name]
        total = time.perf_counter()
        for node in pipeline.nodes:
            started = time.perf_counter()
            SequentialRunner().run(pipeline.only_nodes(node.name), catalog)
            print(
                f"{node.name:30} {time.perf_counter() - started:8.1f} s   {peak_gib():.2f} GiB",
                flush=True,
            )
        print(f"{name:30} {time.perf_counter() - total:8.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("metrics", "pipeline"))
    parser.add_argument("--plain-replicates", type=int, default=5)
    parser.add_argument("--storage", type=Path)
    parser.add_argument("--site", type=Path)
    parser.add_argument("--persons", type=int, default=6739)
    parser.add_argument("--memory", default="1500MB")
    arguments = parser.parse_args()
    if arguments.part == "metrics":
        measure_metrics(arguments.plain_replicates)
    else:
        measure_pipeline(arguments.storage, arguments.site, arguments.persons, arguments.memory)


if __name__ == "__main__":
    main()
