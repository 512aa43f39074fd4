"""Token sequences: one row per person, sorted by day, time and token."""

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from clm_ler.engines import embedded
from clm_ler.tables.labs.results import apply_lab_rules, lab_rules, token_columns
from clm_ler.tables.labs.text_tokens import text_rules, text_tokens
from clm_ler.tables.sequence_arrays import SEQUENCE, TokenTexts
from clm_ler.tokens import BASELINE, DAYS_PER_YEAR, age_token, code_token


def build_sequences(
    demographics: ir.Table,
    coded_events: ir.Table,
    lab_events: ir.Table,
    unit_conversions: ir.Table,
    lab_percentiles: ir.Table,
    person_splits: ir.Table,
    repeating: frozenset[str] = frozenset(),
) -> ir.Table:
    """Return the sequence of every person of ``person_splits`` who has an event, whatever its length.

    Position 0 holds the baseline tokens, dated at birth: ``AGE:n`` (whole years of 365 days at the
    first event), ``ETHNICITY:x``, ``GENDER:x``, ``RACE:x``, ``REGION:x``; what is not known is
    left out, and where birth is not known they are dated at the first event. Position d holds the
    events of day d, counted from 1 at the person's first event. The same token twice on a day
    counts once, at its earliest time; those of the kinds in ``repeating`` (``codes``, ``labs``) count at
    every time they have.

    Returns:
        ``person_id``, ``split``, and the lists ``sorted_event_tokens``, ``day_position_tokens``
        and ``date``, in the order (position, time, token).
    """
    codes = coded_events.group_by("system", "code").agg(first=_.time.min(), last=_.time.max())
    codes = codes.mutate(token=code_token(_.system, _.code)).to_pyarrow()
    rules = lab_rules(unit_conversions, lab_percentiles).to_pyarrow()
    words = text_rules(lab_events, lab_percentiles)
    words = None if words is None else words.to_pyarrow()
    labs = [rules[name] for name in token_columns(rules.column_names)]
    labs += [] if words is None else [words["token"]]
    ages = _age_tokens(demographics, codes, lab_events)
    texts = TokenTexts.of(codes["token"], *labs, _baseline_tokens(demographics), ages)
    if repeating:
        kinds = {"codes": [codes["token"]], "labs": labs}
        texts = texts.with_repeating(*(tokens for kind in repeating for tokens in kinds[kind]))
    names, rules = (_by_number(table, texts) for table in (codes.drop(["first", "last"]), rules))
    coded = coded_events.join(names, ["system", "code"]).select("person_id", "time", "token")
    numbered = coded.union(apply_lab_rules(lab_events, rules))
    if words is not None:
        numbered = numbered.union(text_tokens(lab_events, _by_number(words, texts)))
    event = ibis.struct({"time": numbered.time, "token": numbered.token})
    histories = numbered.group_by("person_id").agg(events=event.collect())
    persons = histories.join(person_splits, "person_id").left_join(demographics, "person_id")
    columns = ["events", "birth_date", *BASELINE.values()]
    made = embedded(persons).map_arrow(
        persons, texts.build_sequences, columns, SEQUENCE, texts.digest
    )
    sequences = made.select("person_id", "split", *SEQUENCE)
    return embedded(sequences).look_up(sequences, "sorted_event_tokens", texts.texts)


def baseline_length(sequences: ir.Table) -> ir.IntegerColumn:
    """Return how many baseline tokens lead each sequence: the age and the other demographics."""
    first = sequences.day_position_tokens[: len(BASELINE) + 1]
    return first.filter(lambda day: day == 0).length()


def _baseline_tokens(demographics: ir.Table) -> pa.ChunkedArray:
    """Return the baseline tokens that occur, but for the age."""
    tokens = [
        demographics.select(token=code_token(ibis.literal(name), demographics[column])).distinct()
        for name, column in BASELINE.items()
    ]
    return ibis.union(*tokens).filter(_.token.notnull()).to_pyarrow()["token"]


def _age_tokens(demographics: ir.Table, codes: pa.Table, lab_events: ir.Table) -> pa.ChunkedArray:
    """Return the token of each age that anybody may have had at an event.

    Args:
        demographics: The persons.
        codes: The codes with the times of their ``first`` and their ``last`` event.
        lab_events: Laboratory results.
    """
    births = demographics.agg(first=_.birth_date.min(), last=_.birth_date.max())
    labs = lab_events.agg(first=_.time.min(), last=_.time.max())
    born, labs = births.to_pyarrow().to_pylist()[0], labs.to_pyarrow().to_pylist()[0]
    first = [time for time in (pc.min(codes["first"]).as_py(), labs["first"]) if time]
    last = [time for time in (pc.max(codes["last"]).as_py(), labs["last"]) if time]
    ages: list[int] = []
    if born["first"] and first:
        youngest = (min(first).date() - born["last"]).days // DAYS_PER_YEAR
        oldest = (max(last).date() - born["first"]).days // DAYS_PER_YEAR
        ages = list(range(youngest, oldest + 1))
    return pa.chunked_array([[age_token(age) for age in ages]], pa.string())


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
