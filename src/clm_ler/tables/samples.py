"""Samples: what a label, or a prediction time, sees of its person's sequence."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from ibis import _
from numpy.typing import NDArray

from clm_ler.engines import embedded
from clm_ler.files.arrow import ragged_count_until, ragged_offsets
from clm_ler.tables.sequences import baseline_length

VERSION = "1"  # of what `count_until` gives
# What is known of a sample beside its labels: no task has such a name, because each becomes a column.
PER_SAMPLE = [
    "sample_id",
    "person_id",
    "prediction_time",
    "split",
    "n_positions",
    "prediction_day",
]
ENDS = {"ends": dt.Array(dt.int32)}


def label_samples(labels: ir.Table, sequences: ir.Table) -> ir.Table:
    """Return one row per label: what it sees of the person's sequence, decided on timestamps.

    Args:
        labels: ``person_id``, ``prediction_time`` and whatever else there is.
        sequences: Of :func:`clm_ler.tables.sequences.build_sequences`.

    Returns:
        The columns of ``labels``; ``sample_id`` (one per person and prediction time); ``split``;
        ``n_positions``, how many leading positions of the sequence have ``date <= prediction_time``;
        ``n_events``, those of them that are no baseline; and ``prediction_day`` in the sequence's
        own count (null where the whole history is seen). The last four are null for persons
        without a sequence.
    """
    baseline = baseline_length(sequences)
    length = sequences.date.length()
    first = sequences.date[ibis.least(baseline, length - 1)]
    persons = sequences.select(
        "split", known_id="person_id", baseline=baseline, first=first, length=length
    )
    ends = _ends_of_times(labels, sequences)
    rows = labels.left_join(persons, labels.person_id == persons.known_id)
    rows = rows.left_join(ends, [rows.person_id == ends.of_id, rows.prediction_time == ends.time])
    seen = rows.prediction_time.isnull().ifelse(rows.length, rows.end)
    day = rows.prediction_time.date().delta(rows.first.date(), unit="day") + 1
    return rows.select(
        sample_id(rows).name("sample_id"),
        *labels.columns,
        "split",
        n_positions=seen.cast("int32"),
        n_events=(seen - rows.baseline).cast("int32"),
        prediction_day=day.cast("int32"),
    )


def sample_id(rows: ir.Table) -> ir.StringValue:
    """Return the id of a person and a prediction time (to the second), the same on every engine."""
    second = rows.prediction_time.epoch_seconds().cast("int64").cast("string").fill_null("all")
    return (rows.person_id.cast("string") + ":" + second).hexdigest("md5")


def _ends_of_times(labels: ir.Table, sequences: ir.Table) -> ir.Table:
    """Return how many leading positions are seen at each time that is asked for: ``of_id, time, end``.

    A person's times come to the sequence together: joined with one label after the other, a long sequence
    would be copied as often as the person has labels.
    """
    asked = labels.filter(_.prediction_time.notnull())
    asked = asked.select(of_id="person_id", time=_.prediction_time.cast("timestamp")).distinct()
    times = asked.group_by("of_id").agg(times=_.time.collect())
    persons = times.join(sequences.select("person_id", "date"), _.of_id == sequences.person_id)
    columns = ["date", "times"]
    found = embedded(persons).map_arrow(persons, count_until, columns, ENDS, VERSION)
    each = found.select("of_id", own=found.times.zip(found.ends).unnest())
    return each.select("of_id", time=each.own.f1, end=each.own.f2)


def count_until(dates: pa.ListArray, times: pa.ListArray) -> pa.StructArray:
    """Return, of each row, how many of its dates are not after each of its times.

    Args:
        dates: Ascending.
        times: In any order.

    Returns:
        ``ends``: a list of int32 in the order of the times.
    """
    asked = np.diff(times.offsets)
    rows = np.repeat(np.arange(len(dates)), asked)
    moments = _moments(times.flatten())
    ends = ragged_count_until(_moments(dates.values), dates.offsets.to_numpy(), rows, moments)
    offsets = pa.array(ragged_offsets(asked), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, pa.array(ends, pa.int32()))
    return pa.StructArray.from_arrays([lists], ["ends"])


def _moments(times: pa.Array) -> NDArray[np.int64]:
    return times.cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
