"""The section on the results of fine-tuning."""

from collections.abc import Iterator
from typing import Any

from clm_ler.corridor.cards import MEASURES
from clm_ler.corridor.page.numbers import DASH, Artifacts, Numbers
from clm_ler.corridor.page.parts import Row, Section, Table
from clm_ler.modeling.evaluation.groups import hidden_counts
from clm_ler.pipelines.report.finding import told_tasks


def results(data: Artifacts, numbers: Numbers) -> Section:
    """Return what the test split says of each task that can be told of."""
    found = Section("Results on the test split")
    told = told_tasks(data, numbers.min_persons)
    for task in told:
        found.tables += _tables_of_task(data, numbers, task)
    if len(told) == len(data["finetune_metrics"]["tasks"]):  # figures show all of them
        found.figures = [
            f"finetune_{name}"
            for name in ("roc", "precision_recall", "calibration", "decision_curve")
        ]
        reports = [data["finetune_metrics"]["tasks"][task] for task in told]
        if all(_told_groups(report, numbers) == _shown_groups(report) for report in reports):
            found.figures.append("finetune_subgroups")
    return found


def _tables_of_task(data: Artifacts, numbers: Numbers, task: str) -> Iterator[Table]:
    path, report = f"finetune_metrics/tasks/{task}", data["finetune_metrics"]["tasks"][task]
    yield _baselines(report, numbers, path, task)
    yield _measures(report, numbers, path, task)
    yield from _recalibration(data, numbers, task)
    if "thresholds" not in report:
        return
    yield _flagged(report, numbers, path, task)
    yield _alerted(report, numbers, path, task)
    yield _groups(report, numbers, path, task)


def _baselines(report: Artifacts, numbers: Numbers, path: str, task: str) -> Table:
    rows: list[Row] = [["fine-tuned model", numbers.estimate(f"{path}/auroc"), ""]]
    rows += [
        [
            name,
            numbers.estimate(f"{path}/baselines/{name}/auroc"),
            numbers.estimate(f"{path}/baselines/{name}/difference", "+.3f"),
        ]
        for name in report["baselines"]
    ]
    if "hidden_state_auroc" in report:
        truth = numbers.estimate(f"{path}/hidden_state_auroc")
        rows.append(["hidden state: true probabilities, not reachable", truth, ""])
    head = ["", "AUROC", "model minus this"]
    return Table(f"{task}: the model and its baselines", head, rows)


def _measures(report: Artifacts, numbers: Numbers, path: str, task: str) -> Table:
    metrics = report["metrics"]
    several = {"mean of classes: ": "/macro", "all classes: ": "/overall"}
    parts = several if "macro" in metrics else {"": ""}
    rows: list[Row] = [
        [
            f"{whose}{said}",
            numbers.estimate(f"{path}/metrics{part}/{name}"),
            numbers.estimate(f"{path}/before_calibration{part}/{name}"),
        ]
        for whose, part in parts.items()
        for name, said in MEASURES.items()
        if name in (metrics[part[1:]] if part else metrics)
    ]
    if "calibration_smooth" in report:
        ici = numbers.estimate(f"{path}/calibration_smooth/ici")
        rows.append(["integrated calibration index (LOESS; 0 is right)", ici, ""])
    head = ["", "model", "before calibration"]
    return Table(f"{task}: measures, 95 % intervals", head, rows)


def _flagged(report: Artifacts, numbers: Numbers, path: str, task: str) -> Table:
    names = ("flagged", "sensitivity", "specificity", "ppv")
    rows: list[Row] = [
        [
            numbers.value(f"{path}/thresholds/{n}/threshold", ".0%"),
            *(
                numbers.estimate(f"{path}/thresholds/{n}/{name}", ".2f")
                if _enough_flagged(row, numbers)
                else DASH
                for name in names
            ),
        ]
        for n, row in enumerate(report["thresholds"])
    ]
    head = ["risk from", "flagged", "sensitivity", "specificity", "PPV"]
    return Table(f"{task}: who is flagged", head, rows)


def _alerted(report: Artifacts, numbers: Numbers, path: str, task: str) -> Table:
    rows: list[Row] = [
        [
            numbers.value(f"{path}/alerts/{n}/rate", ".0%"),
            numbers.value(f"{path}/alerts/{n}/threshold", ".1%"),
            *(
                numbers.estimate(f"{path}/alerts/{n}/{name}", ".2f")
                for name in ("sensitivity", "specificity", "ppv")
            ),
        ]
        for n, row in enumerate(report["alerts"])
        if _enough_flagged(row, numbers)
    ]
    head = ["highest risks", "risk from", "sensitivity", "specificity", "PPV"]
    return Table(f"{task}: if so many are alerted", head, rows)


def _groups(report: Artifacts, numbers: Numbers, path: str, task: str) -> Table:
    told = _told_groups(report, numbers)
    rows: list[Row] = [
        [
            row["attribute"],
            row["group"],
            numbers.count(f"{path}/subgroups/{n}/n"),
            numbers.estimate(f"{path}/subgroups/{n}/auroc"),
        ]
        for n, row in enumerate(report["subgroups"])
        if n in told
    ]
    return Table(f"{task}: subgroups", ["by", "group", "samples", "AUROC"], rows)


def _recalibration(data: Artifacts, numbers: Numbers, task: str) -> Iterator[Table]:
    """Return how the risks were recalibrated on the valid split; nothing for several classes."""
    told = data["finetune_metrics"].get("selection", {}).get("recalibration", {}).get(task)
    if told is None or told["fewest"] < numbers.min_persons:
        return
    path = f"finetune_metrics/selection/recalibration/{task}"
    rows: list[Row] = [
        [name, numbers.value(f"{path}/log_loss/{name}", ".4f"), "chosen" * (name == told["method"])]
        for name in told["log_loss"]
    ]
    title = f"{task}: recalibration, chosen on validation"
    yield Table(title, ["", "log loss of persons it was not fitted on", ""], rows)


def _enough_flagged(row: dict[str, Any], numbers: Numbers) -> bool:
    """Return whether a threshold flags enough persons, and leaves out enough."""
    sides = (row.get(name, 0) for name in ("persons", "persons_not_flagged"))
    return min(sides) >= numbers.min_persons


def _shown_groups(report: Artifacts) -> set[int]:
    """Return the places of the subgroups that the fine-tuning shows."""
    return {n for n, row in enumerate(report.get("subgroups", [])) if not row["suppressed"]}


def _told_groups(report: Artifacts, numbers: Numbers) -> set[int]:
    """Return those of them that neither are too small for the page nor tell of one that is."""
    shown, rows = _shown_groups(report), report.get("subgroups", [])
    told = set[int]()
    for attribute in {row["attribute"] for row in rows}:
        places = {row["group"]: n for n, row in enumerate(rows) if row["attribute"] == attribute}
        counts = {group: _persons(rows[n]) for group, n in places.items() if n in shown}
        some_hidden = len(counts) < len(places)
        hidden = hidden_counts(counts, numbers.min_persons, some_hidden)
        told |= {places[group] for group in counts.keys() - hidden}
    return told


def _persons(row: dict[str, Any]) -> dict[str, int]:
    """Return the persons by class: none where an older fine-tuning has counted samples alone."""
    return row.get("persons_by_class", {"0": 0, "1": 0})
