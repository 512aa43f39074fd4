"""The first time of a condition within three years, on any OMOP folder: the model beside its baselines.

    python benchmarks/first_events.py --cdm DIR --storage DIR --concepts 192671 317576 [--seeds 1 2 3] [--steps 3000]
        [--preset tiny] [--age 30]

Asked once a year, at a SNOMED code, of everyone of at least ``--age`` with a year of history. All conditions are
tasks of one model. Each seed splits the persons, pre-trains and fine-tunes anew. Prints a Markdown table of the
AUROC on the test persons: means over the conditions, for each seed, then for each condition over the seeds.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from sklearn.metrics import roc_auc_score
from timing import PROJECT

from clm_ler.files.atomic import read_json, write_json

CHAIN = ("split", "preprocess", "vocab", "pretrain", "label", "finetune")


def task_of(concept: int, years: float) -> dict[str, Any]:
    """Return the task of a condition's first time, asked of persons of some years of age at least."""
    return {
        "name": f"first_{concept}",
        "events": {
            "outcome": {"concepts": [{"id": concept}]},
            "asked": {"codes": {"SNOMED": ["*"]}},
        },
        "index": {
            "event": "asked",
            "keep": "yearly",
            "min_history": 365,
            "age": [years, None],
            "without": ["outcome"],
        },
        "outcome": {"event": "outcome", "days": [1, 1095], "first_ever": True},
    }


def run(storage: Path, cdm: Path, **parameters: Any) -> None:
    """Run the chain of the environment `omop`."""
    given = {"storage": str(storage), "cdm_root": str(cdm), **parameters}
    with KedroSession.create(PROJECT, env="omop", runtime_params=given) as session:
        session.run(pipeline_names=list(CHAIN))


def aurocs(storage: Path, cdm: Path) -> pd.DataFrame:
    """Return the AUROC of each model and task on the test persons: ``task, model, auroc``."""
    given = {"storage": str(storage), "cdm_root": str(cdm)}
    with KedroSession.create(PROJECT, env="omop", runtime_params=given) as session:
        catalog = session.load_context().catalog
        truth = catalog.load("finetune_predictions").to_pandas()
        others = [
            catalog.load(name).to_pandas()
            for name in ("baseline_predictions", "finetune_hybrid_predictions")
        ]
    truth = truth[truth["split"] == "test"]
    labels = truth[["sample_id", "task", "label"]]
    scores = pd.concat([truth.assign(model="model"), *others])[
        ["sample_id", "task", "model", "probabilities"]
    ]
    rows = scores.merge(labels, on=["sample_id", "task"])
    rows["risk"] = rows["probabilities"].str[1]
    groups = rows.groupby(["task", "model"], sort=False)
    return groups.apply(auroc_of).rename("auroc").reset_index()


def auroc_of(rows: pd.DataFrame) -> float:
    """Return the AUROC, NaN where all labels are the same."""
    known = rows["label"].nunique() > 1
    return roc_auc_score(rows["label"], rows["risk"]) if known else float("nan")


def absolute(path: str) -> Path:
    """Return a path that does not depend on where it is read from."""
    return Path(path).resolve()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cdm", type=absolute, required=True)
    parser.add_argument("--storage", type=absolute, required=True)
    parser.add_argument("--concepts", type=int, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--age", type=float, default=30)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    given = {name: str(value) for name, value in vars(arguments).items() if name != "seeds"}
    parts = []
    for seed in arguments.seeds:
        storage = arguments.storage / f"seed_{seed}"
        if read_json(storage / "done.json") != given:
            run(
                storage,
                arguments.cdm,
                seed=seed,
                split={"salt": f"seed {seed}"},
                pretrain={"preset": arguments.preset, "max_steps": arguments.steps},
                task=[task_of(concept, arguments.age) for concept in arguments.concepts],
            )
            write_json(storage / "done.json", given)
        parts.append(aurocs(storage, arguments.cdm).assign(seed=f"seed {seed}"))
    rows = pd.concat(parts)
    by_seed = rows.pivot_table("auroc", "model", "seed", sort=False)
    by_task = rows.pivot_table("auroc", "model", "task", sort=False)
    table = by_seed.join(by_task)
    print("| | " + " | ".join(table.columns) + " |", "|---" * (table.shape[1] + 1) + "|", sep="\n")
    for row in table.itertuples():
        print(f"| {row[0]} | " + " | ".join(f"{value:.3f}" for value in row[1:]) + " |")


if __name__ == "__main__":
    main()
