"""Token sequences: one row per person, sorted by day, time and token."""

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from clm_ler.tables.engine import map_arrow
from clm_ler.tables.histories import SORTED, TokenTexts
from clm_ler.tables.labs import apply_lab_rules, lab_rules, token_columns

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
    numbered, texts = _number_events(coded_events, lab_events, unit_conversions, lab_percentiles)
    event = ibis.struct({"time": numbered.time, "token": numbered.token})
    histories = numbered.group_by("person_id").agg(events=event.collect())
    ordered = map_arrow(histories, texts.sort_histories, "events", SORTED, texts.digest)
    persons = ordered.join(person_splits, "person_id").left_join(demographics, "person_id")
    first = persons.times[0]
    baseline = _baseline_tokens(persons, first)
    born = persons.birth_date.cast("timestamp").coalesce(first)
    return persons.select(
        "person_id",
        "split",
        sorted_event_tokens=baseline.concat(persons.tokens),
        day_position_tokens=baseline.map(lambda token: ibis.literal(0, "int32")).concat(
            persons.days
        ),
        date=baseline.map(lambda token: born).concat(persons.times),
    )


def _number_events(
    coded_events: ir.Table,
    lab_events: ir.Table,
    unit_conversions: ir.Table,
    lab_percentiles: ir.Table,
) -> tuple[ir.Table, TokenTexts]:
    """Return person_id, time and token, by number, of every event that has one; and the texts."""
    codes = coded_events.select("system", "code").distinct().mutate(token=_.system + ":" + _.code)
    codes, rules = codes.to_pyarrow(), lab_rules(unit_conversions, lab_percentiles).to_pyarrow()
    texts = TokenTexts.of(
        codes["token"], *(rules[name] for name in token_columns(rules.column_names))
    )
    names, rules = (_by_number(table, texts) for table in (codes, rules))
    coded = coded_events.join(names, ["system", "code"]).select("person_id", "time", "token")
    return coded.union(apply_lab_rules(lab_events, rules)), texts


def _by_number(table: pa.Table, texts: TokenTexts) -> ir.Table:
    """Return the small table with its token texts as numbers."""
    for place, name in enumerate(table.column_names):
        if name.startswith("token"):
            table = table.set_column(place, name, texts.numbers(table[name]))
    return ibis.memtable(table)


def measure_spans(events: ir.Table, person_splits: ir.Table) -> ir.Table:
    """Return for every person with an event: split, number of events, days from first to last.

    Args:
        events: ``person_id`` and ``time`` of what has a token.
        person_splits: ``split`` is null for a person who has none.
    """
    spans = events.group_by("person_id").agg(
        events=_.count(),
        days=_.time.max().date().delta(_.time.min().date(), unit="day"),
    )
    return spans.left_join(person_splits, "person_id").select(
        "person_id", "split", "events", "days"
    )


def _baseline_tokens(persons: ir.Table, first: ir.TimestampValue) -> ir.ArrayValue:
    """Return the known baseline tokens in alphabetical order."""
    age = first.date().delta(persons.birth_date, unit="day") // DAYS_PER_YEAR
    tokens = [
        ibis.literal("AGE:") + age.cast("string"),
        *(ibis.literal(f"{name}:") + persons[column] for name, column in BASELINE.items()),
    ]
    return ibis.array(tokens).filter(lambda token: token.notnull())
