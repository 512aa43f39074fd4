"""Events to unit conversions, percentiles and sequences."""

from collections.abc import Callable
from functools import partial

import ibis.expr.types as ir
import plotly.graph_objects as go
from ibis import _

from clm_ler.corridor.options import PreprocessOptions, VocabOptions
from clm_ler.engines.portable import count_repeated
from clm_ler.pipelines.preprocess.figures import plot_flow
from clm_ler.tables import cutflow as flow
from clm_ler.tables.labs.conversions import fit_unit_conversions
from clm_ler.tables.labs.results import fit_lab_percentiles
from clm_ler.tables.labs.text_tokens import LAB, add_texts, count_texts
from clm_ler.tables.sequences import build_sequences


def provide_unit_conversions(
    lab_value_counts: ir.Table, given: ir.Table | None, options: PreprocessOptions
) -> ir.Table:
    """Return the unit conversions of another run, or fit them.

    Raises:
        ValueError: If a unit of a lab is in several rows, which would multiply its results.
    """
    fit = partial(fit_unit_conversions, options=options)
    if given is None:
        return fit(lab_value_counts)
    _check_once(given, "unit_conversions", *LAB, "unit")
    return _grown(given, lab_value_counts, fit, options)


def provide_lab_percentiles(
    lab_value_counts: ir.Table,
    unit_conversions: ir.Table,
    lab_events: ir.Table,
    person_splits: ir.Table,
    given: ir.Table | None,
    options: PreprocessOptions,
) -> ir.Table:
    """Return the percentiles of another run, or fit them, with the texts that count.

    Raises:
        ValueError: If a lab, or a text of one, is there twice, which would multiply its results.
    """
    fit = partial(fit_lab_percentiles, unit_conversions=unit_conversions, options=options)
    if given is not None:
        _check_once(given, "lab_percentiles", *LAB)
        if "texts" in given.columns:
            texts = given.select(*LAB, text=_.texts.unnest())
            _check_once(texts, "the texts of lab_percentiles", *LAB, "text")
        return _grown(given, lab_value_counts, fit, options)
    percentiles = fit(lab_value_counts)
    if not (fewest := options.results.text_min_persons):
        return percentiles
    texts = count_texts(lab_events, person_splits, options.fit_on)
    return add_texts(percentiles, texts, fewest)


def _grown(
    given: ir.Table,
    lab_value_counts: ir.Table,
    fit: Callable[[ir.Table], ir.Table],
    options: PreprocessOptions,
) -> ir.Table:
    """Return another run's table as it is; where codes without a token are kept, with those of its labs."""
    if not options.keeps_untranslated:
        return given
    further = fit(lab_value_counts.anti_join(given, LAB))
    return given.union(further.select(given.columns).cast(given.schema()))


def _check_once(given: ir.Table, name: str, *key: str) -> None:
    if repeated := count_repeated(given, *key):
        raise ValueError(
            f"fitted_from: {repeated} values of {', '.join(key)} are in several rows of {name}, which "
            "would multiply results. Leave one row for each."
        )


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
        options.repeating,
    )
    return sequences.filter(_.sorted_event_tokens.length() >= options.min_history_size)


def account_for_rows(
    raw_row_counts: ir.Table,
    lab_token_counts: ir.Table,
    person_spans: ir.Table,
    sequences: ir.Table,
    options: PreprocessOptions,
    vocab: VocabOptions,
) -> tuple[ir.Table, ir.Table, go.Figure]:
    """Return the loss ledger, the cutflow and the figure of both, which may be shared.

    Raises:
        ValueError: If a step loses more than ``max_loss`` allows, or no person is left.
    """
    losses, rows = flow.account(
        raw_row_counts,
        lab_token_counts,
        person_spans,
        options.number_of_days_threshold,
        sequences,
    )
    flow.check_losses(losses, options.max_loss)
    flow.check_anyone_left(losses, rows)
    figure = plot_flow(losses, rows, vocab.min_persons)
    return flow.build_ledger(losses), flow.number_steps(rows), figure
