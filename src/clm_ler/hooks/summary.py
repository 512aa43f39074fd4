"""Say at the end of a run where its results are and what they come to."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from clm_ler.corridor.cards import shown
from clm_ler.engines.portable import row_count
from clm_ler.files.location import dataset_location
from clm_ler.tables.cutflow import ADVICE, describe_reasons
from clm_ler.tables.screening import NO_PERSON, UNREADABLE_BIRTH

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

HIDDEN_STATE = "hidden state (not reachable)"  # what drew the labels of a simulation


class SummaryHooks:
    """One line for each headline result that the run wrote, after its last node."""

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Log the lines."""
        written = pipeline.all_outputs()
        lines = [
            f"{describe(catalog.load(source))}  ({_place(catalog[name])})"
            for name, (source, describe) in HEADLINES.items()
            if {name, source} <= written and name in catalog
        ]
        if {*LOSSES} <= written:
            lines += describe_losses(*(catalog.load(name) for name in LOSSES))
        if "rows_by_year" in written:
            warn_of_early_ends(catalog.load("rows_by_year"))
        pages = [name for name in ("report", "site_report") if name in written]
        lines += [f"all of it on one page  ({_place(catalog[name])})" for name in pages]
        if lines and not pages and not {"kit", "predictions"} & written:
            lines.append(f"{report_command(run_params)} puts all of it on one page")
        if lines:
            logger.info("Results:\n%s", "\n".join(f"  {line}" for line in lines))


def report_command(run_params: Mapping[str, Any]) -> str:
    """Return the command that makes the report of this run, from the environment and places it was given."""
    given = run_params.get("runtime_params") or {}
    places = [
        f"{name}={value}"
        for name, value in given.items()
        if name == "storage" or name.endswith("_root")
    ]
    words = [
        "kedro",
        "run",
        f"--env={run_params['env']}" if run_params.get("env") else "",
        "--pipelines=report",
        f"--params={','.join(places)}" if places else "",
    ]
    return shlex.join(filter(None, words))


def _place(dataset: Any) -> str:
    return (dataset_location(dataset) or "memory").removeprefix("file://")


def describe_sequences(report: dict[str, Any]) -> str:
    """Return persons and tokens, from the report on the vocabulary."""
    systems = [split["all"] for split in report["coverage"].values() if "all" in split]
    persons, tokens = (sum(system[name] for system in systems) for name in ("persons", "tokens"))
    return f"{persons:,} persons, {tokens:,} tokens"


def describe_vocabulary(report: dict[str, Any]) -> str:
    """Return the share of the test split's tokens that the vocabulary holds."""
    whole = report["coverage"].get("test", {}).get("all")
    share = (
        f"{whole['tokens_covered']:.1%} of the test split's tokens" if whole else "no test split"
    )
    return f"vocabulary of {report['size']:,} tokens, {share}"


def describe_pretraining(metrics: dict[str, Any]) -> str:
    """Return the accuracy on masked codes, or the loss where none are masked, beside a baseline's."""
    split = "test" if "test" in metrics else "valid"
    measured = metrics[split]
    baselines = measured["baselines"]
    if "accuracy" in measured:
        right, unigram = (of["accuracy"]["top1"] for of in (measured, baselines["unigram"]))
        return f"masked codes: {right:.1%} right, unigram baseline {unigram:.1%}"
    name = min(baselines, key=lambda one: baselines[one]["loss"])
    return f"{split} loss {measured['loss']:.3f}, {name} {baselines[name]['loss']:.3f}"


def describe_finetuning(metrics: dict[str, Any]) -> str:
    """Return each task's AUROC beside that of the best baseline, and the verdict."""
    return "; ".join(_describe_task(name, task) for name, task in metrics["tasks"].items())


def _describe_task(name: str, task: dict[str, Any]) -> str:
    text = f"{name}: fine-tuned AUROC {shown(task['auroc'])}"
    if hybrid := task.get("hybrid"):
        text += f", hybrid {shown(hybrid['auroc'])}"
    if baselines := task.get("baselines"):
        strongest = max(baselines, key=lambda one: baselines[one]["auroc"]["value"] or 0.0)
        text += f", best baseline {strongest} {shown(baselines[strongest]['auroc'])}"
    if truth := task.get("hidden_state_auroc"):
        text += f", {HIDDEN_STATE} {shown(truth)}"
    return f"{text}. {task['verdict']}" if "verdict" in task else text


def describe_losses(cutflow: ir.Table, loss_ledger: ir.Table) -> list[str]:
    """Return what share of the lab results and of the codes has a token, and why others have none."""
    left: Counter[tuple[str, bool]] = Counter()
    for row in cutflow.to_pyarrow().to_pylist():
        if row["step"] in ("raw", "read", "lab_tokens") and row["table"] != "patient":
            left[row["step"], row["table"] == "lab"] += row["rows"]
    lost: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    losses = loss_ledger.to_pyarrow().to_pylist()
    for row in losses:
        if row["step"] in ("read", "lab_tokens") and row["table"] != "patient":
            lost[row["table"] == "lab"][row["reason"]] += row["rows"]
    lines = [
        f"{row['table']}: {row['rows']:,} rows without an id are lost"
        for row in losses
        if row["reason"] == NO_PERSON
    ]
    lines += [
        f"patient: {row['rows']:,} of {row['rows_in']:,} birth dates cannot be read: see px_birth_date in "
        "preprocess.tables.patient"
        for row in losses
        if row["reason"] == UNREADABLE_BIRTH and row["rows"] >= 0.1 * row["rows_in"]
    ]
    for kind, labs, kept in (("codes", False, "read"), ("labs", True, "lab_tokens")):
        if raw := left["raw", labs]:
            reasons = describe_reasons(lost[labs], most=3)
            why = f"; lost: {reasons}" if reasons else ""
            lines.append(f"{kind}: {left[kept, labs] / raw:.1%} of {raw:,} rows have a token{why}")
            lines += [f"  {advice}" for advice in advise(lost[labs], raw)]
    return lines


def advise(lost: Mapping[str, int], raw: int) -> list[str]:
    """Return what to set for reasons that cost a tenth of the rows or more."""
    costly = [reason for reason, rows in lost.items() if rows >= 0.1 * raw and reason in ADVICE]
    return [f"'{reason}': see {ADVICE[reason]}" for reason in costly]


def warn_of_early_ends(rows_by_year: ir.Table) -> None:
    """Name tables that end two years or more before the last one, as if a part were missing.

    A table ends in the year until which 99 % of its rows lie.
    """
    years: dict[str, dict[int, int]] = {}
    for row in rows_by_year.to_pyarrow().to_pylist():
        years.setdefault(row["table"], {})[row["year"]] = row["rows"]
    ends = {table: _end(rows) for table, rows in years.items()}
    latest = max(ends, key=ends.__getitem__, default="")
    for table, end in sorted(ends.items()):
        if end <= ends[latest] - 2:
            logger.warning(
                "%s ends in %d, %s in %d: is all of it there? See rows_by_year.",
                table,
                end,
                latest,
                ends[latest],
            )


def _end(rows: dict[int, int]) -> int:
    total, seen = sum(rows.values()), 0
    for year in sorted(rows):
        seen += rows[year]
        if seen >= 0.99 * total:
            return year
    return max(rows)


def describe_predictions(predictions: ir.Table) -> str:
    """Return how many there are."""
    return f"{row_count(predictions):,} predictions"


def describe_kit(inventory: dict[str, Any]) -> str:
    """Return what a kit is of, and how large it is."""
    size = sum(row["bytes"] for row in inventory["files"]) / 1e6
    of = ", ".join(inventory["tasks"]) or "a pre-trained model"
    return f"kit of {of}: {len(inventory['files'])} files, {size:.1f} MB"


def describe_site(summary: dict[str, Any]) -> str:
    """Return what a kit understands at a site, and how good its risks are there."""
    shares = ", ".join(f"{row['table']} {row['share']:.0%}" for row in summary["understood"])
    told = [f"understood: {shares}"]
    for name, task in summary["tasks"].items():
        if task["suppressed"]:
            told.append(f"{name}: too few persons to tell")
            continue
        auroc, error = (
            "unknown" if task["auroc"][part] is None else f"{task['auroc'][part]:.3f}"
            for part in ("value", "se")
        )
        told.append(
            f"{name}: AUROC {auroc} (standard error {error}), {task['events']:,} outcomes, "
            f"{task['expected']:,.1f} expected"
        )
    return "; ".join(told)


LOSSES = ("cutflow", "loss_ledger")


def describe_ehrshot(summary: Any) -> str:
    """Return the macro AUROC of each classifier by number of labels, and what is known of a simulation."""
    rows = summary.filter(
        (summary.scope == "macro") & (summary.score == "auroc") & (summary.source == "this run")
    )
    frame = _headline(rows.order_by("model", "head").to_pandas())
    shots = sorted(frame["k"].unique(), key=_order_of)
    wide = frame.pivot(index="model", columns="k", values="value")[shots]
    values = "; ".join(
        f"{NAMES.get(model, model)} {' '.join('-' if value != value else f'{value:.3f}' for value in row)}"
        for model, *row in wide.itertuples()
    )
    return f"EHRSHOT macro AUROC at {_named(shots)} labels per class: {values}"


def describe_verdict(verdict: Any) -> str:
    """Return whether model and hybrid beat the best baseline of counts, by number of labels."""
    rows = verdict.filter(
        (verdict.scope == "macro") & verdict.other_model.isin(list(COUNTING))
    ).to_pandas()
    strongest = rows.loc[rows.groupby(["model", "k"])["other_auroc"].idxmax()]
    words = [_words(str(model), part) for model, part in strongest.groupby("model")]
    return "EHRSHOT verdict: " + "; ".join(words or ["there is nothing to compare"])


def _words(model: str, rows: pd.DataFrame) -> str:
    """Return one model's verdicts, the numbers of labels with the same one together."""
    found = []
    ordered = rows.sort_values("k", key=lambda shots: shots.map(_order_of))
    for word, part in ordered.groupby("verdict", sort=False):
        differences = ", ".join(
            f"{row.difference:+.3f} ({row.lower:+.3f} to {row.upper:+.3f}) against {row.other_model}"
            for row in part.itertuples()
        )
        found.append(f"{word} counts at {_named(part['k'])} labels per class: {differences}")
    return f"{model} {'; '.join(found)}"


def _headline(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one head for each model: the best by validation, or the only one."""
    several = set(rows.loc[rows["head"] == "best", "model"])
    rows = rows[rows["model"] != "clm_ler_windowed"]  # a part of the hybrid
    return rows[(rows["head"] == "best") | ~rows["model"].isin(several)]


def _order_of(k: int) -> float:
    return float("inf") if k == -1 else k


def _named(shots: Iterable[int]) -> str:
    return ", ".join("all" if k == -1 else str(k) for k in shots)


NAMES = {"truth": HIDDEN_STATE}
COUNTING = ("count", "count_bins", "windowed")

# What is described, and the small entry that tells it: sequences are too many to load for a line.
HEADLINES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "encoded_sequences": ("vocabulary_report", describe_sequences),
    "vocabulary_report": ("vocabulary_report", describe_vocabulary),
    "pretrain_metrics": ("pretrain_metrics", describe_pretraining),
    "finetune_metrics": ("finetune_metrics", describe_finetuning),
    "ehrshot_summary": ("ehrshot_summary", describe_ehrshot),
    "ehrshot_verdict": ("ehrshot_verdict", describe_verdict),
    "predictions": ("predictions", describe_predictions),
    "kit": ("kit", describe_kit),
    "site_summary": ("site_summary", describe_site),
}
