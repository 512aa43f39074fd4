"""The steps that every person goes through: raw rows to events, sequences to numbers."""

import logging

import ibis
import ibis.expr.types as ir
from ibis import _
from transformers import PreTrainedTokenizerFast

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.corridor.reading import union_of
from clm_ler.engines import embedded
from clm_ler.engines.portable import counts_of
from clm_ler.tables import cutflow as flow
from clm_ler.tables import sequences
from clm_ler.tables.coding import (
    complete_translations,
    distinct_codes,
    name_codes,
    translate_codes,
    translate_demographics,
)
from clm_ler.tables.encoding import ENCODED, TokenCodec
from clm_ler.tables.labels import select_times
from clm_ler.tables.labs.conversions import extend_unit_conversions
from clm_ler.tables.labs.results import classify_lab_events, lab_tokens
from clm_ler.tables.persons import check_ids, list_ids, with_own_ids
from clm_ler.tables.screening import count_rows, screen_events, screen_patients
from clm_ler.tables.sequences import baseline_length, measure_spans
from clm_ler.tables.sources import CODED_TABLES
from clm_ler.tokens import AGE, prefix

logger = logging.getLogger(__name__)

HAPPENED = {"happened"}  # when an event was, where it came to be known later
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
    patient_rows: ir.Table, options: PreprocessOptions, translations: ir.Table | None = None
) -> ir.Table:
    """Return one row per person, with the vocabulary's values where there are translations.

    Raises:
        ValueError: If two different ids have one key.
    """
    check_ids(patient_rows)
    screened = screen_patients(patient_rows, options.plausible_years)
    return describe_persons(screened, options, translations)


def list_person_ids(patient_rows: ir.Table) -> ir.Table:
    """Return the key and the own id of each person whose id is no whole number."""
    return list_ids(patient_rows)


def describe_persons(
    screened: ir.Table, options: PreprocessOptions, translations: ir.Table | None = None
) -> ir.Table:
    """Return the rows that are kept as ``demographics``."""
    kept = screened.filter(_.reason.isnull())
    persons = kept.select("person_id", "birth_date", "gender", "race", "ethnicity", "region")
    if translations is None:
        return persons
    return translate_demographics(persons, translations, options.keeps_untranslated)


def screen_coded_events(
    demographics: ir.Table, options: PreprocessOptions, *coded: ir.Table
) -> ir.Table:
    """Return every row of the tables that are listed, with the reason why it is lost.

    Args:
        demographics: The persons.
        options: How the tables are read.
        coded: Selected rows of the tables of codes, in the order of CODED_TABLES.
    """
    screened = [
        _screened_events(table, name, demographics, options)
        for name, table in zip(CODED_TABLES, coded, strict=True)
        if name in options.tables
    ]
    return union_of(screened) if screened else ibis.memtable([], schema=NO_CODED_EVENTS)


def screen_lab_events(
    lab_rows: ir.Table, demographics: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return every laboratory result, as ``screen_coded_events`` does."""
    if "lab" not in options.tables:
        return ibis.memtable([], schema=NO_LAB_EVENTS)
    return _screened_events(lab_rows, "lab", demographics, options)


def name_events(
    screened: ir.Table, options: PreprocessOptions, translations: ir.Table | None = None
) -> ir.Table:
    """Return the rows with each system and code in the one spelling that its token has.

    Where there are translations (``code_translations``), those of the vocabulary's tokens; a code
    without a token is lost, or keeps its own (``preprocess.untranslated``).
    """
    if translations is not None:
        if options.keeps_untranslated:
            translations = complete_translations(
                translations,
                distinct_codes(screened),
                options.code_systems,
                options.placeholder_codes,
            )
        return translate_codes(screened, translations, options.results)
    return name_codes(screened, options.code_systems, options.placeholder_codes, options.results)


def count_raw_rows(
    patient_rows: ir.Table,
    named_coded_events: ir.Table,
    named_lab_events: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return rows and persons of each raw table by the reason why they are lost, null if kept."""
    patients = screen_patients(patient_rows, options.plausible_years)
    return count_screened_rows(patients, named_coded_events, named_lab_events)


def count_screened_rows(
    screened_patients: ir.Table, named_coded_events: ir.Table, named_lab_events: ir.Table
) -> ir.Table:
    """Return what :func:`count_raw_rows` does, of patients that are screened."""
    rows = screened_patients.select("person_id", "table", "reason")
    kept = screened_patients.filter(_.reason.isnull(), _.blanked.notnull())
    blanked = kept.group_by("blanked").agg(rows=_.count())
    blanked = blanked.select(
        table=ibis.literal("patient"),
        reason=blanked.blanked,
        **dict.fromkeys(("system", "code", "unit"), ibis.null("string")),
        rows=blanked.rows,
        persons=blanked.rows,
    )
    counts = count_rows(rows, named_coded_events, named_lab_events)
    return counts.union(blanked)


def keep_coded_events(
    named_coded_events: ir.Table, raw_row_counts: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return the coded events of all persons, if not too many are lost."""
    kept = _kept(named_coded_events, raw_row_counts, options)
    return kept.select("person_id", "time", "system", "code", *(HAPPENED & {*kept.columns}))


def keep_lab_events(
    named_lab_events: ir.Table, raw_row_counts: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return the laboratory results of all persons, if not too many are lost."""
    kept = _kept(named_lab_events, raw_row_counts, options)
    further = sorted({"text", *HAPPENED} & {*kept.columns})
    return kept.select("person_id", "time", "system", "code", "value", "unit", *further)


def extend_units(
    unit_conversions: ir.Table, lab_events: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return the model's unit conversions, and those of units that only these results have."""
    return extend_unit_conversions(unit_conversions, lab_events, options)


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


def build_sequences(
    demographics: ir.Table,
    coded_events: ir.Table,
    lab_events: ir.Table,
    unit_conversions: ir.Table,
    lab_percentiles: ir.Table,
    persons: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return the sequence of every one of the persons who has an event.

    See ``tables.sequences.build_sequences``.
    """
    return sequences.build_sequences(
        demographics,
        coded_events,
        lab_events,
        unit_conversions,
        lab_percentiles,
        persons,
        options.repeating,
    )


def build_labelled_sequences(
    labels: ir.Table,
    demographics: ir.Table,
    coded_events: ir.Table,
    lab_events: ir.Table,
    unit_conversions: ir.Table,
    lab_percentiles: ir.Table,
    person_splits: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return the sequences of all persons in ``labels``, however short."""
    return build_sequences(
        demographics.semi_join(labels, "person_id"),
        coded_events.semi_join(labels, "person_id"),
        lab_events.semi_join(labels, "person_id"),
        unit_conversions,
        lab_percentiles,
        person_splits,
        options,
    )


def select_prediction_times(
    prediction_times: ir.Table | None, person_ids: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return the prediction times of one's own, with the own ids where they are no numbers.

    See ``tables.labels.select_times``.

    Raises:
        ValueError: If there is no table of times.
    """
    if prediction_times is None:
        raise ValueError(
            "prediction_times: there is no such table. Give your environment a catalog entry of that "
            "name with the columns person_id and prediction_time."
        )
    return with_own_ids(select_times(prediction_times, options.time_zone), person_ids)


def visible_times(candidates: ir.Table) -> ir.Table:
    """Return the persons and times at which there is an event to see, and say how many have none."""
    counts = candidates.agg(all=_.count(), seen=(_.n_events > 0).fill_null(False).sum())
    found = counts_of(counts)
    if lost := found["all"] - found["seen"]:
        logger.warning("%d of %d prediction times see no event: left out.", lost, found["all"])
    return candidates.filter(_.n_events > 0)


def encode_sequences(sequences: ir.Table, tokenizer: PreTrainedTokenizerFast) -> ir.Table:
    """Return the sequences as numbers: one row per person, lists of equal length.

    Returns:
        ``person_id``, ``split``, ``input_ids`` (``[UNK]`` where a token is not in the vocabulary),
        ``token_type_ids`` (lab bin from 1, else 0), ``position_ids`` (days from 1; 0 for the
        baseline) and ``birth_to_start``: days from birth to the first event, null where the birth
        is unknown, that is, where no ``AGE`` leads the baseline.
    """
    codec = TokenCodec.from_tokenizer(tokenizer)
    encoded = embedded(sequences).map_arrow(
        sequences, codec.encode_lists, ["sorted_event_tokens"], ENCODED, codec.digest
    )
    baseline = baseline_length(encoded)
    lived = encoded.date[baseline].date().delta(encoded.date[0].date(), unit="day")
    born = encoded.sorted_event_tokens[0].startswith(prefix(AGE))
    return encoded.select(
        "person_id",
        "split",
        "input_ids",
        "token_type_ids",
        position_ids=encoded.day_position_tokens,
        birth_to_start=ibis.cases((born, lived.cast("int32"))),
    )


def _screened_events(
    rows: ir.Table, name: str, demographics: ir.Table, options: PreprocessOptions
) -> ir.Table:
    return screen_events(rows, demographics, name, options.plausible_years, options.results)


def _kept(named: ir.Table, raw_row_counts: ir.Table, options: PreprocessOptions) -> ir.Table:
    flow.check_losses(flow.read_losses(raw_row_counts), options.max_loss)
    return named.filter(_.reason.isnull())
