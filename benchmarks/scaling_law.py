"""How much better models get with more persons, more steps and more width.

    python benchmarks/scaling_law.py --storage DIR [--every 1 3 10 ...] [--figure FILE.html]

Works on the hospital and the EHRSHOT site of `benchmarks/study.py` (in DIR/site, made unless they are there). Trains
a model for every combination of ``--every`` (1: all persons, 10: every tenth), ``--widths`` and ``--steps``,
with one seed. All are measured on the same test split, in the same vocabulary and by the same targets, and their frozen
embeddings on the same draws of labels. Prints a Markdown table, and the law

    loss = limit + persons part + steps part + width part, where a part falls as a power of its size

as Hoffmann et al. 2022 (arXiv 2203.15556, equation 10) fit it for persons and parameters, with the spread of its
exponents over fits that leave out one model each. What is done is kept: given again, the command goes on.
"""

import argparse
import itertools
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from plotly.subplots import make_subplots
from scipy.optimize import least_squares
from study import BASELINES, Control, copy_of, run, shown, simulate
from timing import PROJECT

from clm_ler.corridor import figures as look
from clm_ler.files.atomic import read_json

AXES = ("persons", "steps", "width")
SHOTS = (32, 128)
MANY = 40_000_000  # persons, for whom the law is asked


def every(step: int) -> Control:
    """Return what leaves every so-manieth person to train on."""

    def thinned(sequences: pa.Table, split: str | None) -> pa.Table:
        return sequences.take(np.arange(0, len(sequences), step)) if split == "train" else sequences

    return thinned


def train(folder: Path, step: int, pretrain: dict[str, Any]) -> None:
    """Pre-train one model and evaluate its embeddings."""
    given = {"storage": str(folder), "seed": 1, "pretrain": pretrain}
    # Targets are those of all persons: only losses of the same targets compare.
    with KedroSession.create(PROJECT, env="study", runtime_params=given) as session:
        session.run(pipeline_names=["pretrain"], to_outputs=["pretrain_targets"])
    with (
        shown(every(step)),
        KedroSession.create(PROJECT, env="study", runtime_params=given) as session,
    ):
        session.run(pipeline_names=["pretrain"], from_inputs=["pretrain_targets"])
    evaluation = {"models": dict.fromkeys(BASELINES, ()), "shots": SHOTS}
    run(("ehrshot_eval",), folder, seed=1, pretrain=pretrain, ehrshot_eval=evaluation)


def count_train(site: Path) -> int:
    """Return the persons of the train split who have a sequence."""
    with KedroSession.create(
        PROJECT, env="study", runtime_params={"storage": str(site)}
    ) as session:
        sequences = session.load_context().catalog.load("encoded_sequences")
    return pc.sum(pc.equal(sequences["split"], "train")).as_py()


def measure(
    storage: Path, train_persons: int, step: int, width: int, steps: int
) -> dict[str, float]:
    """Return size, loss and AUROC of one model, trained unless it is there."""
    folder = copy_of(storage / "site", storage / f"law-{step}-{width}-{steps}")
    reports = folder / "08_reporting"
    if not (reports / "ehrshot_summary.parquet").exists():
        size = {"hidden_size": width, "intermediate_size": 2 * width, "max_steps": steps}
        train(folder, step, size | {"num_attention_heads": width // 32})
    quality = read_json(reports / "pretrain_metrics.json")
    rows = ibis.read_parquet(reports / "ehrshot_summary.parquet").to_pandas()
    rows = rows[(rows["score"] == "auroc") & (rows["scope"] == "macro") & (rows["head"] == "best")]
    auroc = rows[rows["model"] == "clm_ler"].set_index("k")["value"]
    return {
        "persons": -(-train_persons // step),
        "steps": steps,
        "width": width,
        "loss": quality["test"]["total_loss"],
    } | {f"AUROC {k}": auroc[k] for k in SHOTS}


def law(values: np.ndarray, sizes: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Return the losses of a law: its limit, then a part at the largest size and an exponent for each axis."""
    limit, parts, exponents = values[0], np.exp(values[1:4]), values[4:]
    return limit + (parts * (sizes / largest) ** -exponents).sum(axis=1)


def fit(points: pd.DataFrame) -> np.ndarray:
    """Return limit, log of each part at the largest size of the points, and exponents."""
    sizes = points[list(AXES)].to_numpy(float)
    largest, losses = sizes.max(axis=0), points["loss"].to_numpy()
    start = np.array([losses.min() - 0.5, *np.log([0.2] * 3), *[0.4] * 3])
    bounds = ([0, *[-12] * 3, *[0.02] * 3], [losses.min(), *[2] * 3, *[3.0] * 3])
    return least_squares(
        lambda v: law(v, sizes, largest) - losses,
        start,
        bounds=bounds,
        loss="soft_l1",
        f_scale=0.02,
    ).x


def show_fit(points: pd.DataFrame) -> None:
    """Print the law, its spread, and what it says of many persons."""
    best = fit(points)
    spread = np.array([fit(points.drop(index=row)) for row in points.index])
    largest = points[list(AXES)].max()
    sizes = points[list(AXES)].to_numpy(float)
    off = law(best, sizes, sizes.max(axis=0)) - points["loss"].to_numpy()
    print(f"\nlimit {best[0]:.3f} ({spread[:, 0].min():.3f} to {spread[:, 0].max():.3f}), ", end="")
    print(f"largest error of {len(points)} models {np.abs(off).max():.3f} nats")
    print("\n| | at most | nats there | exponent | without one model | ten times as much gains |")
    print("|---" * 6 + "|")
    for n, axis in enumerate(AXES):
        part, exponent, around = np.exp(best[1 + n]), best[4 + n], spread[:, 4 + n]
        gain = part * (1 - 10**-exponent)
        print(
            f"| {axis} | {largest[axis]:,} | {part:.3f} | {exponent:.2f} | "
            f"{around.min():.2f} to {around.max():.2f} | {gain:.3f} |"
        )
    left = np.exp(best[1]) * (MANY / largest["persons"]) ** -best[4]
    print(f"\nwith {MANY:,.0f} persons {left:.4f} nats would be left of the part of the persons")


def draw(points: pd.DataFrame) -> go.Figure:
    """Return loss and AUROC over the steps, a line for each number of persons and each width."""
    shown_scores = ("loss", "AUROC 128")
    figure = make_subplots(
        1, 2, subplot_titles=("loss on the test split", "macro AUROC, 128 labels")
    )
    dashes = dict(zip(sorted(points["width"].unique()), ("dot", "dash", "solid"), strict=False))
    for number, (persons, group) in enumerate(points.groupby("persons")):
        for width, line in group.sort_values("steps").groupby("width"):
            for column, score in enumerate(shown_scores, start=1):
                trace = go.Scatter(
                    x=line["steps"],
                    y=line[score],
                    name=f"{persons:,} persons, width {width}",
                    mode="lines+markers",
                    line={"color": look.PALETTE[number], "dash": dashes.get(width, "solid")},
                    showlegend=column == 1,
                )
                figure.add_trace(trace, 1, column)
    figure.update_xaxes(type="log", title_text="steps", tickvals=sorted(points["steps"].unique()))
    figure.update_yaxes(range=[0.74, 0.80], col=2)
    finding = "The loss falls with steps, width and persons; the AUROC at another site hardly moves"
    beside = {"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"}
    about = (
        "Pre-training on the simulated hospital, frozen embeddings at its EHRSHOT site; one seed"
    )
    return look.finish(figure, finding, about, height=480, legend=beside)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--storage", type=Path, required=True)
    parser.add_argument("--every", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 2000, 4000, 8000])
    parser.add_argument("--figure", type=Path, help="an HTML page to write")
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    simulate(arguments.storage / "site")
    persons = count_train(arguments.storage / "site")
    sizes = sorted(
        itertools.product(arguments.every, arguments.widths, arguments.steps),
        key=lambda size: size[1] ** 2 * size[2],
    )
    points = pd.DataFrame()
    for size in sizes:
        row = measure(arguments.storage, persons, *size)
        points = pd.concat([points, pd.DataFrame([row])], ignore_index=True)
        print(row, flush=True)
    points = points.sort_values(list(AXES), ignore_index=True)
    print("\n| " + " | ".join(points.columns) + " |\n" + "|---" * len(points.columns) + "|")
    for row in points.itertuples(index=False):
        print("| " + " | ".join(f"{v:,}" if isinstance(v, int) else f"{v:.3f}" for v in row) + " |")
    if len(points) > 2 * len(AXES) + 1:
        show_fit(points)
    if arguments.figure:
        draw(points).write_html(arguments.figure)


if __name__ == "__main__":
    main()
