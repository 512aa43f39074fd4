"""Token sequences: one row per person, sorted by day, time and token."""

from functools import reduce

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.tables.labs import lab_tokens

BASELINE = {"gender": "GENDER", "race": "RACE", "ethnicity": "ETHNICITY", "region": "REGION"}
DAYS_PER_YEAR = 365  # as published


def build_sequences(
    demographics: ir.Table,
    coded_events: ir.Table,
    lab_events: ir.Table,
    unit_conversions: ir.Table,
    lab_percentiles: ir.Table,
    person_splits: ir.Table,
) -> ir.Table:
    """Return the sequence of every person who has an event, whatever its length.

    Position 0 holds the baseline tokens, dated at birth: ``AGE:n`` (whole years of 365 days at the
    first event), ``GENDER:x``, ``RACE:x``, ``ETHNICITY:x``, ``REGION:x``; what is not known is
    left out. Position d holds the events of day d, counted from 1 at the person's first event. The
    same token twice on a day counts once, at its earliest time.

    Returns:
        ``person_id``, ``split``, and the lists ``sorted_event_tokens``, ``day_position_tokens``
        and ``date``, in the order (position, time, token).
    """
    codes = coded_events.select("person_id", "time", token=_.system + ":" + _.code)
    labs = lab_tokens(lab_events, unit_conversions, lab_percentiles)
    events = codes.union(labs.select("person_id", "time", "token"))
    starts = events.group_by("person_id").agg(start=_.time.min())
    day_tokens = _position_events(events, starts)
    tokens = day_tokens.union(_baseline_tokens(demographics, starts))
    event = ibis.struct({"position": tokens.position, "time": tokens.time, "token": tokens.token})
    histories = tokens.group_by("person_id").agg(events=event.collect())
    histories = histories.mutate(events=_.events.sort())
    return histories.join(person_splits, "person_id").select(
        "person_id",
        "split",
        sorted_event_tokens=_.events.map(lambda event: event.token),
        day_position_tokens=_.events.map(lambda event: event.position),
        date=_.events.map(lambda event: event.time),
    )


def _position_events(events: ir.Table, starts: ir.Table) -> ir.Table:
    """Return each token of a day once: person_id, position, time, token."""
    first_day = starts.select("person_id", day=_.start.date())
    position = (_.time.date().delta(_.day, unit="day") + 1).cast("int32")
    return (
        events.join(first_day, "person_id")
        .mutate(position=position)
        .group_by(["person_id", "position", "token"])
        .agg(time=_.time.min())
        .select("person_id", "position", "time", "token")
    )


def _baseline_tokens(demographics: ir.Table, starts: ir.Table) -> ir.Table:
    """Return the tokens of position 0, for persons who have an event.

    A birth date that is not known dates them at the first event.
    """
    known = demographics.join(starts, "person_id").mutate(
        time=_.birth_date.cast("timestamp").coalesce(_.start),
        age=(_.start.date().delta(_.birth_date, unit="day") // DAYS_PER_YEAR).cast("string"),
    )
    columns = {"age": "AGE", **BASELINE}
    parts = (
        known.filter(known[column].notnull()).select(
            "person_id", "time", token=ibis.literal(f"{name}:") + known[column]
        )
        for column, name in columns.items()
    )
    tokens = reduce(lambda left, right: left.union(right), parts)
    return tokens.select("person_id", "time", "token", position=ibis.literal(0, "int32")).select(
        "person_id", "position", "time", "token"
    )
