"""What is left and what is lost, as a flow."""

from collections import Counter

import plotly.graph_objects as go

from clm_ler.tables.cutflow import Row


def plot_flow(loss_ledger: list[Row], cutflow: list[Row]) -> go.Figure:
    """Return the rows' way from the raw tables to the tokens of ``sequences`` as a flow figure."""
    kept = {(row["step"], row["table"]): row["rows"] for row in cutflow}
    flows = [
        (table, "lab results" if table == "lab" else "events", rows)
        for (step, table), rows in kept.items()
        if step == "read" and table != "patient"
    ]
    flows.append(("lab results", "events", kept["lab_tokens", "lab"]))
    flows.append(("events", "sequences", kept["once_a_day", "events"]))
    sources = {"read": "{table}", "lab_tokens": "lab results"}
    lost: Counter[tuple[str, str]] = Counter()
    for row in loss_ledger:
        if row["step"] != "blank_values" and row["table"] != "patient":
            source = sources.get(row["step"], "events").format(**row)
            lost[source, row["reason"]] += row["rows"]
    flows += [(source, f"lost: {reason}", rows) for (source, reason), rows in sorted(lost.items())]
    names = list(dict.fromkeys(name for flow in flows for name in flow[:2]))
    link = {
        "source": [names.index(source) for source, _target, _rows in flows],
        "target": [names.index(target) for _source, target, _rows in flows],
        "value": [rows for _source, _target, rows in flows],
    }
    figure = go.Figure(go.Sankey(node={"label": names}, link=link))
    return figure.update_layout(title="Rows from the raw tables to the sequences")
