"""What is left and what is lost, as a flow."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from clm_ler.corridor.figures import BLUE, RED, faint, finish
from clm_ler.tables.cutflow import Row


def plot_flow(loss_ledger: list[Row], cutflow: list[Row], min_persons: int) -> go.Figure:
    """Return the rows' way from the raw tables to the tokens of ``sequences`` as a flow figure.

    It may be shared: what fewer than ``min_persons`` persons have lost goes to other reasons, together with
    the next one where these are too few as well.
    """
    kept = {(row["step"], row["table"]): row["rows"] for row in cutflow}
    flows = [
        (table, "lab results" if table == "lab" else "events", rows)
        for (step, table), rows in kept.items()
        if step == "read" and table != "patient"
    ]
    flows.append(("lab results", "events", kept["lab_tokens", "lab"]))
    flows.append(("events", "sequences", kept["once_a_day", "events"]))
    sources = {"read": "{table}", "lab_tokens": "lab results"}
    lost: dict[str, dict[str, Counter[str]]] = {}
    for row in loss_ledger:
        if row["step"] != "blank_values" and row["table"] != "patient":
            source = sources.get(row["step"], "events").format(**row)
            _add(row, lost.setdefault(source, {}).setdefault(row["reason"], Counter()))
    flows += [
        (source, f"lost: {reason}", counts["rows"])
        for source, by_reason in sorted(lost.items())
        for reason, counts in sorted(_of_enough(by_reason, min_persons).items())
    ]
    names = list(dict.fromkeys(name for flow in flows for name in flow[:2]))
    link = {
        "source": [names.index(source) for source, _target, _rows in flows],
        "target": [names.index(target) for _source, target, _rows in flows],
        "value": [rows for _source, _target, rows in flows],
    }
    ends = [target for _source, target, _rows in flows]
    link["color"] = [faint(RED if end.startswith("lost: ") else BLUE) for end in ends]
    node = {"label": names, "color": [RED if name.startswith("lost: ") else BLUE for name in names]}
    figure = go.Figure(go.Sankey(node=node | {"pad": 14, "thickness": 12}, link=link))
    detail = "Rows of the raw tables on their way to the tokens of sequences; orange: lost"
    told = {"min_persons": min_persons}  # for pages that show it
    return finish(figure, _finding(flows), detail, height=560, meta=told)


def _finding(flows: list[tuple[str, str, int]]) -> str:
    """Return how many rows become tokens, and why most of the others do not."""
    kept = sum(rows for _source, target, rows in flows if target == "sequences")
    lost: Counter[str] = Counter()
    for _source, target, rows in flows:
        if target.startswith("lost: "):
            lost[target.removeprefix("lost: ")] += rows
    share = kept / max(kept + lost.total(), 1)
    worst = lost.most_common(1)
    why = f"; most of the others are lost for: {worst[0][0]}" if worst else ""
    return f"{share:.1%} of {kept + lost.total():,} rows become tokens{why}"


def _of_enough(by_reason: Mapping[str, Counter[str]], min_persons: int) -> dict[str, Counter[str]]:
    """Return rows and persons by reason; reasons of few persons are one, ``other reasons``.

    Rows of nobody, such as those without an id, tell of nobody.
    """
    nobody = {reason: counts for reason, counts in by_reason.items() if not counts["persons"]}
    told = sorted(
        (item for item in by_reason.items() if item[0] not in nobody),
        key=lambda item: item[1]["persons"],
        reverse=True,
    )
    other: Counter[str] = Counter()
    while told and (told[-1][1]["persons"] < min_persons or 0 < other["persons"] < min_persons):
        _add(told.pop()[1], other)
    enough = {"other reasons": other} if other["persons"] >= min_persons else {}
    return dict(told) | nobody | enough


def _add(loss: Mapping[str, Any], counts: Counter[str]) -> None:
    """Add a loss: as one person may have several, the sum is sure to be of as many as the largest, no more."""
    counts["rows"] += loss["rows"]
    counts["persons"] = max(counts["persons"], loss["persons"])
