"""What the predictions are worth: metrics with intervals, subgroups, baselines, a verdict."""

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _
from numpy.typing import NDArray

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.modeling.evaluation.bootstrap import PatientWeights, patient_weights
from clm_ler.modeling.evaluation.calibration import probabilities_of
from clm_ler.modeling.evaluation.groups import age_bands
from clm_ler.modeling.evaluation.metrics import (
    alert_metrics,
    auroc_difference,
    auroc_with_interval,
    binary_metrics,
    calibration_curve,
    decision_curve,
    multiclass_metrics,
    subgroup_metrics,
    threshold_metrics,
)
from clm_ler.modeling.evaluation.smooth import smooth_calibration
from clm_ler.tables.samples import sample_id

Floats = NDArray[np.float64]

CURVE_THRESHOLDS = np.arange(0.01, 1.0, 0.01)


def evaluate_predictions(
    predictions: ir.Table,
    baseline_predictions: ir.Table,
    hybrid_predictions: ir.Table,
    demographics: ir.Table,
    known_probabilities: ir.Table | None,
    finetune_grid: dict[str, Any],
    options: FinetuneOptions,
) -> dict[str, Any]:
    """Return what the predictions of the test split are worth, task by task.

    Args:
        predictions: Of every sample, from ``predict_samples``.
        baseline_predictions: Of the baselines.
        hybrid_predictions: Of the hybrid; without rows where none was wanted.
        demographics: For the subgroups.
        known_probabilities: The true probability of each class above 0 in simulated data: its AUROC
            is an upper bound, since no record shows the hidden state. ``None`` for real data.
        finetune_grid: What was tried.
        options: Thresholds, subgroups, replicates.
    """
    test = predictions.filter(_.split == "test")
    counts = _count_samples(predictions)
    others = {"baselines": baseline_predictions, "hybrid": hybrid_predictions}
    truth = _known_for(test, known_probabilities)
    groups = _subgroups(test, demographics, options.subgroups)
    frame = test.order_by("task", "sample_id").to_pandas()
    tables = {
        name: table.semi_join(test, ["sample_id", "task"]).to_pandas()
        for name, table in (others | {"groups": groups}).items()
    }
    known = None if truth is None else truth.to_pandas()
    report = {}
    for task, rows in frame.groupby("task"):
        of_task = {name: table[table["task"] == task] for name, table in tables.items()}
        best = None if known is None else known[known["task"] == task]
        report[task] = {"samples": counts[task]} | _evaluate_task(
            rows.reset_index(drop=True), of_task, best, options
        )
    return {"tasks": report, "selection": finetune_grid}


def _subgroups(test: ir.Table, demographics: ir.Table, columns: tuple[str, ...]) -> ir.Table:
    """Return ``sample_id, task`` and the demographics that the samples are grouped by.

    Raises:
        ValueError: If there is no such column.
    """
    if absent := sorted(set(columns) - set(demographics.columns)):
        raise ValueError(
            f"finetune.subgroups: demographics has no column {', '.join(absent)}; its columns are "
            f"{', '.join(demographics.columns)}."
        )
    return test.left_join(demographics, "person_id").select("sample_id", "task", *columns)


def _count_samples(predictions: ir.Table) -> dict[str, dict[str, dict[str, Any]]]:
    """Return persons, and samples and persons per class, by task and split."""
    table = predictions.group_by("task", "split", "label").agg(
        samples=_.count(), persons=_.person_id.nunique()
    )
    persons = predictions.group_by("task", "split").agg(persons=_.person_id.nunique()).to_pandas()
    counts: dict[str, dict[str, dict[str, Any]]] = {}
    for row in persons.itertuples():
        of_split = {"persons": int(row.persons), "classes": {}, "persons_by_class": {}}
        counts.setdefault(row.task, {})[row.split] = of_split
    for row in table.order_by("task", "split", "label").to_pandas().itertuples():
        found = counts[row.task][row.split]
        found["classes"][str(row.label)] = int(row.samples)
        found["persons_by_class"][str(row.label)] = int(row.persons)
    return counts


def _known_for(test: ir.Table, known_probabilities: ir.Table | None) -> ir.Table | None:
    """Return ``sample_id, task, label, probability`` of the test samples, if anything is known."""
    if known_probabilities is None:
        return None
    known = known_probabilities.mutate(sample_id=sample_id(known_probabilities))
    return known.select("sample_id", "task", "label", "probability").semi_join(
        test, ["sample_id", "task"]
    )


def _evaluate_task(
    rows: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    known: pd.DataFrame | None,
    options: FinetuneOptions,
) -> dict[str, Any]:
    labels = rows["label"].to_numpy()
    probabilities = np.stack(rows["probabilities"])
    weights = patient_weights(rows["person_id"].to_numpy(), options.bootstrap_replicates)
    raw = probabilities_of(np.stack(rows["logits"]))
    report: dict[str, Any] = {
        "auroc": auroc_with_interval(labels, probabilities, weights),
        "metrics": _metrics(labels, probabilities, weights),
        "before_calibration": _metrics(labels, raw, weights),
        "baselines": _compare(rows, others["baselines"], probabilities, weights),
    }
    report["verdict"] = _verdict("fine-tuned model", report["baselines"])
    if len(others["hybrid"]):
        report["hybrid"] = _evaluate_hybrid(rows, others, probabilities, weights)
    if known is not None and len(known):
        truth = _known_matrix(rows, known, probabilities.shape[1])
        report["hidden_state_auroc"] = auroc_with_interval(labels, truth, weights)
    if probabilities.shape[1] == 2:
        report |= _binary_details(rows, others["groups"], probabilities[:, 1], weights, options)
    return report


def _metrics(labels: NDArray[Any], probabilities: Floats, weights: PatientWeights) -> Any:
    if probabilities.shape[1] == 2:
        return binary_metrics(labels, probabilities[:, 1], weights)
    return multiclass_metrics(labels, probabilities, weights)


def _compare(
    rows: pd.DataFrame, baselines: pd.DataFrame, probabilities: Floats, weights: PatientWeights
) -> dict[str, Any]:
    """Return the AUROC of each baseline, and by how much the model's is above it."""
    labels = rows["label"].to_numpy()
    compared = {}
    for name, group in baselines.groupby("model"):
        others = _aligned(rows, group)
        compared[str(name)] = {
            "auroc": auroc_with_interval(labels, others, weights),
            "difference": auroc_difference(labels, probabilities, others, weights),
        }
    return compared


def _evaluate_hybrid(
    rows: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    model: Floats,
    weights: PatientWeights,
) -> dict[str, Any]:
    """Return what the hybrid is worth, beside the model and the baselines."""
    labels = rows["label"].to_numpy()
    hybrid = _aligned(rows, others["hybrid"])
    compared = _compare(rows, others["baselines"], hybrid, weights)
    return {
        "auroc": auroc_with_interval(labels, hybrid, weights),
        "difference_to_model": auroc_difference(labels, hybrid, model, weights),
        "metrics": _metrics(labels, hybrid, weights),
        "baselines": {name: found["difference"] for name, found in compared.items()},
        "verdict": _verdict("hybrid", compared),
    }


def _aligned(rows: pd.DataFrame, scores: pd.DataFrame) -> Floats:
    """Return the probabilities of another model for the same samples."""
    return np.stack(scores.set_index("sample_id").loc[rows["sample_id"], "probabilities"])


def _verdict(name: str, baselines: Mapping[str, Any]) -> str:
    """Say in a sentence whether a model beats every baseline; 95 % intervals decide."""
    words = []
    for other, compared in baselines.items():
        difference = compared["difference"]
        lower, upper = difference["lower"], difference["upper"]
        if lower is not None and lower > 0:
            word = "beats"
        elif upper is not None and upper < 0:
            word = "is WORSE than"
        else:
            word = "does NOT clearly beat"
        words.append(f"{word} {other}")
    return f"The {name} {', '.join(words)} (AUROC on test)."


def _known_matrix(rows: pd.DataFrame, known: pd.DataFrame, classes: int) -> Floats:
    """Return the known probabilities ``[n, classes]``; class 0 has what is left."""
    wide = known.pivot(index="sample_id", columns="label", values="probability")
    above = wide.reindex(index=rows["sample_id"], columns=range(1, classes)).fillna(0).to_numpy()
    return np.column_stack([1 - above.sum(axis=1), above])


def _binary_details(
    rows: pd.DataFrame,
    groups: pd.DataFrame,
    risks: Floats,
    weights: PatientWeights,
    options: FinetuneOptions,
) -> dict[str, Any]:
    labels, persons = rows["label"].to_numpy(), rows["person_id"].to_numpy()
    attributes = groups.set_index("sample_id").loc[rows["sample_id"]]
    by_group = {
        name: attributes[name].fillna("unknown").astype(str).to_numpy()
        for name in options.subgroups
    } | {"age": age_bands(rows["age"].to_numpy(), options.age_bands)}
    return {
        "thresholds": threshold_metrics(labels, risks, options.thresholds, weights),
        "alerts": alert_metrics(labels, risks, options.alert_rates, weights),
        "subgroups": subgroup_metrics(
            labels, risks, by_group, persons, weights, options.smallest_cell
        ),
        "calibration_curve": calibration_curve(labels, risks),
        "calibration_smooth": smooth_calibration(labels, risks, weights),
        "decision_curve": decision_curve(labels, risks, CURVE_THRESHOLDS),
    }
