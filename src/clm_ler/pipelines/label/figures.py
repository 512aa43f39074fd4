"""How index dates were counted down, and how often the outcome is."""

from typing import Any

import ibis.expr.types as ir
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clm_ler.corridor.figures import BLUE, GREY, ORANGE, finish, text_at, write

ATTRIBUTES = ("year", "age", "sex")

Row = dict[str, Any]


def plot_task(task_attrition: ir.Table, task_prevalence: ir.Table) -> go.Figure:
    """Return the index dates and persons that each step leaves, and the prevalence by group, of each task."""
    steps, groups = _by_task(task_attrition), _by_task(task_prevalence)
    steps = {
        task: [row for row in rows if row["rows_left"] is not None] for task, rows in steps.items()
    }
    several = len(steps) > 1
    titles = [
        title
        for task in steps
        for title in (
            f"{task}: left after each step" if several else "left after each step",
            *(f"outcome by {name}" for name in ATTRIBUTES),
        )
    ]
    figure = make_subplots(
        rows=2 * len(steps),
        cols=3,
        specs=[[{"colspan": 3}, None, None], [{}, {}, {}]] * len(steps),
        subplot_titles=titles,
        row_heights=[0.65, 0.35] * len(steps),
        vertical_spacing=0.16 / len(steps),
    )
    for number, task in enumerate(steps):
        _add_steps(figure, steps[task], row=2 * number + 1)
        _add_groups(figure, groups.get(task, []), row=2 * number + 2)
    detail = (
        "Index dates and persons left after each step; below: how often the outcome is, by group"
    )
    legend = {"x": 1, "xanchor": "right"} | ({"y": 1} if several else {})
    layout = {"legend": legend, "barmode": "group"}
    height = sum(560 + 34 * len(rows) for rows in steps.values())
    return finish(figure, _finding(steps), detail, height=height, **layout)


def _add_steps(figure: go.Figure, steps: list[Row], row: int) -> None:
    for name, title, colour in (
        ("rows_left", "index dates", BLUE),
        ("persons_left", "persons", ORANGE),
    ):
        bar = go.Bar(
            y=[_step(step) for step in steps],
            x=[step[name] for step in steps],
            text=["" if step[name] is None else f"{step[name]:,}" for step in steps],
            textposition="outside",
            cliponaxis=False,
            orientation="h",
            name=title,
            marker={"color": colour},
            **{} if row == 1 else {"showlegend": False},
        )
        figure.add_trace(bar, row=row, col=1)
    figure.update_yaxes(autorange="reversed", row=row, col=1)


def _add_groups(figure: go.Figure, prevalence: list[Row], row: int) -> None:
    shown = [group for group in prevalence if not group["suppressed"]]
    for column, attribute in enumerate(ATTRIBUTES, start=1):
        groups = [group for group in shown if group["attribute"] == attribute]
        bar = go.Bar(
            x=[group["group"] for group in groups],
            y=[group["prevalence"] for group in groups],
            customdata=[[group["rows"], group["persons"]] for group in groups],
            hovertemplate="%{x}: %{y:.1%} of %{customdata[0]:,} index dates of %{customdata[1]:,} "
            "persons<extra></extra>",
            marker={"color": BLUE},
            showlegend=False,
        )
        figure.add_trace(bar, row=row, col=column)
        figure.update_xaxes(type="category", row=row, col=column)
        highest = max((group["prevalence"] for group in groups), default=0.0)
        figure.update_yaxes(tickformat=".0%", range=[0, 1.1 * highest or 1], row=row, col=column)
        if not groups:
            place: dict[str, Any] = {"x": 0.5, "y": 0.5, "yref": "y domain"}
            place |= {"row": row, "col": column}
            write(figure, [text_at(figure, "too few persons", GREY, **place)])


def _finding(steps: dict[str, list[Row]]) -> str:
    """Return what is left in the end."""
    left = [rows[-1] for rows in steps.values() if rows]
    if not left:
        return "No index dates"
    if len(left) > 1:
        numbers = [last["rows_left"] for last in left]
        return f"{len(left)} tasks: {min(numbers):,} to {max(numbers):,} index dates are left"
    last = left[0]
    persons = "" if last["persons_left"] is None else f" of {last['persons_left']:,} persons"
    return f"{last['task']}: {last['rows_left']:,} index dates{persons} are left"


def _by_task(table: ir.Table) -> dict[str, list[Row]]:
    rows: list[Row] = table.to_pyarrow().to_pylist()
    if "step" in table.columns:
        rows = sorted(rows, key=lambda row: row["step"])
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["task"], []).append(row)
    return found


def _step(row: Row) -> str:
    return f"- {row['rows']:,}: {row['reason']}" if row["rows"] else str(row["reason"])
