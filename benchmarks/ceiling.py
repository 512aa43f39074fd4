"""What the records of the simulated EHRSHOT site can tell at all: boosting with ten times the labels.

    python benchmarks/ceiling.py --storage DIR --site DIR [--times 10]
    kedro run --pipelines=ehrshot_eval --params=storage=DIR

DIR of ``--storage`` holds a finished default run. Other persons of the same simulation, so many times as
many, are drawn in ``--site``; boosting on their windowed features is fitted on all their labels outside
``valid``, chosen on ``valid``, and predicts the test samples of the storage. The catalog entry
``ehrshot_ceiling`` takes the predictions: the next evaluation has a row ``record ceiling`` in its summary
and figures. What the probabilities reach that drew the labels (``truth``) is more: nobody sees a
disease before it has left a trace.
"""

import argparse
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from ehrshot import PROJECT, run_nodes
from ibis import _
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from clm_ler.modeling.evaluation.probes import fit_probe
from clm_ler.pipelines.ehrshot_eval.baselines import windowed_features
from clm_ler.pipelines.ehrshot_eval.features import Features, age_features
from clm_ler.tables.ehrshot.events import valued_events

OTHER_SEED = 20_000  # added to that of the run
OTHERS = 10**12  # added to the ids of the other persons
GRID = {"max_depth": [3, -1], "learning_rate": [0.1], "num_leaves": [10, 25]}
MOMENT = ["person_id", "prediction_time"]


def simulate(site: Path, persons: int, seed: int, size: dict[str, Any]) -> dict[str, Any]:
    """Draw the other persons, unless it is done, and return their tables."""
    parameters = {"storage": str(site), "seed": seed}
    parameters["cohort"] = {"ehrshot": size | {"persons": persons}}
    names = [node.name for node in pipelines["cohort"].nodes if "simulate_ehrshot" in node.name]
    for name, only in (("cohort", names), ("ehrshot_read", None)):
        run_nodes(parameters, None, name, only)
    return load(parameters, "ehrshot_timeline", "ehrshot_samples")


def load(parameters: dict[str, Any], *names: str, env: str | None = None) -> dict[str, Any]:
    """Return catalog entries as tables that outlive the session."""
    with KedroSession.create(PROJECT, env=env, runtime_params=parameters) as session:
        catalog = session.load_context().catalog
        return {name: ibis.memtable(catalog.load(name).to_pyarrow()) for name in names}


def fit(train: pd.DataFrame, test: pd.DataFrame, features: Features, task: str) -> np.ndarray:
    """Return the probabilities of the test samples of one sub-task."""
    chosen = train["split"] == "valid"
    parts = [
        (features.rows(part), part["label"].to_numpy(np.int8))
        for part in (train[~chosen], train[chosen])
    ]
    probe = fit_probe("gbm", GRID, *parts)
    print(
        f"{task:30} {len(train):8} labels, validation AUROC {probe.validation_auroc:.3f}",
        flush=True,
    )
    return probe.predict(features.rows(test))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--times", type=float, default=10)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    parameters = {"storage": str(arguments.storage)}
    with KedroSession.create(PROJECT, runtime_params=parameters) as session:
        found = session.load_context().params
    ehrshot = found["cohort"].ehrshot.model_dump()
    persons = int(ehrshot["persons"] * arguments.times)
    others = simulate(arguments.site, persons, found["seed"] + OTHER_SEED, ehrshot)
    own = load(parameters, "ehrshot_timeline", "ehrshot_samples", "ehrshot_unit_conversions")

    units = own["ehrshot_unit_conversions"]
    shifted = others["ehrshot_timeline"].mutate(person_id=_.person_id + OTHERS)
    events = valued_events(own["ehrshot_timeline"], units).union(valued_events(shifted, units))
    events = ibis.memtable(events.to_pyarrow())
    train = others["ehrshot_samples"].mutate(person_id=_.person_id + OTHERS).to_pandas()
    test = own["ehrshot_samples"].filter(_.split == "test").to_pandas()
    seen = pd.concat([train, test])[MOMENT].drop_duplicates().sort_values(MOMENT, ignore_index=True)
    last = train.groupby("person_id", as_index=False).agg(last=("prediction_time", "max"))
    ages = age_features(seen, events)
    features = windowed_features(seen, events, ibis.memtable(last), ages, 10, arguments.site)
    rows = []
    for (_task, sub_task), part in test.groupby(["task", "sub_task"]):
        labelled = train[train["sub_task"] == sub_task]
        probability = fit(labelled, part, features, sub_task)
        rows.append(part[["task", "sub_task", *MOMENT]].assign(probability=probability))
    table = pd.concat(rows).rename(columns={"person_id": "patient_id"})
    with KedroSession.create(PROJECT, runtime_params=parameters) as session:
        entry = session.load_context().catalog["ehrshot_ceiling"]
        entry.save(pa.Table.from_pandas(table, preserve_index=False))


if __name__ == "__main__":
    main()
