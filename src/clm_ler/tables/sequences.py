"""Token sequences: one row per person, sorted by day, time and token."""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.tables.labs import lab_tokens

BASELINE = {"ETHNICITY": "ethnicity", "GENDER": "gender", "RACE": "race", "REGION": "region"}
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
    first event), ``ETHNICITY:x``, ``GENDER:x``, ``RACE:x``, ``REGION:x``; what is not known is
    left out, and where birth is not known they are dated at the first event. Position d holds the
    events of day d, counted from 1 at the person's first event. The same token twice on a day
    counts once, at its earliest time.

    Returns:
        ``person_id``, ``split``, and the lists ``sorted_event_tokens``, ``day_position_tokens``
        and ``date``, in the order (position, time, token).
    """
    events = tokenise_events(coded_events, lab_events, unit_conversions, lab_percentiles)
    histories = _sort_events(events)
    persons = histories.join(person_splits, "person_id").left_join(demographics, "person_id")
    first = persons.events[0].time
    baseline = _baseline_tokens(persons, first)
    born = persons.birth_date.cast("timestamp").coalesce(first)
    return persons.select(
        "person_id",
        "split",
        sorted_event_tokens=baseline.concat(persons.events.map(lambda event: event.token)),
        day_position_tokens=baseline.map(lambda token: ibis.literal(0, "int32")).concat(
            persons.events.map(
                lambda event: (event.time.date().delta(first.date(), unit="day") + 1).cast("int32")
            )
        ),
        date=baseline.map(lambda token: born).concat(persons.events.map(lambda event: event.time)),
    )


def tokenise_events(
    coded_events: ir.Table,
    lab_events: ir.Table,
    unit_conversions: ir.Table,
    lab_percentiles: ir.Table,
) -> ir.Table:
    """Return person_id, time and token of every coded event and every lab result that has one."""
    codes = coded_events.select("person_id", "time", token=_.system + ":" + _.code)
    labs = lab_tokens(lab_events, unit_conversions, lab_percentiles)
    return codes.union(labs.select("person_id", "time", "token"))


def measure_spans(events: ir.Table, person_splits: ir.Table) -> ir.Table:
    """Return for every person with an event: split, number of events, days from first to last.

    Args:
        events: Of :func:`tokenise_events`; the tokens themselves are not looked at.
        person_splits: ``split`` is null for a person who has none.
    """
    spans = events.group_by("person_id").agg(
        events=_.count(),
        days=_.time.max().date().delta(_.time.min().date(), unit="day"),
    )
    return spans.left_join(person_splits, "person_id").select(
        "person_id", "split", "events", "days"
    )


def _sort_events(events: ir.Table) -> ir.Table:
    """Return each person's list of (time, token) in that order, a token once a day."""
    once = events.group_by(["person_id", _.time.date().name("day"), "token"]).agg(time=_.time.min())
    event = ibis.struct({"time": once.time, "token": once.token})
    return once.group_by("person_id").agg(events=event.collect()).mutate(events=_.events.sort())


def _baseline_tokens(persons: ir.Table, first: ir.TimestampValue) -> ir.ArrayValue:
    """Return the known baseline tokens in alphabetical order."""
    age = first.date().delta(persons.birth_date, unit="day") // DAYS_PER_YEAR
    tokens = [
        ibis.literal("AGE:") + age.cast("string"),
        *(ibis.literal(f"{name}:") + persons[column] for name, column in BASELINE.items()),
    ]
    return ibis.array(tokens).filter(lambda token: token.notnull())
