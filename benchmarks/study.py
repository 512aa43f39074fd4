"""What pre-training is worth, on a site large enough to tell: the tables of docs/measurements/study.md.

    python benchmarks/study.py --storage DIR [--seeds 1 2 3] [--variants default "shuffled bins" ...]

Simulates the hospital and the EHRSHOT site of the environment `study`, unless they are there, then pre-trains
every variant with every seed and evaluates its frozen embeddings on the same draws of labels: the default beside
all baselines, any other beside a model that has half the steps, too, and nothing else changed. Prints Markdown
tables: mean AUROC over seeds and half their range, macro and by group of tasks; and, for each seed, the
differences with an interval clustered by person. What is done is kept: given again, the command goes on.
"""

import argparse
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from timing import PROJECT

from clm_ler.modeling.data.store import TokenStore

SITE = ("cohort", "split", "preprocess", "vocab", "umls_mapping", "ehrshot_read")
DEFAULT, REFERENCE = "default", "half the steps"
# What each variant changes of `pretrain`; `CONTROLS` change what the model is shown.
VARIANTS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    REFERENCE: {},
    "masked tokens only": {"objective": "mlm"},
    "time to event only": {"objective": "tte"},
    "no visits": {"visit_weight": 0.0},
    "no next bins": {"next_bin_weight": 0.0},
    "no rows for (lab, bin), no forecasts": {"lab_bin_rows": False},
    "pooling query+mean": {"pooling": "query+mean"},
    "pooling query": {"pooling": "query"},
    "pooling mean": {"pooling": "mean"},
    "width 128": {"hidden_size": 128, "intermediate_size": 256},
    "blind to days": {"time_encoding": "order"},
    "shuffled bins": {},
    "a tenth of the persons": {},
}
HALF = {"max_steps": 8000}
# The command line adds to the models of the environment: no head takes one out.
BASELINES = ("untrained", "demographics", "count", "count_bins", "windowed", "clm_ler_windowed")
Control = Callable[[pa.Table, str | None], pa.Table]
GROUPS = ("macro", "operational_outcomes", "lab_values", "new_diagnoses", "chexpert")


def shuffle_bins(sequences: pa.Table, split: str | None) -> pa.Table:
    """Return sequences whose results have the bin of another result of the same lab, whoever's it was."""
    ids, bins = (sequences[name].combine_chunks() for name in ("input_ids", "token_type_ids"))
    codes, values = ids.values.to_numpy(), bins.values.to_numpy()
    chance = np.random.default_rng(0).random(len(codes))
    drawn = np.empty_like(values)
    drawn[np.argsort(codes, kind="stable")] = values[np.lexsort((chance, codes))]
    shuffled = pa.ListArray.from_arrays(bins.offsets, pa.array(drawn))
    place = sequences.column_names.index("token_type_ids")
    return sequences.set_column(place, "token_type_ids", shuffled)


def a_tenth(sequences: pa.Table, split: str | None) -> pa.Table:
    """Return every tenth person where it is trained, everyone elsewhere."""
    return sequences.take(np.arange(0, len(sequences), 10)) if split == "train" else sequences


CONTROLS: dict[str, Control] = {"shuffled bins": shuffle_bins, "a tenth of the persons": a_tenth}


@contextmanager
def shown(control: Control | None) -> Iterator[None]:
    """Let models see what a control makes of the sequences, in training and at the site."""
    if control is None:
        yield
        return
    read = TokenStore.from_arrow

    def changed(sequences: pa.Table, split: str | None = None) -> TokenStore:
        return read(control(sequences, split), split)

    with patch.object(TokenStore, "from_arrow", changed):
        yield


def run(pipelines: tuple[str, ...], storage: Path, **parameters: Any) -> None:
    """Run pipelines of the environment `study`."""
    given = {"storage": str(storage), **parameters}
    with KedroSession.create(PROJECT, env="study", runtime_params=given) as session:
        session.run(pipeline_names=list(pipelines))


def simulate(site: Path) -> None:
    """Make the hospital and the site, unless they are there."""
    if not (site / "done").exists():
        run(SITE, site)
        (site / "done").touch()


def copy_of(site: Path, folder: Path) -> Path:
    """Return a storage that shares the files of the site: published files are replaced, never changed."""
    if not folder.exists():
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        skip = shutil.ignore_patterns(".lock*")
        shutil.copytree(site, unfinished, copy_function=os.link, ignore=skip)
        unfinished.rename(folder)
    return folder


def link_cells(first: Path, folder: Path) -> None:
    """Give a storage the fitted classifiers of the first: their names say what they are of."""
    cells = Path("07_model_output", "ehrshot_cells")
    for file in (first / cells).glob("*.parquet"):
        (folder / cells).mkdir(parents=True, exist_ok=True)
        if not (folder / cells / file.name).exists():
            os.link(file, folder / cells / file.name)


def name_of(variant: str, seed: int) -> str:
    """Return the name of a variant's storage."""
    return "".join(c if c.isalnum() else "-" for c in f"{variant}-{seed}")


def changes(variant: str, seed: int, storage: Path) -> dict[str, Any]:
    """Return the parameters of a variant."""
    if variant == DEFAULT:
        return {"seed": seed}
    beside = {} if variant == REFERENCE else {REFERENCE: str(storage / name_of(REFERENCE, seed))}
    training = VARIANTS[variant] | HALF
    return {
        "seed": seed,
        "pretrain": training,
        "ehrshot_eval": {"models": dict.fromkeys(BASELINES, ()), "beside": beside},
    }


def evaluate(storage: Path, **parameters: Any) -> pd.DataFrame:
    """Return the AUROC by scope, model, head and number of labels; of several heads the best."""
    done = storage / "08_reporting" / "ehrshot_summary.parquet"
    if not done.exists():
        run(("pretrain", "ehrshot_eval"), storage, **parameters)
    rows = ibis.read_parquet(done).to_pandas()
    rows = rows[(rows["score"] == "auroc") & (rows["source"] == "this run")]
    several = rows.loc[rows["head"] == "best", "model"]
    return rows[(rows["head"] == "best") | ~rows["model"].isin(several)]


def verdict(storage: Path, variant: str, seed: int) -> str:
    """Return a Markdown table of the paired differences, macro and by group."""
    rows = ibis.read_parquet(storage / "08_reporting" / "ehrshot_verdict.parquet").to_pandas()
    rows = rows[rows["scope"].isin(GROUPS)].replace({"model": {"clm_ler": variant}})
    lines = ["\n| seed | tasks | k | model | beside | difference |", "|---" * 6 + "|"]
    lines += [
        f"| {seed} | {row.scope} | {'all' if row.k < 0 else row.k} | {row.model} | {row.other_model} | "
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
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=[DEFAULT])
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    storage, site = arguments.storage, arguments.storage / "site"
    simulate(site)
    wanted = {*arguments.variants}
    if wanted != {DEFAULT}:
        wanted.add(REFERENCE)
    found: list[pd.DataFrame] = []
    verdicts: list[str] = []
    for variant in [name for name in VARIANTS if name in wanted]:
        for seed in arguments.seeds:
            folder = copy_of(site, storage / name_of(variant, seed))
            # Baselines depend on no seed.
            link_cells(storage / name_of(variant, arguments.seeds[0]), folder)
            with shown(CONTROLS.get(variant)):
                rows = evaluate(folder, **changes(variant, seed, storage))
            rows = rows[rows["model"] != REFERENCE]
            found.append(rows.assign(variant=rows["model"].replace("clm_ler", variant)))
            verdicts.append(verdict(folder, variant, seed))
            print(table(pd.concat(found), "macro"), flush=True)
    for scope in GROUPS:
        print(table(pd.concat(found), scope))
    print(*verdicts)


if __name__ == "__main__":
    main()
