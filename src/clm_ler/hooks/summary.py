"""Say at the end of a run where its results are and what they come to."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from clm_ler.files.location import dataset_location
from clm_ler.tables.cutflow import ADVICE, describe_reasons
from clm_ler.tables.screening import NO_PERSON

logger = logging.getLogger(__name__)


class SummaryHooks:
    """One line for each headline result that the run wrote, after its last node."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Log the lines."""
        written = pipeline.all_outputs()
        lines = [
            f"{describe(catalog.load(name))}  ({_place(catalog[name])})"
            for name, describe in HEADLINES.items()
            if name in written and name in catalog
        ]
        if {*LOSSES} <= written:
            lines += describe_losses(*(catalog.load(name) for name in LOSSES))
        if "rows_by_year" in written:
            warn_of_early_ends(catalog.load("rows_by_year"))
        if lines:
            logger.info("Results:\n%s", "\n".join(f"  {line}" for line in lines))


def _place(dataset: Any) -> str:
    return (dataset_location(dataset) or "memory").removeprefix("file://")


def describe_sequences(encoded: pa.Table) -> str:
    """Return persons and tokens."""
    tokens = pc.sum(pc.list_value_length(encoded["input_ids"])).as_py() or 0
    return f"{encoded.num_rows:,} persons, {tokens:,} tokens"


def describe_vocabulary(report: dict[str, Any]) -> str:
    """Return the share of the test split's tokens that the vocabulary holds."""
    systems = report["coverage"].get("test", {}).values()
    tokens = sum(system["tokens"] for system in systems)
    covered = sum(system["tokens"] * system["tokens_covered"] for system in systems)
    share = f"{covered / tokens:.1%} of the test split's tokens" if tokens else "no test split"
    return f"vocabulary of {report['size']:,} tokens, {share}"


def describe_pretraining(metrics: dict[str, Any]) -> str:
    """Return the accuracy on masked codes beside the unigram baseline's."""
    split = "test" if "test" in metrics else "valid"
    measured = metrics[split]
    unigram = measured["baselines"]["unigram"]["accuracy"]["top1"]
    return f"masked codes right: {measured['accuracy']['top1']:.1%}, by unigram {unigram:.1%}"


def describe_finetuning(metrics: dict[str, Any]) -> str:
    """Return each task's AUROC, beside the best that is reachable where that is known."""
    return "; ".join(_describe_task(name, task) for name, task in metrics["tasks"].items())


def _describe_task(name: str, task: dict[str, Any]) -> str:
    text = f"{name}: fine-tuned AUROC {_interval(task['auroc'])}"
    if best := task.get("best_reachable_auroc"):
        text += f", best reachable {_interval(best)}"
    return text


def _interval(measured: dict[str, float]) -> str:
    return f"{measured['value']:.3f} [{measured['lower']:.3f}, {measured['upper']:.3f}]"


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
        f"{row['table']}: {row['rows']:,} rows have no id, and are lost"
        for row in losses
        if row["reason"] == NO_PERSON
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


LOSSES = ("cutflow", "loss_ledger")


def describe_ehrshot(summary: Any) -> str:
    """Return the macro AUROC of the model and, where it is known, of the truth."""
    rows = summary.filter(
        (summary.scope == "macro")
        & (summary.score == "auroc")
        & (summary.k == -1)
        & (summary.source == "this run")
    )
    frame = rows.order_by("model", "head").to_pandas()
    values = ", ".join(f"{row.model} {row.value:.3f}" for row in frame.itertuples())
    return f"EHRSHOT macro AUROC, all training samples: {values}"


HEADLINES: dict[str, Callable[[Any], str]] = {
    "encoded_sequences": describe_sequences,
    "vocabulary_report": describe_vocabulary,
    "pretrain_metrics": describe_pretraining,
    "finetune_metrics": describe_finetuning,
    "ehrshot_summary": describe_ehrshot,
}
