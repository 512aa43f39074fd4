"""What pre-training is worth, on a site large enough to tell: the tables of docs/measurements/study.md.

    python benchmarks/study.py --storage DIR [--seeds 1 2 3] [--variants default mlm ...]

Simulates the hospital and the EHRSHOT site of the environment `study`, unless they are there, then pre-trains
every variant with every seed and evaluates its frozen embeddings on the same draws of labels. The first one is
evaluated beside all opponents. Prints Markdown tables: mean AUROC over seeds and half their range, macro and by
group of tasks; and the difference to each opponent with an interval clustered by person. What is done is kept:
given again, the command goes on.
"""

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from timing import PROJECT

SITE = ("cohort", "split", "preprocess", "vocab", "umls_mapping", "ehrshot_read")
# What each variant changes of `pretrain`, or of what the model is shown.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "masked tokens only": {"objective": "mlm"},
    "time to event only": {"objective": "tte"},
    "no visits": {"visit_weight": 0.0},
    "no next bins": {"next_bin_weight": 0.0},
    "no rows for (lab, bin), no forecasts": {"lab_bin_rows": False},
    "pooling query+mean": {"pooling": "query+mean"},
    "pooling query": {"pooling": "query"},
    "pooling mean": {"pooling": "mean"},
    "blind to days": {"time_encoding": "order"},
    "half the steps": {"max_steps": 4000},
    "width 128": {"hidden_size": 128, "intermediate_size": 256},
}
# The command line adds to the models of the environment: no head takes one out.
OPPONENTS = ("untrained", "demographics", "count", "count_bins", "windowed", "clm_ler_windowed")
MODEL_ALONE = {"clm_ler": ["lr_standardised", "lr_lasso"], **dict.fromkeys(OPPONENTS, ())}
GROUPS = ("macro", "operational_outcomes", "lab_values", "new_diagnoses", "chexpert")


def run(pipelines: tuple[str, ...], storage: Path, **parameters: Any) -> None:
    """Run pipelines of the environment `study`."""
    given = {"storage": str(storage), **parameters}
    with KedroSession.create(PROJECT, env="study", runtime_params=given) as session:
        session.run(pipeline_names=list(pipelines))


def copy_of(site: Path, folder: Path) -> Path:
    """Return a storage that shares the files of the site: published files are replaced, never changed."""
    if not folder.exists():
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        skip = shutil.ignore_patterns(".lock*")
        shutil.copytree(site, unfinished, copy_function=os.link, ignore=skip)
        unfinished.rename(folder)
    return folder


def name_of(variant: str, seed: int) -> str:
    """Return the name of a variant's storage."""
    return "".join(c if c.isalnum() else "-" for c in f"{variant}-{seed}")


def evaluate(storage: Path, **parameters: Any) -> pd.DataFrame:
    """Return the AUROC by scope, model, head and number of labels; of several heads the best."""
    done = storage / "08_reporting" / "ehrshot_summary.parquet"
    if not done.exists():
        run(("pretrain", "ehrshot_eval"), storage, **parameters)
    rows = ibis.read_parquet(done).to_pandas()
    rows = rows[(rows["score"] == "auroc") & (rows["source"] == "this run")]
    several = rows.loc[rows["head"] == "best", "model"]
    return rows[(rows["head"] == "best") | ~rows["model"].isin(several)]


def verdict(storage: Path) -> str:
    """Return a Markdown table of the paired differences, macro and by group."""
    rows = ibis.read_parquet(storage / "08_reporting" / "ehrshot_verdict.parquet").to_pandas()
    rows = rows[rows["scope"].isin(GROUPS)]
    lines = ["\n| tasks | k | model | opponent | difference |", "|---" * 5 + "|"]
    lines += [
        f"| {row.scope} | {'all' if row.k < 0 else row.k} | {row.model} | {row.other_model} | "
        f"{row.difference:+.3f} ({row.lower:+.3f} to {row.upper:+.3f}) |"
        for row in rows.itertuples()
    ]
    return "\n".join(lines)


def table(rows: pd.DataFrame, scope: str) -> str:
    """Return a Markdown table of one scope: a row per variant, a column per number of labels."""
    part = rows[rows["scope"] == scope]
    grouped = part.groupby(["variant", "k"], sort=False)["value"]
    shown = grouped.mean().map("{:.3f}".format)
    spread = grouped.agg(lambda values: (values.max() - values.min()) / 2)
    shown = shown.where(spread == 0, shown + " ± " + spread.map("{:.3f}".format))
    wide = shown.unstack("k")
    ordered = [*sorted(k for k in wide.columns if k > 0), *(k for k in wide.columns if k < 0)]
    names = ["all" if k < 0 else str(k) for k in ordered]
    lines = [f"\n| {scope} | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    rows_of = (map(str, [name, *wide.loc[name, ordered]]) for name in part["variant"].unique())
    lines += ["| " + " | ".join(row) + " |" for row in rows_of]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    site = arguments.storage / "site"
    if not (site / "done").exists():
        run(SITE, site)
        (site / "done").touch()
    found: list[pd.DataFrame] = []
    for variant in arguments.variants:
        for seed in arguments.seeds:
            folder = copy_of(site, arguments.storage / name_of(variant, seed))
            alone = {"models": MODEL_ALONE} if found else {}
            changes = {"pretrain": VARIANTS[variant], "ehrshot_eval": alone, "seed": seed}
            rows = evaluate(folder, **changes)
            others = rows[rows["model"] != "clm_ler"]
            found += [] if found else [others.assign(variant=others["model"])]
            found.append(rows[rows["model"] == "clm_ler"].assign(variant=variant))
            print(table(pd.concat(found), "macro"), flush=True)
    for scope in GROUPS:
        print(table(pd.concat(found), scope))
    first = name_of(arguments.variants[0], arguments.seeds[0])
    print(verdict(arguments.storage / first))


if __name__ == "__main__":
    main()
