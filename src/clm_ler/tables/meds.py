"""Sequences as a MEDS dataset (https://github.com/Medical-Event-Data-Standard/meds)."""

from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler import __version__
from clm_ler.tokens import AGE, SEPARATOR, prefix

SPLITS = {"train": "train", "valid": "tuning", "test": "held_out"}


def meds_events(sequences: ir.Table) -> ir.Table:
    """Return one row per token: subject_id, time, code.

    ``ICD10CM:J45.901`` becomes ``ICD10CM//J45.901`` and ``LOINC:2345-7:30-40`` becomes
    ``LOINC//2345-7//30-40``. Of the baseline, ``AGE`` gives ``MEDS_BIRTH`` (its token is dated at
    birth) and the others are static, without a time.
    """
    event = sequences.sorted_event_tokens.zip(sequences.day_position_tokens, sequences.date)
    rows = sequences.select(subject_id="person_id", event=event.unnest())
    token, position, time = (rows.event[name] for name in ("f1", "f2", "f3"))
    birth = (position == 0) & token.startswith(prefix(AGE))
    return rows.select(
        "subject_id",
        time=ibis.cases(((position > 0) | birth, time)),
        code=birth.ifelse("MEDS_BIRTH", token.replace(SEPARATOR, "//")),
    )


def meds_subject_splits(sequences: ir.Table) -> ir.Table:
    """Return each subject's split under its MEDS name: train, tuning or held_out."""
    return sequences.select(subject_id="person_id", split=_.split.substitute(SPLITS))


def meds_codes(events: ir.Table) -> ir.Table:
    """Return the codes that occur; descriptions and parents are not known here."""
    return (
        events.select("code")
        .distinct()
        .order_by("code")
        .mutate(description=ibis.null("string"), parent_codes=ibis.null("array<string>"))
    )


def meds_description() -> dict[str, Any]:
    """Return what ``metadata/dataset.json`` says."""
    return {
        "dataset_name": "CLM-LER sequences",
        "etl_name": "clm-ler",
        "etl_version": __version__,
        "meds_version": "0.4",
        "created_at": datetime.now(UTC).isoformat(),
    }
