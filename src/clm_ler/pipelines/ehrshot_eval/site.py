"""The benchmark's events: at the door of the corridor, and as they are, for the counts."""

import ibis.expr.types as ir
from ibis import _

from clm_ler.corridor import nodes as corridor
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.tables import cutflow as flow
from clm_ler.tables.ehrshot.events import (
    coded_rows,
    count_tokens,
    lab_rows,
    patient_rows,
    valued_events,
)
from clm_ler.tables.labs.conversions import fit_unit_conversions
from clm_ler.tables.labs.results import (
    count_lab_values,
    fit_lab_percentiles,
    lab_tokens,
)
from clm_ler.tables.screening import screen_events, screen_patients
from clm_ler.tables.sources import unfiltered

NO_SELECTION = ("number_of_days_threshold", "min_history_size")  # everybody is evaluated


def select_demographics(
    ehrshot_timeline: ir.Table, code_translations: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return one row per person, with the vocabulary's values."""
    return corridor.describe_persons(
        _screened(ehrshot_timeline, options), options, code_translations
    )


def screen_coded_events(
    ehrshot_timeline: ir.Table, ehrshot_demographics: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return every event without a number, with the reason why it is lost; its table is ``diagnosis``."""
    rows = unfiltered(coded_rows(ehrshot_timeline))
    return screen_events(rows, ehrshot_demographics, "diagnosis", options.plausible_years)


def screen_lab_events(
    ehrshot_timeline: ir.Table, ehrshot_demographics: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return every event with a number, with the reason why it is lost."""
    rows, read = unfiltered(lab_rows(ehrshot_timeline)), (options.plausible_years, options.results)
    return screen_events(rows, ehrshot_demographics, "lab", *read)


def count_rows(
    ehrshot_timeline: ir.Table,
    named_coded_events: ir.Table,
    named_lab_events: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return rows and persons by the reason why they are lost: see ``corridor.count_raw_rows``."""
    patients = _screened(ehrshot_timeline, options)
    return corridor.count_screened_rows(patients, named_coded_events, named_lab_events)


def account_for_events(
    raw_row_counts: ir.Table,
    lab_token_counts: ir.Table,
    person_spans: ir.Table,
    ehrshot_sequences: ir.Table,
) -> ir.Table:
    """Return the ledger: what each step loses, by reason, and what it leaves (no reason)."""
    losses, left = flow.account(
        raw_row_counts, lab_token_counts, person_spans, 0, ehrshot_sequences
    )
    return flow.build_ledger([*losses, *(row for row in left if row["step"] not in NO_SELECTION)])


def fit_native_labs(
    ehrshot_timeline: ir.Table, ehrshot_person_splits: ir.Table, options: PreprocessOptions
) -> tuple[ir.Table, ir.Table]:
    """Return unit conversions and percentiles fitted on the benchmark's own train split."""
    counts = count_lab_values(lab_rows(ehrshot_timeline), ehrshot_person_splits, options)
    conversions = fit_unit_conversions(counts, options)
    return conversions, fit_lab_percentiles(counts, conversions, options)


def collect_count_tokens(
    ehrshot_timeline: ir.Table,
    ehrshot_unit_conversions: ir.Table,
    ehrshot_lab_percentiles: ir.Table,
) -> ir.Table:
    """Return what the count baselines count, in the benchmark's own codes."""
    labs = lab_rows(ehrshot_timeline.filter(_.time.notnull()))
    binned = lab_tokens(labs, ehrshot_unit_conversions, ehrshot_lab_percentiles)
    return count_tokens(ehrshot_timeline, binned)


def collect_valued_events(
    ehrshot_timeline: ir.Table, ehrshot_unit_conversions: ir.Table
) -> ir.Table:
    """Return the events that the windowed features summarise, in the benchmark's own codes."""
    return valued_events(ehrshot_timeline, ehrshot_unit_conversions)


def _screened(timeline: ir.Table, options: PreprocessOptions) -> ir.Table:
    return screen_patients(unfiltered(patient_rows(timeline)), options.plausible_years)
