"""Raw tables to token sequences."""

from functools import reduce

import ibis
import ibis.expr.types as ir
import plotly.graph_objects as go
from ibis import _

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.tables import cutflow as flow
from clm_ler.tables.labs.results import (
    classify_lab_events,
    fit_lab_percentiles,
    fit_unit_conversions,
    lab_tokens,
)
from clm_ler.tables.screening import (
    PLACEHOLDER_BIRTH,
    count_rows,
    name_codes,
    screen_events,
    screen_patients,
    translate_codes,
    translate_demographics,
)
from clm_ler.tables.sequences import build_sequences, measure_spans
from clm_ler.tables.sources import select

# CLM-LER's column names and ours.
PATIENT = {
    "person_id": "person_id",
    "px_birth_date": "birth_date",
    "px_gender": "gender",
    "px_race": "race",
    "px_ethnicity": "ethnicity",
    "px_region": "region",
}
EVENT = {"person_id": "person_id", "date": "time"}
EVENTS = {
    "diagnosis": EVENT | {"dx_diagnosis_code_type": "system", "dx_diagnosis_code": "code"},
    "prescription": EVENT | {"rx_prescription_code_type": "system", "rx_prescription_code": "code"},
    "procedure": EVENT | {"pr_procedure_code_type": "system", "pr_procedure_code": "code"},
    "lab": EVENT
    | {
        "lx_lab_code_type": "system",
        "lx_lab_code": "code",
        "lx_result_val": "value",
        "lx_result_unit": "unit",
    },
}
NO_CODED_EVENTS = ibis.schema(
    {
        "person_id": "int64",
        "time": "timestamp",
        "system": "string",
        "code": "string",
        "table": "int8",
        "reason": "int8",
    }
)
NO_LAB_EVENTS = ibis.schema(dict(NO_CODED_EVENTS) | {"value": "float64", "unit": "string"})


def select_demographics(
    patient: ir.Table | None, options: PreprocessOptions, translations: ir.Table | None = None
) -> ir.Table:
    """Return one row per person, with the vocabulary's values where there are translations."""
    kept = _screened_patients(patient, options).filter(_.reason.isnull())
    persons = kept.select("person_id", "birth_date", "gender", "race", "ethnicity", "region")
    return persons if translations is None else translate_demographics(persons, translations)


def screen_coded_events(
    diagnosis: ir.Table | None,
    prescription: ir.Table | None,
    procedure: ir.Table | None,
    demographics: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return every row of the tables that are listed, with the reason why it is lost.

    Raises:
        ValueError: If there is nothing of a listed table.
    """
    tables = {"diagnosis": diagnosis, "prescription": prescription, "procedure": procedure}
    screened = [
        _screened_events(table, name, demographics, options)
        for name, table in tables.items()
        if name in options.tables
    ]
    if not screened:
        return ibis.memtable([], schema=NO_CODED_EVENTS)
    return reduce(lambda left, right: left.union(right), screened)


def screen_lab_events(
    lab: ir.Table | None, demographics: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return every laboratory result, as ``screen_coded_events`` does."""
    if "lab" not in options.tables:
        return ibis.memtable([], schema=NO_LAB_EVENTS)
    return _screened_events(lab, "lab", demographics, options)


def name_events(
    screened: ir.Table, options: PreprocessOptions, translations: ir.Table | None = None
) -> ir.Table:
    """Return the rows with each system and code in the one spelling that its token has.

    Where there are translations (``code_translations``), those of the vocabulary's tokens.
    """
    if translations is not None:
        return translate_codes(screened, translations)
    return name_codes(screened, options.code_systems)


def count_raw_rows(
    patient: ir.Table | None,
    named_coded_events: ir.Table,
    named_lab_events: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return rows and persons of each raw table by the reason why they are lost, null if kept."""
    patients = _screened_patients(patient, options)
    rows = patients.select("person_id", "table", "reason")
    blanked = patients.filter(_.reason.isnull(), _.blanked).agg(
        table=ibis.literal("patient"),
        reason=ibis.literal(PLACEHOLDER_BIRTH),
        **_nothing("system", "code", "unit"),
        rows=_.count(),
        persons=_.count(),
    )
    counts = count_rows(rows, named_coded_events, named_lab_events)
    return counts.union(blanked.filter(_.rows > 0))


def keep_coded_events(
    named_coded_events: ir.Table, raw_row_counts: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return the coded events of all persons, if not too many are lost."""
    kept = _kept(named_coded_events, raw_row_counts, options)
    return kept.select("person_id", "time", "system", "code")


def keep_lab_events(
    named_lab_events: ir.Table, raw_row_counts: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return the laboratory results of all persons, if not too many are lost."""
    kept = _kept(named_lab_events, raw_row_counts, options)
    return kept.select("person_id", "time", "system", "code", "value", "unit")


def provide_unit_conversions(
    lab_value_counts: ir.Table, given: ir.Table | None, options: PreprocessOptions
) -> ir.Table:
    """Return the unit conversions of another run as they are, or fit them."""
    return fit_unit_conversions(lab_value_counts, options) if given is None else given


def provide_lab_percentiles(
    lab_value_counts: ir.Table,
    unit_conversions: ir.Table,
    given: ir.Table | None,
    options: PreprocessOptions,
) -> ir.Table:
    """Return the percentiles of another run as they are, or fit them."""
    if given is not None:
        return given
    return fit_lab_percentiles(lab_value_counts, unit_conversions, options)


def count_lab_tokens(
    lab_events: ir.Table, unit_conversions: ir.Table, lab_percentiles: ir.Table
) -> ir.Table:
    """Return rows and persons by the reason why a laboratory result has no token, null if it has one."""
    classified = classify_lab_events(lab_events, unit_conversions, lab_percentiles)
    return flow.count_lab_tokens(classified)


def measure_persons(
    coded_events: ir.Table,
    lab_events: ir.Table,
    unit_conversions: ir.Table,
    lab_percentiles: ir.Table,
    lab_token_counts: ir.Table,
    person_splits: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return for every person with a token: split, number of events, days from first to last.

    Raises:
        ValueError: If more of the laboratory results have no token than ``max_loss`` allows.
    """
    flow.check_losses(flow.lab_losses(lab_token_counts)[0], options.max_loss)
    labs = lab_tokens(lab_events, unit_conversions, lab_percentiles)
    events = [table.select("person_id", "time") for table in (coded_events, labs)]
    return measure_spans(ibis.union(*events), person_splits)


def build_pretraining_sequences(
    demographics: ir.Table,
    coded_events: ir.Table,
    lab_events: ir.Table,
    unit_conversions: ir.Table,
    lab_percentiles: ir.Table,
    person_splits: ir.Table,
    person_spans: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return the sequences of the persons whose history is long enough, in days and in tokens.

    Raises:
        ValueError: If more is lost with the others than ``max_loss`` allows.
    """
    losses, _flow = flow.selection_losses(person_spans, options.number_of_days_threshold)
    flow.check_losses(losses, options.max_loss)
    spans = person_spans.filter(_.days >= options.number_of_days_threshold)
    sequences = build_sequences(
        demographics,
        coded_events,
        lab_events,
        unit_conversions,
        lab_percentiles,
        person_splits.semi_join(spans, "person_id"),
    )
    return sequences.filter(_.sorted_event_tokens.length() >= options.min_history_size)


def account_for_rows(
    raw_row_counts: ir.Table,
    lab_token_counts: ir.Table,
    person_spans: ir.Table,
    sequences: ir.Table,
    options: PreprocessOptions,
) -> tuple[ir.Table, ir.Table, go.Figure]:
    """Return the loss ledger, the cutflow and the figure of both.

    Raises:
        ValueError: If a step loses more than ``max_loss`` allows.
    """
    from_labs, binned = flow.lab_losses(lab_token_counts)
    selected, steps = flow.selection_losses(
        person_spans, options.number_of_days_threshold, sequences
    )
    losses = [*flow.read_losses(raw_row_counts), *from_labs, *selected]
    flow.check_losses(losses, options.max_loss)
    rows = [*flow.read_flow(raw_row_counts), binned, *steps]
    return flow.build_ledger(losses), flow.number_steps(rows), flow.plot_flow(losses, rows)


def _screened_patients(patient: ir.Table | None, options: PreprocessOptions) -> ir.Table:
    rows = select(_listed(patient, "patient"), options.tables["patient"], PATIENT, "patient")
    return screen_patients(rows, options.plausible_years)


def _screened_events(
    table: ir.Table | None, name: str, demographics: ir.Table, options: PreprocessOptions
) -> ir.Table:
    rows = select(
        _listed(table, name), options.tables[name], EVENTS[name], name, options.event_date_filter
    )
    return screen_events(rows, demographics, name, options.plausible_years)


def _listed(table: ir.Table | None, name: str) -> ir.Table:
    """Return a table that ``preprocess.tables`` lists."""
    if table is None:
        raise ValueError(
            f"{name} is listed in preprocess.tables, and there is nothing where the catalog entry "
            f"{name!r} points. Put the table there, or leave {name} out of preprocess.tables."
        )
    return table


def _kept(named: ir.Table, raw_row_counts: ir.Table, options: PreprocessOptions) -> ir.Table:
    flow.check_losses(flow.read_losses(raw_row_counts), options.max_loss)
    return named.filter(_.reason.isnull())


def _nothing(*names: str) -> dict[str, ir.Scalar]:
    return dict.fromkeys(names, ibis.null("string"))
