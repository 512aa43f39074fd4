"""How index dates were counted down, and how often the outcome is."""

from typing import Any

import ibis.expr.types as ir
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clm_ler.corridor.figures import BLUE, GREY, ORANGE, finish, write

ATTRIBUTES = ("year", "age", "sex")


def plot_task(task_attrition: ir.Table, task_prevalence: ir.Table) -> go.Figure:
    """Return the index dates and persons that each step leaves, and the prevalence by group."""
    figure = make_subplots(
        rows=2,
        cols=3,
        specs=[[{"colspan": 3}, None, None], [{}, {}, {}]],
        subplot_titles=["left after each step", *(f"outcome by {name}" for name in ATTRIBUTES)],
        row_heights=[0.65, 0.35],
        vertical_spacing=0.16,
    )
    steps = [row for row in _rows(task_attrition) if row["rows_left"] is not None]
    for name, title, colour in (
        ("rows_left", "index dates", BLUE),
        ("persons_left", "persons", ORANGE),
    ):
        bar = go.Bar(
            y=[_step(row) for row in steps],
            x=[row[name] for row in steps],
            text=["" if row[name] is None else f"{row[name]:,}" for row in steps],
            textposition="outside",
            cliponaxis=False,
            orientation="h",
            name=title,
            marker={"color": colour},
        )
        figure.add_trace(bar, row=1, col=1)
    figure.update_yaxes(autorange="reversed", row=1, col=1)
    shown = [row for row in _rows(task_prevalence) if not row["suppressed"]]
    for column, attribute in enumerate(ATTRIBUTES, start=1):
        groups = [row for row in shown if row["attribute"] == attribute]
        bar = go.Bar(
            x=[row["group"] for row in groups],
            y=[row["prevalence"] for row in groups],
            customdata=[[row["rows"], row["persons"]] for row in groups],
            hovertemplate="%{x}: %{y:.1%} of %{customdata[0]:,} index dates of %{customdata[1]:,} "
            "persons<extra></extra>",
            marker={"color": BLUE},
            showlegend=False,
        )
        figure.add_trace(bar, row=2, col=column)
        figure.update_xaxes(type="category", row=2, col=column)
        highest = max((row["prevalence"] for row in groups), default=0.0)
        figure.update_yaxes(tickformat=".0%", range=[0, 1.1 * highest or 1], row=2, col=column)
        if not groups:
            write(figure, "too few persons", GREY, x=0.5, y=0.5, yref="y domain", row=2, col=column)
    detail = (
        "Index dates and persons left after each step; below: how often the outcome is, by group"
    )
    layout = {"legend": {"x": 1, "xanchor": "right"}, "barmode": "group"}
    return finish(figure, _finding(steps), detail, height=560 + 34 * len(steps), **layout)


def _finding(steps: list[dict[str, Any]]) -> str:
    """Return what is left in the end."""
    if not steps:
        return "No index dates"
    last = steps[-1]
    persons = "" if last["persons_left"] is None else f" of {last['persons_left']:,} persons"
    return f"{last['task']}: {last['rows_left']:,} index dates{persons} are left"


def _rows(table: ir.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return sorted(rows, key=lambda row: row["step"]) if "step" in table.columns else rows


def _step(row: dict[str, Any]) -> str:
    return f"- {row['rows']:,}: {row['reason']}" if row["rows"] else str(row["reason"])
