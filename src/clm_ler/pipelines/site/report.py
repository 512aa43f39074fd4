"""The page that tells a site how well a kit does there."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup, escape

from clm_ler.corridor.figures import THIN, finish
from clm_ler.corridor.page.numbers import DASH, Numbers, look_up
from clm_ler.corridor.page.page import write_page
from clm_ler.corridor.page.parts import Row, Section, Table
from clm_ler.pipelines.site.options import SiteOptions

SUMMARY = "site_summary"
MEASURES = {
    "auroc": "AUROC",
    "brier": "Brier score",
    "log_observed_to_expected": "logarithm of observed over expected outcomes (0 is right)",
    "calibration_intercept": "calibration in the large (0 is right, below it risks are too high)",
    "calibration_slope": "calibration slope (1 is right, below it risks are too extreme)",
}
Z = 1.96  # of 95 %


def write_site_report(site_summary: dict[str, Any], options: SiteOptions) -> str:
    """Return the page: what was found, what the kit understands, and of each task how good its risks are."""
    numbers = Numbers({SUMMARY: site_summary}, options.min_persons)
    tasks = site_summary["tasks"]
    told = [name for name, task in tasks.items() if not task["suppressed"]]
    sections = [
        Section("What was found", [*_finding(site_summary, numbers, told)]),
        _understood(site_summary, numbers),
        *(_task(name, tasks[name], numbers) for name in told),
    ]
    figures = {f"calibration_{name}": _calibration(tasks[name]) for name in told}
    kit = json.dumps(site_summary["kit"], indent=2)
    return write_page(options.title, sections, figures, options.min_persons, kit)


def _finding(summary: dict[str, Any], numbers: Numbers, told: list[str]) -> list[Markup | str]:
    said: list[Markup | str] = []
    if summary["predictions"] is not None:
        path = f"{SUMMARY}/predictions"
        said.append(
            Markup("{} predictions were made, of {} persons.").format(
                numbers.count(f"{path}/n"), numbers.count(f"{path}/persons")
            )
        )
    for name in told:
        said += _of_task(name, summary["tasks"][name], numbers)
    if few := [name for name in summary["tasks"] if name not in told]:
        said.append(
            f"Fewer than {numbers.min_persons} persons are with, or without, the outcome of "
            f"{', '.join(few)}: it is not reported."
        )
    if not summary["tasks"]:
        said.append("There are no labels of what the kit predicts, so its quality here is unknown.")
    said += [
        f"This site reads {name} otherwise than the kit's home does (preprocess.{name}): tokens may differ."
        for name in summary["reads_otherwise"]
    ]
    return said


def _of_task(name: str, task: dict[str, Any], numbers: Numbers) -> list[Markup | str]:
    path = f"{SUMMARY}/tasks/{name}"
    said: list[Markup | str] = [
        Markup("{}: AUROC {}; {} outcomes where {} were expected.").format(
            name,
            _interval(numbers, f"{path}/auroc"),
            numbers.count(f"{path}/events"),
            numbers.value(f"{path}/expected", ",.1f"),
        )
    ]
    methods = task["recalibration"] or {}
    losses = {method: found["log_loss"] for method, found in methods.items() if found["log_loss"]}
    if losses:
        best = min(losses, key=lambda method: losses[method])
        said.append(
            "In cross-validation, its risks are best unchanged."
            if best == "unchanged"
            else f"In cross-validation, its risks are best recalibrated by {best}."
        )
    return said


def _interval(numbers: Numbers, path: str, form: str = ".3f") -> Markup:
    """Return a value with the interval that its standard error gives."""
    found = look_up(numbers.artifacts, path)
    if found["value"] is None or found["se"] is None:
        return numbers.value(f"{path}/value", form)
    low, high = (found["value"] + sign * Z * found["se"] for sign in (-1, 1))
    return Markup("{} ({} to {})").format(
        numbers.value(f"{path}/value", form), format(low, form), format(high, form)
    )


def _understood(summary: dict[str, Any], numbers: Numbers) -> Section:
    path = f"{SUMMARY}/understood"
    rows: list[Row] = [
        [
            row["table"],
            numbers.count(f"{path}/{n}/rows"),
            numbers.count(f"{path}/{n}/persons"),
            numbers.value(f"{path}/{n}/share", ".0%"),
        ]
        for n, row in enumerate(summary["understood"])
    ]
    head = ["table", "rows", "persons", "share understood"]
    tables = [Table("Events that have a token of the kit", head, rows)]
    if summary["attribution"] is not None:
        path = f"{SUMMARY}/attribution"
        of_weight: list[Row] = [
            [escape(row["system"]), numbers.value(f"{path}/{n}/share", ".0%")]
            for n, row in enumerate(summary["attribution"])
        ]
        head = ["code system of the kit", "found here"]
        caption = (
            "Of the weight of predictions where the model was trained, the share that is found here"
        )
        tables.append(Table(caption, head, of_weight))
    return Section("What the kit understands here", tables=tables)


def _task(name: str, task: dict[str, Any], numbers: Numbers) -> Section:
    path = f"{SUMMARY}/tasks/{name}"
    tables = [
        _measured(name, task, numbers),
        _methods(task, numbers, path),
        Table(
            "Predictions by risk",
            ["predictions", "outcomes expected", "observed"],
            [
                [
                    numbers.count(f"{path}/bins/{n}/n"),
                    numbers.value(f"{path}/bins/{n}/expected", ",.1f"),
                    numbers.count(f"{path}/bins/{n}/events"),
                ]
                for n in range(len(task["bins"]))
            ],
        ),
        _groups(task, numbers, path),
    ]
    return Section(
        f"{name}: how good its risks are", tables=tables, figures=[f"calibration_{name}"]
    )


def _measured(name: str, task: dict[str, Any], numbers: Numbers) -> Table:
    path, home = f"{SUMMARY}/tasks/{name}", task["at_home"] or {}
    rows: list[Row] = [
        [
            text,
            _interval(numbers, f"{path}/{measure}"),
            _at_home(home.get(measure), numbers, path, measure),
        ]
        for measure, text in MEASURES.items()
    ]
    return Table("Measures, 95 % intervals", ["", "here", "where it was trained"], rows)


def _at_home(found: Any, numbers: Numbers, path: str, measure: str) -> Markup | str:
    return DASH if found is None else numbers.estimate(f"{path}/at_home/{measure}")


def _methods(task: Mapping[str, Any], numbers: Numbers, path: str) -> Table:
    rows: list[Row] = [
        [
            method,
            *(
                numbers.value(f"{path}/recalibration/{method}/{name}", form)
                for name, form in (
                    ("intercept", "+.3f"),
                    ("slope", ".3f"),
                    ("log_loss", ".4f"),
                    ("brier", ".4f"),
                )
            ),
        ]
        for method in task["recalibration"] or {}
    ]
    head = ["recalibrated by", "intercept", "slope", "log loss", "Brier score"]
    return Table("Methods of recalibration; losses in cross-validation", head, rows)


def _groups(task: dict[str, Any], numbers: Numbers, path: str) -> Table:
    rows: list[Row] = [
        [
            row["attribute"],
            row["group"],
            numbers.count(f"{path}/subgroups/{n}/n"),
            numbers.count(f"{path}/subgroups/{n}/events"),
            numbers.value(f"{path}/subgroups/{n}/expected", ",.1f"),
            _interval(numbers, f"{path}/subgroups/{n}/auroc"),
            _interval(numbers, f"{path}/subgroups/{n}/calibration_intercept", "+.2f"),
        ]
        for n, row in enumerate(task["subgroups"])
        if not row["suppressed"]
    ]
    head = ["by", "group", "predictions", "outcomes", "expected", "AUROC", "in the large"]
    return Table("Subgroups", head, rows)


def _calibration(task: dict[str, Any]) -> go.Figure:
    bins = task["bins"]
    predicted = [row["expected"] / row["n"] for row in bins]
    observed = [row["events"] / row["n"] for row in bins]
    top = max([*predicted, *observed, np.finfo(float).eps])
    right = go.Scatter(x=[0, top], y=[0, top], mode="lines", line=THIN, showlegend=False)
    here = go.Scatter(x=predicted, y=observed, mode="lines+markers", showlegend=False)
    figure = go.Figure([right, here])
    figure.update_xaxes(title_text="predicted risk").update_yaxes(title_text="observed risk")
    expected, events = (sum(row[name] for row in bins) for name in ("expected", "events"))
    finding = f"{events:,} outcomes, {expected:,.0f} were expected"
    detail = "Observed against predicted risk, tenths of the predictions; dotted: right"
    return finish(figure, finding, detail)
