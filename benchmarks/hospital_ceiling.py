"""What the records of the simulated hospital can tell of a fine-tuning task: boosting with ten times the persons.

    kedro run --pipelines=cohort,split,preprocess,vocab,pretrain,finetune --params=storage=DIR
    python benchmarks/hospital_ceiling.py --storage DIR --others DIR [--task diabetes_1y] [--times 10] [--env study]

Other persons of the same simulation, so many times as many, are drawn in ``--others``. Boosting on their windowed
features is fitted on all their labels outside ``valid``, chosen on ``valid``, and predicts the test samples of the
storage. Prints the AUROC on these with an interval clustered by person, beside that of the probabilities that drew
the labels. `benchmarks/ceiling.py` does the same for the EHRSHOT site.
"""

import argparse
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ceiling import MOMENT, OTHER_SEED, OTHERS, fit, load
from ibis import _
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from timing import PROJECT

from clm_ler.modeling.evaluation.bootstrap import (
    patient_weights,
    percentile_interval,
    unit_weights,
    weighted_auroc,
)
from clm_ler.pipelines.ehrshot_eval.baselines import windowed_features
from clm_ler.pipelines.ehrshot_eval.features import age_features
from clm_ler.tables.ehrshot.events import valued_events

TABLES = ("coded_events", "lab_events", "raw_labels", "person_splits", "unit_conversions")
NO_RESULT = {"unit": "string", "value": "float64"}


def simulate(others: Path, persons: int, seed: int, env: str | None) -> dict[str, ir.Table]:
    """Draw the other persons, unless it is done, and return their tables."""
    size = {"persons": persons, "chunk_persons": 5000, "ehrshot": {"persons": 50}}
    parameters = {"storage": str(others), "seed": seed, "cohort": size}
    if not (others / "done").exists():
        with KedroSession.create(PROJECT, env=env, runtime_params=parameters) as session:
            session.run(
                pipeline_names=["cohort", "split", "preprocess"],
                to_outputs=["coded_events", "lab_events", "person_splits", "raw_labels"],
            )
        (others / "done").touch()
    return load(parameters, *TABLES[:-1], env=env)


def events_of(tables: dict[str, ir.Table], units: ir.Table) -> ir.Table:
    """Return person_id, time, token and value of all events."""
    no_result = {name: ibis.null(kind) for name, kind in NO_RESULT.items()}
    coded, labs = tables["coded_events"].mutate(no_result), tables["lab_events"]
    columns = ["person_id", "time", "system", "code", *NO_RESULT]
    rows = coded.select(columns).union(labs.select(columns))
    return valued_events(rows.mutate(text=ibis.null("string")), units)


def samples_of(tables: dict[str, ir.Table], task: str) -> ir.Table:
    """Return the samples of a task, with their split."""
    labels = tables["raw_labels"].filter(_.task == task)
    return labels.inner_join(tables["person_splits"].select("person_id", "split"), "person_id")


def interval(labels: np.ndarray, scores: np.ndarray, persons: np.ndarray) -> str:
    """Return an AUROC with a 95 % interval clustered by person."""
    point = weighted_auroc(labels, scores, unit_weights(len(labels)))[0]
    lower, upper = percentile_interval(
        weighted_auroc(labels, scores, patient_weights(persons, 1000))
    )
    return f"{point:.3f} ({lower:.3f} to {upper:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--task", default="diabetes_1y")
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--env")
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    parameters, env = {"storage": str(arguments.storage)}, arguments.env
    with KedroSession.create(PROJECT, env=env, runtime_params=parameters) as session:
        found = session.load_context().params
    persons = int(found["cohort"].persons * arguments.times)
    others = simulate(arguments.others, persons, found["seed"] + OTHER_SEED, env)
    own = load(parameters, *TABLES, "cohort_truth", env=env)

    units = own["unit_conversions"]
    shifted = events_of(others, units).mutate(person_id=_.person_id + OTHERS)
    test = samples_of(own, arguments.task).filter(_.split == "test")
    tested = events_of(own, units).semi_join(test, "person_id")
    events = ibis.memtable(tested.union(shifted).to_pyarrow())
    fitted = samples_of(others, arguments.task).mutate(person_id=_.person_id + OTHERS)
    train, test = fitted.to_pandas(), test.to_pandas()
    seen = pd.concat([train, test])[MOMENT].drop_duplicates().sort_values(MOMENT, ignore_index=True)
    last = train.groupby("person_id", as_index=False).agg(last=("prediction_time", "max"))
    ages = age_features(seen, events)
    features = windowed_features(seen, events, ibis.memtable(last), ages, 10, arguments.others)
    scores = fit(train, test, features, arguments.task)

    truth = own["cohort_truth"].filter(_.task == arguments.task, _.label == 1).to_pandas()
    drawn = test.merge(truth[[*MOMENT, "probability"]], on=MOMENT, how="left")["probability"]
    rows = {"record ceiling": scores, "hidden state": drawn.to_numpy()}
    labels, of_persons = test["label"].to_numpy(), test["person_id"].to_numpy()
    print(
        f"\n{len(test)} test samples of {len(np.unique(of_persons))} persons, {labels.sum()} positive"
    )
    for name, predicted in rows.items():
        print(f"| {name} | {interval(labels, predicted, of_persons)} |")


if __name__ == "__main__":
    main()
