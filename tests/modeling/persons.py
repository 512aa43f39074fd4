"""Made-up persons as plain Python lists, and the store that holds them."""

from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
from hypothesis import strategies as st

from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.tokens import SPECIAL_TOKENS

AGES = range(0, 100)
CODES = [f"ICD10CM:{number}" for number in range(30)]
TOKENS = [*SPECIAL_TOKENS, *(f"AGE:{age}" for age in AGES), "GENDER:F", "GENDER:M", *CODES]
IDS = {token: index for index, token in enumerate(TOKENS)}
BINS = 10
VOCABULARY = Vocabulary.from_tokens(IDS, BINS)


@dataclass(frozen=True)
class Person:
    """One row: (day, token id, lab bin) triples, and days from birth to the first event."""

    baseline: list[tuple[int, int, int]]
    events: list[tuple[int, int, int]]
    birth_to_start: int | None

    @property
    def tokens(self):
        return self.baseline + self.events


@st.composite
def persons(draw, max_events=12, last_day=40):
    days = sorted(draw(st.lists(st.integers(1, last_day), min_size=1, max_size=max_events)))
    events = [
        (
            day - days[0] + 1,
            draw(st.integers(IDS[CODES[0]], len(IDS) - 1)),
            draw(st.integers(0, BINS)),
        )
        for day in days
    ]
    born = draw(st.none() | st.integers(0, 90 * 365))
    age = [] if born is None else [(0, IDS[f"AGE:{born // 365}"], 0)]
    gender = draw(st.sampled_from([[], [(0, IDS["GENDER:F"], 0)], [(0, IDS["GENDER:M"], 0)]]))
    return Person(age + gender, events, born)


def make_table(people, splits=None, rows_per_chunk=None):
    """The persons as ``encoded_sequences``, in Arrow chunks of so many rows."""
    columns = {
        "person_id": pa.array(range(len(people)), pa.int64()),
        "split": pa.array(splits or ["train"] * len(people), pa.string()),
        "birth_to_start": pa.array([person.birth_to_start for person in people], pa.int32()),
    }
    types = {"position_ids": pa.uint16(), "input_ids": pa.int32(), "token_type_ids": pa.uint8()}
    for place, (name, kind) in enumerate(types.items()):
        lists = [[token[place] for token in person.tokens] for person in people]
        columns[name] = pa.array(lists, pa.list_(kind))
    table = pa.table(columns)
    if rows_per_chunk is None:
        return table
    return pa.Table.from_batches(
        # Copied, because a slice would share the buffers of the whole.
        pa.RecordBatch.from_pylist(batch.to_pylist(), schema=table.schema)
        for batch in table.to_batches(max_chunksize=rows_per_chunk)
    )


def make_store(people, splits=None, rows_per_chunk=None, split=None):
    return TokenStore.from_arrow(make_table(people, splits, rows_per_chunk), split)


def rows_of(tokens):
    """Ragged tokens as lists of (day, token id, lab bin)."""
    triples = list(
        zip(
            tokens.position_ids.tolist(),
            tokens.input_ids.tolist(),
            tokens.token_type_ids.tolist(),
            strict=True,
        )
    )
    return [triples[first:last] for first, last in pairwise(tokens.offsets.tolist())]
