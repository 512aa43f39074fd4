"""Figures of the test split, one panel per task."""

from collections.abc import Callable
from typing import Any

import ibis.expr.types as ir
import numpy as np
import plotly.graph_objects as go
from ibis import _
from plotly.subplots import make_subplots
from sklearn.metrics import precision_recall_curve, roc_curve

MOST_POINTS = 200  # of a curve: enough for the eye, too few to read single persons off
BAND = "#ff7f0e"
GREY = {"color": "#999999", "dash": "dot"}
Line = tuple[str, Any, Any]


def plot_roc(predictions: ir.Table, baseline_predictions: ir.Table) -> go.Figure:
    """Return the ROC curves of the model and the baselines, classes above 0 against the rest."""
    figure = _curves(predictions, baseline_predictions, _roc)
    return _titled(figure, "ROC, test split", "1 - specificity", "sensitivity")


def plot_precision_recall(predictions: ir.Table, baseline_predictions: ir.Table) -> go.Figure:
    """Return the precision-recall curves of the model and the baselines."""
    figure = _curves(predictions, baseline_predictions, _precision_recall)
    return _titled(figure, "Precision and recall, test split", "recall", "precision")


def plot_calibration(metrics: dict[str, Any]) -> go.Figure:
    """Return observed against predicted risk: in tenths of the samples, and smooth with its 95 % band."""

    def lines(report: dict[str, Any]) -> list[Line]:
        curve = report["calibration_curve"]
        return [("tenths of the samples", curve["predicted"], curve["observed"])]

    tasks = _binary_tasks(metrics)
    figure = _panels(tasks, lines, mode="markers")
    for column, report in enumerate(tasks.values(), start=1):
        smooth = report["calibration_smooth"]
        for name, style in (("lower", {}), ("upper", {"fill": "tonexty"}), ("observed", {})):
            line = {"color": BAND, "width": 2 if name == "observed" else 0}
            figure.add_trace(
                go.Scatter(
                    x=smooth["predicted"],
                    y=smooth[name],
                    mode="lines",
                    line=line,
                    name="smooth (LOESS), 95 % band",
                    legendgroup="smooth",
                    showlegend=name == "observed" and column == 1,
                    **style,
                ),
                row=1,
                col=column,
            )
    highest = max((_highest(report) for report in tasks.values()), default=1)
    ends = [0, highest]
    figure.add_trace(go.Scatter(x=ends, y=ends, mode="lines", line=GREY, name="perfect"))
    return _titled(figure, "Calibration, test split", "predicted risk", "observed risk")


def _highest(report: dict[str, Any]) -> float:
    """Return the largest risk that a calibration figure shows."""
    curve, smooth = report["calibration_curve"], report["calibration_smooth"]
    shown = (curve["predicted"], curve["observed"], smooth["predicted"], smooth["upper"])
    return max(map(max, shown))


def plot_decision_curve(metrics: dict[str, Any]) -> go.Figure:
    """Return the net benefit of acting on the model, on everyone and on nobody."""

    def lines(report: dict[str, Any]) -> list[Line]:
        curve = report["decision_curve"]
        return [
            ("model", curve["threshold"], curve["model"]),
            ("everyone", curve["threshold"], curve["treat_all"]),
            ("nobody", [0, 1], [0, 0]),
        ]

    tasks = _binary_tasks(metrics)
    highest = [max(report["decision_curve"]["treat_all"][0], 0.01) for report in tasks.values()]
    figure = _panels(tasks, lines)
    figure.update_yaxes(range=[-0.2 * max(highest, default=1), 1.2 * max(highest, default=1)])
    return _titled(figure, "Decision curve, test split", "threshold probability", "net benefit")


def plot_subgroups(metrics: dict[str, Any]) -> go.Figure:
    """Return the AUROC of each subgroup with its interval; small groups are not shown."""
    figure = _empty(list(_binary_tasks(metrics)))
    for column, report in enumerate(_binary_tasks(metrics).values(), start=1):
        whole = {"attribute": "all", "group": "everyone", "auroc": report["auroc"]}
        shown = [row for row in report["subgroups"] if not row["suppressed"]]
        rows = [row for row in [whole, *shown] if row["auroc"]["value"] is not None][::-1]
        values = [row["auroc"]["value"] for row in rows]
        figure.add_trace(
            go.Scatter(
                x=values,
                y=[f"{row['attribute']}: {row['group']}" for row in rows],
                mode="markers",
                showlegend=False,
                error_x={
                    "array": [row["auroc"]["upper"] - row["auroc"]["value"] for row in rows],
                    "arrayminus": [row["auroc"]["value"] - row["auroc"]["lower"] for row in rows],
                },
            ),
            row=1,
            col=column,
        )
    return _titled(figure, "AUROC by subgroup, test split, 95 % intervals", "AUROC", "")


def _binary_tasks(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task: report for task, report in metrics["tasks"].items() if "decision_curve" in report}


def _curves(
    predictions: ir.Table,
    baseline_predictions: ir.Table,
    curve: Callable[[Any, Any], tuple[Any, Any]],
) -> go.Figure:
    test = predictions.filter(_.split == "test")
    keys = ["sample_id", "task", "label"]
    labels = test.select(*keys)
    ours = test.select(*keys, "probabilities").to_pandas().assign(model="fine-tuned model")
    theirs = baseline_predictions.inner_join(labels, ["sample_id", "task"]).to_pandas()

    def lines(task: str) -> list[Line]:
        found = []
        for frame in (ours, theirs):
            for name, rows in frame[frame["task"] == task].groupby("model"):
                scores, known = np.stack(rows["probabilities"]), rows["label"].to_numpy()
                for number in range(1, scores.shape[1]):
                    title = str(name) if scores.shape[1] == 2 else f"{name}, class {number}"
                    found.append((title, *curve(known == number, scores[:, number])))
        return found

    return _panels({task: task for task in sorted(ours["task"].unique())}, lines)


def _roc(labels: Any, scores: Any) -> tuple[Any, Any]:
    false_positive, true_positive, _thresholds = roc_curve(labels, scores)
    return _thin(false_positive), _thin(true_positive)


def _precision_recall(labels: Any, scores: Any) -> tuple[Any, Any]:
    precision, recall, _thresholds = precision_recall_curve(labels, scores)
    return _thin(recall), _thin(precision)


def _thin(values: Any) -> list[float]:
    index = np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).astype(int)
    return np.round(values[index], 3).tolist()


def _panels(
    tasks: dict[str, Any], lines: Callable[[Any], list[Line]], mode: str = "lines"
) -> go.Figure:
    figure = _empty(list(tasks))
    colours = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17becf")
    for column, content in enumerate(tasks.values(), start=1):
        for number, (name, x, y) in enumerate(lines(content)):
            trace = go.Scatter(
                x=x,
                y=y,
                mode=mode,
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                line={"color": colours[number % len(colours)]},
            )
            figure.add_trace(trace, row=1, col=column)
    return figure


def _empty(titles: list[str]) -> go.Figure:
    return make_subplots(rows=1, cols=max(len(titles), 1), subplot_titles=titles)


def _titled(figure: go.Figure, title: str, x: str, y: str) -> go.Figure:
    figure.update_xaxes(title_text=x)
    figure.update_yaxes(title_text=y, col=1)
    return figure.update_layout(title=title, template="plotly_white")
