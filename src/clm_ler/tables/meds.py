"""Sequences, labels and predictions in MEDS (https://github.com/Medical-Event-Data-Standard/meds)."""

import logging
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler import __version__
from clm_ler.engines.portable import counts_of, row_count
from clm_ler.tables.labels import MEDS_VALUES, LabelOptions, select_labels
from clm_ler.tokens import AGE, SEPARATOR, prefix

logger = logging.getLogger(__name__)

# The schema of meds-evaluation: it asks for the predicted value, too, whatever it says of it.
PREDICTIONS = ibis.schema(
    {
        "subject_id": "int64",
        "prediction_time": "timestamp(6)",
        "boolean_value": "boolean",
        "predicted_boolean_value": "boolean",
        "predicted_boolean_probability": "float64",
    }
)
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
    """Return what ``metadata/dataset.json`` says.

    When it was made is in ``run.json``: the same input gives the same dataset.
    """
    return {
        "dataset_name": "CLM-LER sequences",
        "etl_name": "clm-ler",
        "etl_version": __version__,
        "meds_version": "0.4",
    }


def meds_labels(labels: ir.Table) -> ir.Table:
    """Return the labels of one task: ``subject_id, prediction_time, boolean_value``.

    Where there are more than two classes, ``integer_value`` stands in place of ``boolean_value``.

    Raises:
        ValueError: If there are several tasks, which MEDS keeps in a folder each, or a label has no time.
    """
    found = labels.agg(
        tasks=_.task.nunique(), timeless=_.prediction_time.isnull().sum(), highest=_.label.max()
    )
    counts = counts_of(found)
    if counts["tasks"] > 1:
        raise ValueError(
            f"meds_labels: MEDS keeps each task in a folder of its own, and there are {counts['tasks']} "
            "tasks: choose one with finetune.labels.inclusion_criteria."
        )
    if counts["timeless"]:
        raise ValueError(
            f"meds_labels: {counts['timeless']} labels have no prediction time, which MEDS needs."
        )
    value = {"integer_value": _.label}
    if (counts["highest"] or 0) <= 1:
        value = {"boolean_value": _.label == 1}
    rows = labels.select("prediction_time", subject_id="person_id", **value)
    return rows.select("subject_id", "prediction_time", *value).order_by(
        "subject_id", "prediction_time"
    )


def meds_predictions(
    asked: ir.Table | None, predictions: ir.Table, hybrid: ir.Table, time_zone: str
) -> ir.Table:
    """Return ``PREDICTIONS`` for the labels at whose times a risk was asked; no row where there are none.

    Args:
        asked: Persons and times, with ``boolean_value`` or ``integer_value`` where they are labels.
        predictions: ``person_id, prediction_time, task, probabilities`` of the model.
        hybrid: The same of the hybrid, which counts where it has rows.
        time_zone: Local time, in which dates are read.

    Raises:
        ValueError: If the labels are faulty, or the model has other outcomes than one yes or no.
    """
    if asked is None or not _has_labels(asked):
        return ibis.memtable([], schema=PREDICTIONS)
    labels = select_labels(asked, LabelOptions(task="'outcome'"), time_zone)
    scores = hybrid if row_count(hybrid) else predictions
    _check_one_outcome(scores)
    risks = scores.select("person_id", "prediction_time", risk=_.probabilities[1])
    rows = labels.left_join(risks, ["person_id", "prediction_time"])
    if lost := row_count(rows.filter(_.risk.isnull())):
        logger.warning("%d labels see no event: they get the mean of the other risks.", lost)
    risk = rows.risk.fill_null(rows.risk.mean().over(ibis.window()))
    found = rows.select(
        subject_id="person_id",
        prediction_time=_.prediction_time,
        boolean_value=_.label == 1,
        predicted_boolean_value=risk >= 0.5,
        predicted_boolean_probability=risk,
    )
    return found.cast(PREDICTIONS).order_by("subject_id", "prediction_time")


def _has_labels(asked: ir.Table) -> bool:
    given = [asked[name].notnull() for name in MEDS_VALUES if name in asked.columns]
    return bool(given) and bool(row_count(asked.filter(ibis.or_(*given))))


def _check_one_outcome(scores: ir.Table) -> None:
    found = scores.agg(tasks=_.task.nunique(), classes=_.probabilities.length().max())
    counts = counts_of(found)
    if counts["tasks"] != 1 or counts["classes"] != 2:
        raise ValueError(
            f"meds_predictions: the model predicts {counts['tasks']} tasks of {counts['classes']} "
            "classes, and MEDS takes the risks of one outcome: fine-tune on one binary task."
        )
