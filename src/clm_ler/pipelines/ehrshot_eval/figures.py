"""The benchmark's figures."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clm_ler.corridor import figures as look
from clm_ler.pipelines.ehrshot_eval import results
from clm_ler.pipelines.ehrshot_eval.choices import BEST
from clm_ler.tables.ehrshot.tasks import SCOPE_NAMES

ALL_SHOTS, CEILING, HIDDEN, PUBLISHED = "all", "ceiling", "hidden", "published"
# Known of a simulated site only: what they are called, and where they stand at the right.
KNOWN = {
    results.CEILING: ("record ceiling: ten times the labels", CEILING),
    results.TRUTH: ("hidden state: not reachable", HIDDEN),
}
AT_RIGHT = dict(KNOWN.values())
_MARKS = {
    CEILING: "ten times the labels",
    HIDDEN: "what drew the labels (not reachable)",
    PUBLISHED: "on the real data",
}
CHANCE = 0.5
STEP = 3.0  # from one place at the right to the next, as a factor on the axis of k
_COLUMNS = 2
_PANEL = 300  # pixels
_GAP = 110  # between the panels, for their names
_NAMES = 150  # beside a panel, for those of its lines
_FORESTS = 3
_LETTERS = 13  # of a line of a panel's name, where three stand side by side on a telephone


def plot_shots(summary: pd.DataFrame, scopes: Sequence[str], what: str) -> go.Figure:
    """Return a panel for each scope: AUROC over the number of shots k, a line for each classifier.

    Of a model with several heads the best by validation is shown. The band is the 95 % interval, the
    dotted line chance. What is known of a simulation, and what was published with all training
    samples, are marks at the right; what was published with fewer is a mark above their number.
    """
    summary = _headline(summary)
    rows = summary[(summary["score"] == "auroc") & summary["scope"].isin(scopes)]
    rows = rows.assign(label=_label_of(rows))
    places = _places(rows)
    figure, lines = _panels(scopes, _COLUMNS, _PANEL)
    texts: list[look.Text] = []
    for number, scope in enumerate(scopes):
        place = {"row": number // _COLUMNS + 1, "col": number % _COLUMNS + 1}
        part = rows[rows["scope"] == scope]
        low, high = _range(part)
        names = []
        for turn, (label, of_label) in enumerate(part.groupby("label", sort=False)):
            ordered = of_label.sort_values("k", key=_position)
            colour = look.colour_of(ordered["model"].iloc[0], turn)
            traces = _curve(ordered, str(label), colour, places)
            for trace in traces:
                figure.add_trace(trace, **place)
            if len(traces) == 2:
                names.append(look.Label(str(label), ordered["value"].iloc[-1], colour))
        texts += look.label_lines(figure, names, low, high, _PANEL, **place)
        texts.append(look.mark_level(figure, CHANCE, "chance", **place))
        figure.update_yaxes(range=[low, high], **place)
    look.write(figure, texts)
    ticks = {name: place for name, place in places.items() if place > 0}
    figure.update_xaxes(
        type="log",
        tickvals=list(ticks.values()),
        ticktext=list(ticks),
        title_text="k",
        title_standoff=4,
        tickangle=0,
    )
    detail = f"AUROC by {what} over the number k of labels of each class, 95 % intervals"
    marks = [f"{name}, {_MARKS[name]}" for name in places if name in _MARKS]
    detail += f"<br>At the right: {'; '.join(marks)}" if marks else ""
    height = _height(lines, _PANEL)
    return look.finish(figure, _best(rows, scopes), detail, height, margin={"r": _NAMES, "t": 130})


def plot_verdict(verdict: pd.DataFrame, scopes: Sequence[str]) -> go.Figure:
    """Return the AUROC of ours minus that of each baseline, a panel for each scope, a mark for each k.

    A mark to the right of zero speaks for the model; its bar is the 95 % interval over persons.
    """
    rows = verdict[verdict["scope"].isin(scopes)]
    if rows.empty:
        return look.finish(go.Figure(), "No two classifiers to compare")
    rows = rows.assign(pair=rows["model"] + " - " + rows["other_model"])
    pairs, shots = list(dict.fromkeys(rows["pair"])), sorted(rows["k"].unique(), key=_position_of)
    colours = look.colours_of(len(shots))
    panel = len(pairs) * (8 * len(shots) + 12)
    figure, lines = _panels(scopes, _FORESTS, panel)
    for number, scope in enumerate(scopes):
        place = {"row": number // _FORESTS + 1, "col": number % _FORESTS + 1}
        for turn, k in enumerate(shots):
            part = rows[(rows["scope"] == scope) & (rows["k"] == k)]
            figure.add_trace(_forest(part, f"k = {_shot_name(k)}", colours[turn]), **place)
    figure.add_vline(0, line=look.THIN)
    figure.update_yaxes(dtick=1, categoryorder="array", categoryarray=pairs[::-1])
    shown = " ".join(
        f'<span style="color:{colour}"><b>k = {_shot_name(k)}</b></span>'
        for colour, k in zip(colours, shots, strict=True)
    )
    detail = f"Difference in AUROC, 95 % intervals over persons, {shown}; dotted: no difference"
    layout = {"scattermode": "group", "margin": {"t": 130}, "showlegend": False}
    return look.finish(figure, _ahead(rows, scopes), detail, _height(lines, panel), **layout)


def plot_table(summary: pd.DataFrame, scopes: Sequence[str]) -> go.Figure:
    """Return the table of AUROCs with the most labels there are: ours, then what was published."""
    rows = _headline(summary)
    rows = rows[(rows["score"] == "auroc") & rows["scope"].isin(scopes)]
    rows = rows.assign(label=_label_of(rows))
    last = rows.groupby("label")["k"].transform(lambda shots: max(shots, key=_position_of))
    rows = rows[rows["k"] == last]
    text = rows["value"].map("{:.3f}".format)
    interval = rows["lower"].map("<br>{:.3f} to ".format) + rows["upper"].map("{:.3f}".format)
    rows = rows.assign(
        text=text.where(rows["lower"].isna(), text + interval), shots=rows["k"].map(_shot_name)
    )
    wide = rows.pivot_table("text", ["label", "shots"], "scope", aggfunc="first", sort=False)
    wide = wide.reindex(columns=[scope for scope in scopes if scope in wide.columns]).fillna("")
    header = ["AUROC", "k", *(SCOPE_NAMES.get(scope, scope) for scope in wide.columns)]
    columns = [list(names) for names in zip(*wide.index, strict=True)] or [[], []]
    columns += [wide[scope].tolist() for scope in wide]
    line = {"color": "#DDDDDD"}
    figure = go.Figure(
        go.Table(
            header={"values": header, "align": "left", "fill_color": "#F2F2F2", "line": line},
            cells={
                "values": columns,
                "align": "left",
                "height": 38,
                "fill_color": "white",
                "line": line,
            },
            columnwidth=[2.2, 0.5, *([1.2] * len(wide.columns))],
        )
    )
    detail = "With the most labels k that were tried, 95 % intervals over persons"
    return look.finish(
        figure,
        _best(rows, scopes),
        detail,
        46 * len(wide) + 220,
        margin={"l": 16, "r": 16, "b": 10},
    )


def _panels(scopes: Sequence[str], columns: int, panel: int) -> tuple[go.Figure, int]:
    """Return panels in rows, and how many rows; so high is one."""
    lines = -(-len(scopes) // columns)
    names = [SCOPE_NAMES.get(scope, scope) for scope in scopes]
    if columns == _FORESTS:
        names = ["<br>".join(wrap(name, _LETTERS)) for name in names]
    # A share of the whole height; a row by itself may be lower than a gap.
    between = _GAP / (lines * panel + (lines - 1) * _GAP) if lines > 1 else 0
    figure = make_subplots(
        lines,
        columns,
        subplot_titles=names,
        shared_yaxes=columns == _FORESTS,
        vertical_spacing=between,
        horizontal_spacing=0.05 if columns == _FORESTS else 0.2,
    )
    if columns == _FORESTS:
        figure.update_annotations(font_size=11)
    return figure, lines


def _height(lines: int, panel: int) -> int:
    return lines * (panel + _GAP) + 110


def _places(rows: pd.DataFrame) -> dict[str, float]:
    """Return where each number of shots, and each mark at the right, stands on the axis of k."""
    shots = sorted({int(k) for k in rows["k"] if k > 0}) or [1]
    places = {str(k): float(k) for k in shots}
    ours = rows["source"] == results.THIS_RUN
    at_right = (
        [ALL_SHOTS] if (ours & (rows["k"] == -1) & ~rows["label"].isin(AT_RIGHT)).any() else []
    )
    at_right += [place for label, place in AT_RIGHT.items() if (rows["label"] == label).any()]
    at_right += [PUBLISHED] if (~ours & (rows["k"] == -1)).any() else []
    return places | {name: shots[-1] * STEP ** (n + 1) for n, name in enumerate(at_right)}


def _range(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of the axis of AUROC: chance is always to be seen."""
    low = min([CHANCE, *rows["lower"].dropna(), *rows["value"].dropna()])
    high = max([CHANCE + 0.1, *rows["upper"].dropna(), *rows["value"].dropna()])
    return low - 0.03, min(high + 0.03, 1.01)


def _best(rows: pd.DataFrame, scopes: Sequence[str]) -> str:
    """Return which classifier of this run is best with the most labels: in the mean, or how often."""
    means = ["macro"] if "macro" in scopes else scopes
    ours = rows[(rows["source"] == results.THIS_RUN) & rows["scope"].isin(means)]
    ours = ours[~ours["model"].isin(KNOWN)]
    if ours.empty:
        return "AUROC over the number of labels"
    last = max(ours["k"], key=_position_of)
    first = ours[ours["k"] == last].sort_values("value").groupby("scope").tail(1)
    times = first["model"].value_counts()
    model = times.index[0]
    told = f"Best with k = {_shot_name(last)}: {model}"
    if len(means) > 1:
        if (times == times.iloc[0]).sum() > 1:
            return f"No classifier is best in most panels with k = {_shot_name(last)}"
        return f"{told}, in {times.iloc[0]} of {len(means)} panels"
    where = SCOPE_NAMES.get(means[0], means[0]).lower()
    return f"{told}, {first['value'].iloc[0]:.3f} ({where})"


def _ahead(rows: pd.DataFrame, scopes: Sequence[str]) -> str:
    """Return of how many others ours is ahead for certain."""
    scope = "macro" if "macro" in scopes else scopes[-1]
    part = rows[rows["scope"] == scope]
    if part.empty:
        return "Differences in AUROC"
    model = part["model"].iloc[0]
    part = part[part["model"] == model]
    counts = [
        f"{(of_k['lower'] > 0).sum()} of {len(of_k)} at k = {_shot_name(k)}"
        for k, of_k in part.sort_values("k", key=_position).groupby("k", sort=False)
    ]
    return f"{model} is clearly ahead of others: {', '.join(counts)} ({SCOPE_NAMES.get(scope, scope).lower()})"


def _curve(
    rows: pd.DataFrame, label: str, colour: str, places: dict[str, float]
) -> list[go.Scatter]:
    """Return the band and the line of a classifier, or the mark of what it is measured against."""
    drawn: dict[str, Any] = {"name": label, "marker": {"color": colour}, "showlegend": False}
    if rows["source"].iloc[0] == results.THIS_RUN and label not in AT_RIGHT:
        shots = [places[_shot_name(k)] for k in rows["k"]]
        band = go.Scatter(
            x=[*shots, *reversed(shots)],
            y=[*rows["upper"], *reversed(rows["lower"].tolist())],
            fill="toself",
            line={"width": 0},
            mode="lines",
            fillcolor=look.faint(colour),
            hoverinfo="skip",
            showlegend=False,
        )
        line = {"color": colour, "width": 2}
        return [
            band,
            go.Scatter(x=shots, y=rows["value"], mode="lines+markers", line=line, **drawn),
        ]
    symbol = "line-ew-open" if label in AT_RIGHT else "diamond-open"
    drawn["marker"] = {"color": look.GREY, "symbol": symbol, "size": 8}
    at_right = AT_RIGHT.get(label, PUBLISHED)
    x = [places[_shot_name(k) if k > 0 else at_right] for k in rows["k"]]
    bars = _bars(rows) | {"color": look.GREY}
    hover = "%{fullData.name}: %{y:.3f}<extra></extra>"
    marks = {"error_y": bars, "mode": "markers", "hovertemplate": hover}
    return [go.Scatter(x=x, y=rows["value"], **marks, **drawn)]


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
        offsetgroup=name,
        orientation="h",
        marker={"color": colour},
    )


def _headline(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without the single heads of a model that has a best one."""
    ours = summary["source"] == results.THIS_RUN
    several = set(summary.loc[ours & (summary["head"] == BEST), "model"])
    return summary[~(ours & summary["model"].isin(several) & (summary["head"] != BEST))]


def _label_of(rows: pd.DataFrame) -> pd.Series:
    ours = rows["source"] == results.THIS_RUN
    label = rows["model"].where(ours, rows["model"] + " " + rows["head"])
    for model, (name, _place) in KNOWN.items():
        label = label.where(rows["model"] != model, name)
    return label.where(ours, label + " (published)")


def _position_of(k: int) -> float:
    return float("inf") if k == -1 else k


def _position(shots: pd.Series) -> pd.Series:
    return shots.map(_position_of)


def _shot_name(k: int) -> str:
    return ALL_SHOTS if k == -1 else str(k)
