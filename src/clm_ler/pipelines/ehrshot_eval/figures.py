"""The benchmark's figures."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

from clm_ler.pipelines.ehrshot_eval import results
from clm_ler.pipelines.ehrshot_eval.choices import BEST
from clm_ler.tables.ehrshot.tasks import SCOPE_NAMES

ALL_SHOTS, CEILING, HIDDEN, PUBLISHED = "All", "Record ceiling", "Hidden state", "Published"
# Known of a simulated site only: what they are called, and where they stand at the right.
KNOWN = {
    results.CEILING: ("record ceiling: ten times the labels", CEILING),
    results.TRUTH: ("hidden state: not reachable", HIDDEN),
}
CHANCE = 0.5
_COLUMNS = 3
_PANEL_HEIGHT = 340
_FOREST_GAP = 80


def plot_shots(summary: pd.DataFrame, scopes: Sequence[str], title: str) -> go.Figure:
    """Return a panel for each scope: AUROC over the number of shots, a line for each classifier.

    Of a model with several heads the best by validation is shown. The band is the 95 % interval, the
    dotted line chance. What is known of a simulation, and what was published with all training
    samples, are marks at the right; what was published with fewer is a mark above their number.
    """
    summary = _headline(summary)
    rows = summary[(summary["score"] == "auroc") & summary["scope"].isin(scopes)]
    names = [SCOPE_NAMES.get(scope, scope) for scope in scopes]
    columns = min(_COLUMNS, len(scopes))
    lines = -(-len(scopes) // columns)
    figure = make_subplots(
        lines, columns, subplot_titles=names, shared_yaxes=True, vertical_spacing=0.3 / lines
    )
    labels = _labels(rows)
    colours = dict(zip(labels, _palette(len(labels)), strict=True))
    for number, scope in enumerate(scopes):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        for label, part in rows[rows["scope"] == scope].groupby(_label_of(rows), sort=False):
            ordered = part.sort_values("k", key=_position)
            for trace in _curve(ordered, str(label), colours[label]):
                figure.add_trace(trace, **place)
    shots = [_shot_name(k) for k in sorted(rows["k"].unique(), key=_position_of)]
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=[*shots, CEILING, HIDDEN, PUBLISHED],
    )
    figure.add_hline(CHANCE, line={"dash": "dot", "color": "grey"})
    figure.update_layout(title=title, height=_PANEL_HEIGHT * lines + 120, template="plotly_white")
    return _one_legend_entry_each(figure)


def plot_verdict(verdict: pd.DataFrame, scopes: Sequence[str]) -> go.Figure:
    """Return the AUROC of ours minus that of each opponent, a panel for each scope, a mark for each k.

    A mark to the right of zero speaks for the model; its bar is the 95 % interval over persons.
    """
    rows = verdict[verdict["scope"].isin(scopes)]
    if rows.empty:
        return go.Figure(layout={"title": "No two classifiers to compare"})
    rows = rows.assign(pair=rows["model"] + " minus " + rows["other_model"])
    pairs, shots = list(dict.fromkeys(rows["pair"])), sorted(rows["k"].unique(), key=_position_of)
    columns = min(_COLUMNS, len(scopes))
    lines = -(-len(scopes) // columns)
    height = (len(pairs) * (8 * len(shots) + 12) + _FOREST_GAP) * lines + 120
    names = [SCOPE_NAMES.get(scope, scope) for scope in scopes]
    gap = _FOREST_GAP / height
    figure = make_subplots(
        lines, columns, subplot_titles=names, shared_yaxes=True, vertical_spacing=gap
    )
    colours = dict(zip(shots, _palette(len(shots)), strict=True))
    for number, scope in enumerate(scopes):
        place = {"row": number // columns + 1, "col": number % columns + 1}
        for k, part in rows[rows["scope"] == scope].groupby("k"):
            figure.add_trace(_forest(part, f"k = {_shot_name(k)}", colours[k]), **place)
    figure.add_vline(0, line={"dash": "dot", "color": "grey"})
    figure.update_yaxes(dtick=1, categoryorder="array", categoryarray=pairs[::-1])
    title = "Differences in AUROC to each opponent, 95 % intervals over persons"
    figure.update_layout(title=title, height=height, template="plotly_white", scattermode="group")
    return _one_legend_entry_each(figure)


def plot_table(summary: pd.DataFrame, scopes: Sequence[str]) -> go.Figure:
    """Return the table of AUROCs with all training samples: ours beside those that were published."""
    rows = summary[(summary["score"] == "auroc") & (summary["k"] == -1)]
    rows = rows.assign(label=_label_of(rows))
    text = rows["value"].map("{:.3f}".format)
    known = rows["lower"].notna()
    interval = rows["lower"].map(" ({:.3f} to ".format) + rows["upper"].map("{:.3f})".format)
    cells = rows.assign(text=text.where(~known, text + interval))
    wide = cells.pivot_table("text", "scope", "label", aggfunc="first", sort=False)
    wide = wide.reindex([scope for scope in scopes if scope in wide.index]).fillna("")
    header = ["AUROC, all training samples", *wide.columns]
    columns = [[SCOPE_NAMES.get(scope, scope) for scope in wide.index]]
    columns += [wide[name].tolist() for name in wide]
    figure = go.Figure(
        go.Table(
            header={"values": header, "align": "left"},
            cells={"values": columns, "align": "left", "height": 24},
            columnwidth=[2, *([1.6] * len(wide.columns))],
        )
    )
    figure.update_layout(height=26 * len(wide) + 220, width=190 * len(header))
    return figure


def _curve(rows: pd.DataFrame, label: str, colour: str) -> list[go.Scatter]:
    """Return the band and the line of a classifier, or the mark of what it is measured against."""
    look = {"name": label, "legendgroup": label, "marker": {"color": colour}}
    known = {name: place for name, place in KNOWN.values()}
    if rows["source"].iloc[0] == results.THIS_RUN and label not in known:
        shots = [_shot_name(k) for k in rows["k"]]
        band = go.Scatter(
            x=[*shots, *reversed(shots)],
            y=[*rows["upper"], *reversed(rows["lower"].tolist())],
            fill="toself",
            line={"width": 0},
            mode="lines",
            opacity=0.12,
            fillcolor=colour,
            hoverinfo="skip",
            **look,
        )
        return [band, go.Scatter(x=shots, y=rows["value"], mode="lines+markers", **look)]
    look["marker"] = {"color": colour, "symbol": "diamond-open"}
    at_right = known.get(label, PUBLISHED)
    places = [_shot_name(k) if k > 0 else at_right for k in rows["k"]]
    return [go.Scatter(x=places, y=rows["value"], error_y=_bars(rows), mode="markers", **look)]


def _bars(rows: pd.DataFrame, value: str = "value") -> dict[str, Any]:
    """Return the intervals as error bars."""
    return {
        "type": "data",
        "symmetric": False,
        "array": rows["upper"] - rows[value],
        "arrayminus": rows[value] - rows["lower"],
        "thickness": 1,
    }


def _forest(rows: pd.DataFrame, name: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=rows["difference"],
        y=rows["pair"],
        error_x=_bars(rows, "difference"),
        mode="markers",
        name=name,
        legendgroup=name,
        offsetgroup=name,
        orientation="h",
        marker={"color": colour},
    )


def _headline(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without the single heads of a model that has a best one."""
    ours = summary["source"] == results.THIS_RUN
    several = set(summary.loc[ours & (summary["head"] == BEST), "model"])
    return summary[~(ours & summary["model"].isin(several) & (summary["head"] != BEST))]


def _one_legend_entry_each(figure: go.Figure) -> go.Figure:
    seen: set[str] = set()
    for trace in figure.data:
        trace.showlegend = trace.fill is None and trace.name not in seen
        if trace.showlegend:
            seen.add(trace.name)
    return figure


def _label_of(rows: pd.DataFrame) -> pd.Series:
    ours = rows["source"] == results.THIS_RUN
    label = rows["model"] + " " + rows["head"]
    for model, (name, _place) in KNOWN.items():
        label = label.where(rows["model"] != model, name)
    return label.where(ours, label + " (published)")


def _labels(rows: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(_label_of(rows)))


def _palette(size: int) -> Iterable[str]:
    colours = qualitative.D3 + qualitative.Set2 + qualitative.Dark24
    return [colours[number % len(colours)] for number in range(size)]


def _position_of(k: int) -> float:
    return float("inf") if k == -1 else k


def _position(shots: pd.Series) -> pd.Series:
    return shots.map(_position_of)


def _shot_name(k: int) -> str:
    return ALL_SHOTS if k == -1 else str(k)
