from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.tables import histories
from clm_ler.tables.histories import TokenTexts, sort_rows

TEXTS = ["CPT:1", "CPT:10", "ICD10CM:J45", "LOINC:1-8:0-10", "é:x"]
EVENT = pa.struct({"time": pa.timestamp("us"), "token": pa.int32()})
times = st.one_of(
    st.sampled_from([datetime(2020, 1, day, hour) for day in (1, 2) for hour in (0, 7, 23)]),
    st.datetimes(datetime(1901, 1, 1), datetime(2299, 12, 31)),
)
persons = st.lists(
    st.lists(st.tuples(times, st.sampled_from(TEXTS)), min_size=1, max_size=12), max_size=9
)


def sorted_plainly(events):
    """Return (text, day, time) of the events as the rules are written."""
    first = min(time for time, _ in events).date()
    seen, kept = set(), []
    for time, text in sorted(events, key=lambda event: (event[0], event[1].encode())):
        day = (time.date() - first) // timedelta(days=1) + 1
        if (day, text) not in seen:
            seen.add((day, text))
            kept.append((text, day, time))
    return kept


@pytest.mark.parametrize("at_a_time", [2, 256])
@given(persons=persons)
def test_histories_are_sorted_as_the_rules_say(persons, at_a_time):
    texts = TokenTexts.of(pa.chunked_array([TEXTS[::-1], TEXTS[:2]]))
    number = dict(zip(texts.texts.to_pylist(), range(len(TEXTS)), strict=True))
    rows = [[{"time": time, "token": number[text]} for time, text in p] for p in persons]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(histories, "_PERSONS", at_a_time)
        made = texts.sort_histories(pa.array(rows, pa.list_(EVENT))).to_pylist()
    found = [list(zip(*(row[name] for name in histories.SORTED), strict=True)) for row in made]
    assert found == [sorted_plainly(events) for events in persons]


@given(
    rows=st.lists(
        st.tuples(st.integers(-3, 3), st.integers(-(2**62), 2**62), st.integers(0, 5)), min_size=1
    ),
    narrow=st.booleans(),
)
def test_rows_are_sorted_whether_they_fit_into_a_number_or_not(rows, narrow):
    rows = [(a, b % 100 if narrow else b, c) for a, b, c in rows]
    columns = sort_rows(*np.array(rows, np.int64).T)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == sorted(rows)


def test_a_digest_tells_texts_apart():
    digests = {TokenTexts.of(pa.chunked_array([texts])).digest for texts in (["a", "b"], ["ab"])}
    assert len(digests) == 2
