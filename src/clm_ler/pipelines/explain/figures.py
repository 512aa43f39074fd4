"""What weighs, and what a change of a lab would do: of many persons together."""

import ibis.expr.types as ir
import numpy as np
import plotly.graph_objects as go
from ibis import _
from plotly.subplots import make_subplots

MOST_TOKENS = 25
COLUMNS = 3
RAISES, LOWERS = "#b2182b", "#2166ac"


def plot_contributions(contribution_summary: ir.Table) -> go.Figure:
    """Return the heaviest tokens: how much each weighs, and whether it raises or lowers the risk."""
    rows = contribution_summary.order_by(_.weight.desc(), "token").limit(MOST_TOKENS).to_pandas()
    rows = rows.iloc[::-1]
    names = [
        name if name == token else f"{name} ({token})"
        for name, token in zip(rows["name"], rows["token"], strict=True)
    ]
    bars = go.Bar(
        x=rows["weight"],
        y=names,
        orientation="h",
        marker_color=np.where(rows["raises"] >= 0, RAISES, LOWERS),
        customdata=rows[["persons", "raises"]],
        hovertemplate="%{y}<br>weight %{x:.3f}<br>%{customdata[0]} persons, "
        "mean contribution %{customdata[1]:+.3f}<extra></extra>",
    )
    heaviest = names[-1] if names else "nothing"
    return go.Figure(bars).update_layout(
        title=f"What the predictions rest on: most of all {heaviest}",
        xaxis_title="mean absolute contribution to the log-odds (red: raises them, blue: lowers)",
        height=140 + 22 * len(rows),
        yaxis={"automargin": True},
    )


def plot_counterfactuals(lab_counterfactuals: ir.Table) -> go.Figure:
    """Return the mean risk of those who have a result of a lab, by the bin it is moved to."""
    rows = lab_counterfactuals.to_pandas()
    labs = list(dict.fromkeys(rows["name"]))
    columns = min(COLUMNS, max(len(labs), 1))
    figure = make_subplots(
        -(-max(len(labs), 1) // columns), columns, subplot_titles=labs, shared_yaxes=True
    )
    for place, name in enumerate(labs):
        of_lab = rows[rows["name"] == name]
        line = go.Scatter(x=of_lab["bin"], y=of_lab["risk"], mode="lines+markers", showlegend=False)
        figure.add_trace(line, place // columns + 1, place % columns + 1)
    height = 140 + 190 * -(-max(len(labs), 1) // columns)
    return figure.update_layout(
        title="Mean risk if the last result of a lab were in another bin, all else as it was",
        height=height,
    ).update_yaxes(rangemode="tozero")
