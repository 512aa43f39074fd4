"""The section on the results of fine-tuning."""

from collections.abc import Iterator
from typing import Any

from clm_ler.corridor.cards import MEASURES
from clm_ler.corridor.page.numbers import Artifacts, Numbers
from clm_ler.corridor.page.parts import Row, Section, Table
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
        if all(_large(row, numbers) for task in told for row in _subgroups(data, task)):
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
    rows: list[Row] = [
        [
            said,
            numbers.estimate(f"{path}/metrics/{name}"),
            numbers.estimate(f"{path}/before_calibration/{name}"),
        ]
        for name, said in MEASURES.items()
        if name in report["metrics"]
    ]
    if "calibration_smooth" in report:
        ici = numbers.estimate(f"{path}/calibration_smooth/ici")
        rows.append(["integrated calibration index (LOESS; 0 is right)", ici, ""])
    head = ["", "model", "before calibration"]
    return Table(f"{task}: measures, 95 % intervals", head, rows)


def _flagged(report: Artifacts, numbers: Numbers, path: str, task: str) -> Table:
    rows: list[Row] = [
        [
            numbers.value(f"{path}/thresholds/{n}/threshold", ".0%"),
            *(
                numbers.estimate(f"{path}/thresholds/{n}/{name}", ".2f")
                for name in ("flagged", "sensitivity", "specificity", "ppv")
            ),
        ]
        for n in range(len(report["thresholds"]))
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
        if row["persons"] >= numbers.min_persons
    ]
    head = ["highest risks", "risk from", "sensitivity", "specificity", "PPV"]
    return Table(f"{task}: if so many are alerted", head, rows)


def _groups(report: Artifacts, numbers: Numbers, path: str, task: str) -> Table:
    rows: list[Row] = [
        [
            row["attribute"],
            row["group"],
            numbers.count(f"{path}/subgroups/{n}/n"),
            numbers.estimate(f"{path}/subgroups/{n}/auroc"),
        ]
        for n, row in enumerate(report["subgroups"])
        if not row["suppressed"] and _large(row, numbers)
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


def _subgroups(data: Artifacts, task: str) -> list[dict[str, Any]]:
    rows = data["finetune_metrics"]["tasks"][task].get("subgroups", [])
    return [row for row in rows if not row["suppressed"]]


def _large(row: dict[str, Any], numbers: Numbers) -> bool:
    return min(row["positives"], row["n"] - row["positives"]) >= numbers.min_persons
