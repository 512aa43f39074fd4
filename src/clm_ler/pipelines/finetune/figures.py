"""Figures of the test split, one panel per task."""

from collections.abc import Callable
from typing import Any

import ibis.expr.types as ir
import numpy as np
import plotly.graph_objects as go
from ibis import _
from plotly.subplots import make_subplots
from scipy.stats import binomtest
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from clm_ler.corridor import figures as look
from clm_ler.corridor.cards import shown
from clm_ler.files.arrow import evenly_spaced

MOST_POINTS = 200  # of a curve: enough for the eye, too few to read single persons off
OURS = "fine-tuned model"
PANEL = 320  # pixels
# Name, x, y, and the area below it.
Curve = tuple[str, list[float], list[float], float]


def plot_roc(
    predictions: ir.Table, baseline_predictions: ir.Table, metrics: dict[str, Any]
) -> go.Figure:
    """Return the ROC curves of the model and the baselines, classes above 0 against the rest."""
    figure = _curves(predictions, baseline_predictions, _roc, top=False)
    for column in range(1, len(_reports(metrics)) + 1):
        chance = go.Scatter(
            x=[0, 1], y=[0, 1], mode="lines", line=look.THIN, hoverinfo="skip", showlegend=False
        )
        figure.add_trace(chance, row=1, col=column)
    detail = "ROC of the test split, with the area below each curve; dotted: chance"
    return _finished(figure, _ahead(metrics), detail, "1 - specificity", "sensitivity")


def plot_precision_recall(
    predictions: ir.Table, baseline_predictions: ir.Table, metrics: dict[str, Any]
) -> go.Figure:
    """Return the precision-recall curves of the model and the baselines."""
    figure = _curves(predictions, baseline_predictions, _precision_recall, top=True)
    reports = _reports(metrics)
    for column, report in enumerate(reports.values(), start=1):
        levels = [
            look.mark_level(figure, share, f"{name}: prevalence {share:.0%}", row=1, col=column)
            for name, share in _chances(report).items()
        ]
        look.write(figure, levels)
    figure.update_yaxes(range=[0, 1.02])
    finding = "Precision and recall"
    if len(reports) == 1 and (found := next(iter(reports.values()))["metrics"].get("auprc")):
        share = _chances(next(iter(reports.values())))["chance"]
        finding = f"Average precision {shown(found, '.2f')}, at a prevalence of {share:.0%}"
    detail = "Precision and recall of the test split, with the average precision of each"
    return _finished(figure, finding, detail, "recall", "precision")


def _chances(report: dict[str, Any]) -> dict[str, float]:
    """Return the precision that chance has of each class above 0: how frequent it is."""
    classes = report["samples"]["test"]["classes"]
    shares = {name: n / sum(classes.values()) for name, n in classes.items() if name != "0"}
    several = len(classes) > 2
    return {f"chance, class {name}" if several else "chance": n for name, n in shares.items()}


def plot_calibration(metrics: dict[str, Any]) -> go.Figure:
    """Return observed against predicted risk: smooth with its 95 % band, and in tenths of the samples.

    The intervals of the tenths are Wilson's.
    """
    tasks = _binary_tasks(metrics)
    figure = _empty(list(tasks))
    for column, report in enumerate(tasks.values(), start=1):
        curve, smooth = report["calibration_curve"], report["calibration_smooth"]
        tenths, highest = _tenths(curve)
        top = 1.05 * max([highest, *curve["predicted"], *smooth["predicted"], *smooth["upper"]])
        diagonal = go.Scatter(
            x=[0, top], y=[0, top], mode="lines", line=look.THIN, hoverinfo="skip", showlegend=False
        )
        for trace in (diagonal, *_band(smooth), tenths):
            figure.add_trace(trace, row=1, col=column)
        figure.update_xaxes(range=[0, top], row=1, col=column)
        figure.update_yaxes(range=[0, top], row=1, col=column)
    slopes = [report["metrics"]["calibration_slope"] for report in tasks.values()]
    finding = "Calibration"
    if len(slopes) == 1:
        known = slopes[0]["value"] is not None
        finding = f"Calibration slope {shown(slopes[0], '.2f') if known else 'not known'}"
    detail = (
        "Observed against predicted risk of the test split: LOESS with its 95 % band, tenths with "
        "95 % intervals; dotted: right"
    )
    return _finished(figure, finding, detail, "predicted risk", "observed risk")


def _tenths(curve: dict[str, Any]) -> tuple[go.Scatter, float]:
    """Return the tenths of the samples with their intervals, and the upper end of the highest one."""
    bounds = [_wilson(*pair) for pair in zip(curve["observed"], curve["n"], strict=True)]
    low, high = np.array(bounds).reshape(-1, 2).T
    observed = np.array(curve["observed"])
    marks = go.Scatter(
        x=curve["predicted"],
        y=observed,
        mode="markers",
        marker={"color": look.BLUE},
        error_y={"array": high - observed, "arrayminus": observed - low, "thickness": 1},
        showlegend=False,
    )
    return marks, float(high.max(initial=0.01))


def _band(smooth: dict[str, Any]) -> list[go.Scatter]:
    """Return the smooth curve over its band."""
    styles: dict[str, dict[str, Any]] = {
        "lower": {"line": {"width": 0}},
        "upper": {"line": {"width": 0}, "fill": "tonexty", "fillcolor": look.faint(look.RED)},
        "observed": {"line": {"width": 2, "color": look.RED}},
    }
    return [
        go.Scatter(x=smooth["predicted"], y=smooth[name], mode="lines", showlegend=False, **style)
        for name, style in styles.items()
    ]


def plot_decision_curve(metrics: dict[str, Any]) -> go.Figure:
    """Return the net benefit of acting on the model, on everyone and on nobody."""
    tasks = _binary_tasks(metrics)
    figure = _empty(list(tasks))
    useful = []
    for column, report in enumerate(tasks.values(), start=1):
        place = {"row": 1, "col": column}
        curve = {name: np.array(values) for name, values in report["decision_curve"].items()}
        gain = curve["model"] - np.maximum(curve["treat_all"], 0)
        gains = _longest_run(curve["threshold"], gain > 0)
        useful.append((gains.min(), gains.max()) if len(gains) else None)
        top = 1.15 * max(curve["treat_all"][0], *curve["model"], 0.01)
        right = min(1.0, 1.3 * max([*gains, 2 * curve["treat_all"][0], 0.05]))
        inside_range = curve["threshold"] <= right
        labels = []
        for name, values, colour in (
            ("model", curve["model"], look.BLUE),
            ("everyone", curve["treat_all"], look.BROWN),
        ):
            inside = inside_range & (values >= -0.25 * top)
            line = {"color": colour, "width": 2}
            x, y = curve["threshold"][inside], values[inside]
            figure.add_trace(
                go.Scatter(x=x, y=y, mode="lines", line=line, showlegend=False, name=name), **place
            )
            labels.append((f"act on {'the model' if name == 'model' else name}", colour))
        figure.add_hline(0, line=look.THIN, **place)
        labels.append(("dotted: on nobody", look.GREY))
        look.write(figure, look.list_labels(figure, labels, top=True, **place))
        figure.update_yaxes(range=[-0.25 * top, top], **place)
        figure.update_xaxes(range=[0, right], **place)
    finding = "Decision curve"
    if len(useful) == 1:
        ends = useful[0]
        finding = f"Acting on the model gains {_between(*ends) if ends else 'at no threshold'}"
    detail = "Net benefit in the test split: true positives less false ones at the threshold's odds"
    return _finished(figure, finding, detail, "threshold probability", "net benefit")


def _between(low: float, high: float) -> str:
    """Return where a stretch of thresholds lies; it may be a single one."""
    if low == high:
        return f"at a threshold of {low:.0%}"
    return f"between thresholds of {low:.0%} and {high:.0%}"


def _longest_run(thresholds: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Return the longest stretch of thresholds, all of which gain."""
    places = np.flatnonzero(gains)
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return thresholds[max(runs, key=len)]


def plot_subgroups(metrics: dict[str, Any]) -> go.Figure:
    """Return the AUROC of each subgroup with its interval; small groups are not shown."""
    tasks = _binary_tasks(metrics)
    figure = make_subplots(
        1,
        max(len(tasks), 1),
        subplot_titles=list(tasks),
        horizontal_spacing=0.22 / max(len(tasks), 1),
    )
    most = 1
    found: list[dict[str, Any]] = []
    for column, report in enumerate(tasks.values(), start=1):
        whole = {"attribute": "all", "group": "everyone", "auroc": report["auroc"]}
        visible = [row for row in report["subgroups"] if not row["suppressed"]]
        rows = [row for row in [whole, *visible] if row["auroc"]["value"] is not None][::-1]
        most, found = max(most, len(rows)), [*found, *rows[:-1]]
        marks = _forest(rows)
        figure.add_trace(marks, row=1, col=column)
        if report["auroc"]["value"] is not None:
            figure.add_vline(report["auroc"]["value"], line=look.THIN, row=1, col=column)
        figure.update_xaxes(range=[min(0.45, *_lows(rows)), 1.02], row=1, col=column)
        figure.add_vline(0.5, line=look.THIN, row=1, col=column)
        where: dict[str, Any] = {"x": 0.5, "y": 1, "xref": "x", "yref": "y domain"}
        look.write(figure, [look.text_at(figure, "chance", look.GREY, col=column, **where)])
    ordered = sorted(found, key=lambda row: row["auroc"]["value"])
    finding = "AUROC by subgroup"
    if ordered and len(tasks) == 1:
        ends = [
            f"{row['group']} ({row['auroc']['value']:.2f})" for row in (ordered[0], ordered[-1])
        ]
        finding = f"Lowest in {ends[0]}, highest in {ends[1]}"
    detail = "AUROC by subgroup of the test split with samples, 95 % intervals; dotted: everyone"
    return _finished(figure, finding, detail, "AUROC", "", height=170 + 34 * most)


def _forest(rows: list[dict[str, Any]]) -> go.Scatter:
    values = [row["auroc"]["value"] for row in rows]
    names = [f"{row['attribute']}: {row['group']}" for row in rows]
    return go.Scatter(
        x=values,
        y=[
            f"{name} (n {row['n']:,})" if "n" in row else name
            for name, row in zip(names, rows, strict=True)
        ],
        mode="markers",
        showlegend=False,
        marker={"size": 9, "color": [look.GREY if "n" not in row else look.BLUE for row in rows]},
        error_x={
            "array": [row["auroc"]["upper"] - row["auroc"]["value"] for row in rows],
            "arrayminus": [row["auroc"]["value"] - row["auroc"]["lower"] for row in rows],
            "color": look.GREY,
            "thickness": 1.5,
            "width": 0,
        },
    )


def _lows(rows: list[dict[str, Any]]) -> list[float]:
    return [row["auroc"]["lower"] - 0.02 for row in rows]


def _reports(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(sorted(metrics["tasks"].items()))


def _binary_tasks(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task: report for task, report in metrics["tasks"].items() if "decision_curve" in report}


def _ahead(metrics: dict[str, Any]) -> str:
    """Return in a line how the model compares with the baselines."""
    reports = _reports(metrics)
    if len(reports) == 1:
        (report,) = reports.values()
        if not report["baselines"]:
            return f"AUROC {shown(report['auroc'], '.2f')}"
        best = max(
            report["baselines"], key=lambda name: report["baselines"][name]["auroc"]["value"] or 0
        )
        theirs = report["baselines"][best]["auroc"]
        return (
            f"AUROC {shown(report['auroc'], '.2f')}; best baseline, {best}: {shown(theirs, '.2f')}"
        )
    ahead = [
        all((one["difference"]["lower"] or 0) > 0 for one in report["baselines"].values())
        for report in reports.values()
    ]
    return f"Clearly ahead of every baseline in {sum(ahead)} of {len(ahead)} tasks"


def _wilson(share: float, n: int) -> tuple[float, float]:
    found = binomtest(round(share * n), n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def _curves(
    predictions: ir.Table,
    baseline_predictions: ir.Table,
    curve: Callable[[Any, Any], tuple[list[float], list[float], float]],
    top: bool,
) -> go.Figure:
    """Return a panel for each task, with names and areas in its upper or lower corner."""
    test = predictions.filter(_.split == "test")
    keys = ["sample_id", "task", "label"]
    labels = test.select(*keys)
    ours = test.select(*keys, "probabilities").to_pandas().assign(model=OURS)
    theirs = baseline_predictions.inner_join(labels, ["sample_id", "task"]).to_pandas()
    tasks = sorted(ours["task"].unique())
    figure = _empty(tasks)
    for column, task in enumerate(tasks, start=1):
        found: list[Curve] = []
        for frame in (ours, theirs):
            for name, rows in frame[frame["task"] == task].groupby("model"):
                scores, known = np.stack(rows["probabilities"]), rows["label"].to_numpy()
                for number in range(1, scores.shape[1]):
                    title = str(name) if scores.shape[1] == 2 else f"{name}, class {number}"
                    found.append((title, *curve(known == number, scores[:, number])))
        _draw(figure, found, top, column)
    return figure


def _draw(figure: go.Figure, curves: list[Curve], top: bool, column: int) -> None:
    texts = []
    for number, (name, x, y, area) in enumerate(curves):
        colour = look.colour_of(name, number)
        line = {"color": colour, "width": 2.5 if name == OURS else 1.3}
        trace = go.Scatter(x=x, y=y, mode="lines", name=name, line=line, showlegend=False)
        figure.add_trace(trace, row=1, col=column)
        texts.append((area, f"{name} {area:.2f}", colour))
    listed = [(text, colour) for _area, text, colour in sorted(texts, reverse=True)]
    look.write(figure, look.list_labels(figure, listed, top, row=1, col=column))


def _roc(labels: Any, scores: Any) -> tuple[list[float], list[float], float]:
    false_positive, true_positive, _thresholds = roc_curve(labels, scores)
    return _thin(false_positive), _thin(true_positive), float(auc(false_positive, true_positive))


def _precision_recall(labels: Any, scores: Any) -> tuple[list[float], list[float], float]:
    precision, recall, _thresholds = precision_recall_curve(labels, scores)
    return _thin(recall), _thin(precision), float(average_precision_score(labels, scores))


def _thin(values: Any) -> list[float]:
    index = evenly_spaced(len(values), MOST_POINTS)
    return np.round(values[index], 3).tolist()


def _empty(titles: list[str]) -> go.Figure:
    return make_subplots(rows=1, cols=max(len(titles), 1), subplot_titles=titles)


def _finished(
    figure: go.Figure, finding: str, detail: str, x: str, y: str, height: int = PANEL + 170
) -> go.Figure:
    figure.update_xaxes(title_text=x)
    figure.update_yaxes(title_text=y, col=1)
    return look.finish(figure, finding, detail, height=height)
