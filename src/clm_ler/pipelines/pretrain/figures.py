"""The training as curves."""

from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clm_ler.corridor import figures as look
from clm_ler.modeling.objectives import OBJECTIVES
from clm_ler.pipelines.pretrain.options import PretrainOptions

PANEL = 150  # pixels


def plot_curves(
    history: list[dict[str, float]], metrics: dict[str, Any], options: PretrainOptions
) -> go.Figure:
    """Return the objective's scalars over the steps, a panel each, with the baselines as lines."""
    objective = OBJECTIVES[options.objective]
    titles = tuple(objective.charts.values())
    figure = make_subplots(
        len(titles),
        1,
        shared_xaxes=True,
        subplot_titles=titles,
        vertical_spacing=0.25 / len(titles),
    )
    baselines = {
        name: objective.scalars(baseline)
        for name, baseline in metrics["valid"]["baselines"].items()
    }
    for row, chart in enumerate(objective.charts, start=1):
        curves = {"validation": (f"eval_{chart}", look.BLUE)}
        if chart == "loss":
            curves = {"training": ("loss", look.SKY)} | curves
        drawn = {name: _points(history, key) for name, (key, _colour) in curves.items()}
        ends = [
            look.Label(name, drawn[name][-1][1], colour)
            for name, (_key, colour) in curves.items()
            if drawn[name]
        ]
        for name, (_key, colour) in curves.items():
            steps, values = zip(*drawn[name], strict=True) if drawn[name] else ((), ())
            line = {"color": colour, "width": 2}
            trace = go.Scatter(x=steps, y=values, name=name, mode="lines", line=line)
            figure.add_trace(trace, row=row, col=1)
        for level, names in _levels(baselines, chart).items():
            figure.add_hline(level, line=look.THIN, layer="below", row=row, col=1)
            together = "all baselines" if len(names) == len(baselines) > 1 else ", ".join(names)
            ends.append(look.Label(together, level, look.GREY))
        low, high = _range(
            [*(y for points in drawn.values() for _x, y in points), *(e.y for e in ends)]
        )
        figure.update_yaxes(range=[low, high], row=row, col=1)
        look.write(figure, look.label_lines(figure, ends, low, high, PANEL, row=row, col=1))
    figure.update_xaxes(title_text="step", row=len(titles), col=1)
    return look.finish(
        figure,
        _finding(history, baselines),
        "By step of pre-training; dotted: baselines that need no model",
        height=150 + (PANEL + 50) * len(titles),
        showlegend=False,
        margin={"r": 150},
    )


def _points(history: list[dict[str, float]], key: str) -> list[tuple[float, float]]:
    return [(entry["step"], entry[key]) for entry in history if key in entry]


def _levels(baselines: dict[str, dict[str, float]], chart: str) -> dict[float, list[str]]:
    """Return which baselines are at each level of a chart."""
    levels: dict[float, list[str]] = {}
    for name, scalars in baselines.items():
        levels.setdefault(round(scalars[chart], 6), []).append(name)
    return levels


def _range(values: list[float]) -> tuple[float, float]:
    """Return the ends of an axis that shows all values."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.08 * (high - low) or 1.0
    return low - room, high + room


def _finding(history: list[dict[str, float]], baselines: dict[str, dict[str, float]]) -> str:
    """Return the lowest loss on validation beside that of the best baseline."""
    losses = [loss for _step, loss in _points(history, "eval_loss")]
    if not losses:
        return "Pre-training"
    finding = f"Validation loss {min(losses):.2f}"
    if not baselines:
        return finding
    best = min(baselines, key=lambda name: baselines[name]["loss"])
    return f"{finding}; best baseline, {best}: {baselines[best]['loss']:.2f}"
