"""What weighs, and what a change of a lab would do: of many persons together."""

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from ibis import _
from plotly.subplots import make_subplots

from clm_ler.corridor.figures import BLUE, RED, finish

MOST_TOKENS = 25
COLUMNS = 3
RAISES, LOWERS = RED, BLUE


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
    heaviest = rows["name"].iloc[-1] if names else "nothing"
    figure = go.Figure(bars)
    figure.update_xaxes(title_text="mean absolute contribution to the log-odds")
    figure.update_yaxes(tickmode="linear")
    detail = "The heaviest tokens of the test split; orange: they raise the log-odds, blue: they lower them"
    finding = f"The predictions rest most of all on {heaviest}"
    return finish(figure, finding, detail, height=190 + 22 * len(rows))


def plot_counterfactuals(lab_counterfactuals: ir.Table) -> go.Figure:
    """Return the mean risk of those who have a result of a lab, by the bin it is moved to."""
    rows = lab_counterfactuals.to_pandas()
    labs = list(rows.groupby("token", sort=False))  # two may have the same name
    names = [of_lab["name"].iloc[0] for _token, of_lab in labs]
    lines = -(-max(len(labs), 1) // COLUMNS)
    figure = make_subplots(
        lines, COLUMNS, subplot_titles=names, shared_yaxes=True, vertical_spacing=0.45 / lines
    )
    for place, (_token, of_lab) in enumerate(labs):
        line = go.Scatter(
            x=of_lab["bin"], y=of_lab["risk"], mode="lines+markers", marker={"color": BLUE}
        )
        figure.add_trace(line, place // COLUMNS + 1, place % COLUMNS + 1)
    figure.update_yaxes(rangemode="tozero", tickformat=".0%").update_xaxes(dtick=3, tickangle=0)
    detail = (
        "Mean risk of those with a result, were their last one in another bin (percentiles), all else "
        "as it was"
    )
    height = 150 + 220 * lines
    return finish(figure, _most_moving(rows), detail, height=height, showlegend=False)


def _most_moving(rows: pd.DataFrame) -> str:
    """Return which lab moves the mean risk most."""
    if rows.empty:
        return "No lab was moved"
    risks = rows.groupby(["token", "name"], sort=False)["risk"].agg(["min", "max"])
    token, name = (risks["max"] - risks["min"]).idxmax()
    low, high = risks.loc[(token, name)]
    return f"{name} moves the mean risk most: {low:.1%} to {high:.1%}"
