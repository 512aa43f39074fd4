"""One person's prediction: what happened when, what each event adds, and how the risk went."""

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
from ibis import _
from plotly.subplots import make_subplots
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor.figures import BLACK, finish
from clm_ler.engines.portable import row_count
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.inference import predict_proba, trained_window
from clm_ler.pipelines.explain.nodes import Asked, ask, asked_task, explained_rows
from clm_ler.pipelines.explain.options import ExplainOptions
from clm_ler.tables.persons import are_numbers
from clm_ler.terminology.names import names_of
from clm_ler.tokens import system_of


def draw_person(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    finetuned_model: PreTrainedModel,
    person_ids: ir.Table,
    code_names: ir.Table | None,
    options: ExplainOptions,
) -> go.Figure:
    """Return the timeline of the last sample of ``explain.person``, empty where nobody is asked for.

    Raises:
        ValueError: If the person has no test sample.
    """
    if options.person is None:
        return finish(go.Figure(), "Nobody was asked for: set explain.person")
    key, task = _key(person_ids, options.person), asked_task(finetuned_model, options)
    own = samples.filter(_.person_id == key, _.split == "test", _.task == task)
    if not row_count(own):
        raise ValueError(f"explain.person: this person has no test sample of '{task}'.")
    last = own.filter(_.prediction_time == own.prediction_time.max()) if _dated(own) else own
    asked = ask(last, labelled_encoded, tokenizer, finetuned_model, options)
    rows = pa.Table.from_batches(explained_rows(asked, tokenizer, finetuned_model)).to_pandas()
    names = names_of(rows["token"].unique(), code_names)
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06)
    for trace in _events(rows, names):
        figure.add_trace(trace, 1, 1)
    figure.add_trace(_path(asked, finetuned_model), 2, 1)
    figure.update_xaxes(title_text="days before the prediction", autorange="reversed", row=2, col=1)
    figure.update_yaxes(title_text="adds to log-odds", row=1, col=1)
    figure.update_yaxes(title_text="risk", rangemode="tozero", row=2, col=1)
    finding = f"{asked.task}: {_heaviest(rows)} weighs most for this person"
    detail = "What each event adds to the log-odds, and the risk as it was predicted day by day"
    return finish(figure, finding, detail, height=720, margin={"t": 150})


def _key(person_ids: ir.Table, person: str) -> int:
    """Return the key of an id of the tables."""
    known = person_ids.filter(_.own_id == person) if not are_numbers(person_ids) else None
    if known is None:
        if not person.removeprefix("-").isdecimal() or not -(2**63) <= int(person) < 2**63:
            raise ValueError("explain.person: ids are whole numbers of 64 bits here.")
        return int(person)
    found = known.person_id.execute()
    if found.empty:
        raise ValueError("explain.person: there is no such person.")
    return int(found.iloc[0])


def _dated(samples: ir.Table) -> bool:
    return bool(samples.prediction_time.notnull().any().execute())


def _events(rows: pd.DataFrame, names: dict[str, str]) -> list[go.Scatter]:
    """Return the events of each system; sizes say how much they add."""
    rows["adds"] = rows["from_code"] + rows["from_bin"] + rows["from_day"]
    rows["system"] = rows["token"].map(system_of)
    rows["label"] = rows["token"].map(lambda token: names.get(token, token)) + rows["bin"].map(
        lambda of: "" if pd.isna(of) else f", bin {of}"
    )
    largest = max(rows["adds"].abs().max(), 1e-9)
    return [
        go.Scatter(
            x=of_system["days_before"],
            y=of_system["adds"],
            mode="markers",
            name=str(system),
            text=of_system["label"],
            marker={"size": 5 + 15 * of_system["adds"].abs() / largest},
            hovertemplate="%{text}<br>%{x} days before<br>%{y:+.3f}<extra></extra>",
        )
        for system, of_system in rows.groupby("system")
    ]


def _heaviest(rows: pd.DataFrame) -> str:
    return str(rows.loc[rows["adds"].abs().idxmax(), "label"]) if len(rows) else "nothing"


def _path(asked: Asked, model: PreTrainedModel) -> go.Scatter:
    """Return the risk as it was predicted at the end of each day with an event."""
    row, end = int(asked.samples.rows[0]), int(asked.samples.ends[0])
    days = asked.store.gather(np.array([row])).position_ids[:end]
    ends = np.flatnonzero(np.diff(days, append=days[-1:] + 1)) + 1
    seen = np.flatnonzero(days[ends - 1] > 0)
    ends = ends[seen]
    at = Samples.unlabelled(np.full(len(ends), row), ends, days[ends - 1])
    window = trained_window(model)
    risks = predict_proba(model, asked.store, at, asked.vocabulary, window)[:, asked.outcome]
    before = int(asked.samples.days[0]) - days[ends - 1]
    return go.Scatter(
        x=before,
        y=risks,
        mode="lines+markers",
        name="risk",
        showlegend=False,
        line={"shape": "hv", "color": BLACK},
    )
