from datetime import date, datetime, timedelta
from datetime import time as time_of_day

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.tables import sequence_arrays
from clm_ler.tables.sequence_arrays import TokenTexts, sort_rows
from clm_ler.tokens import BASELINE

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


births = st.one_of(st.none(), st.dates(date(1880, 1, 1), date(1901, 1, 1)))
demographics = st.lists(
    st.tuples(births, *(st.sampled_from([None, "", "a", "b:c"]) for _ in BASELINE)),
    min_size=9,
    max_size=9,
)


def baseline_plainly(birth, values, events):
    """Return (text, day, time) of the baseline as the rules are written."""
    first = min(time for time, _ in events)
    born = first if birth is None else datetime.combine(birth, time_of_day())
    tokens = [] if birth is None else [f"AGE:{(first.date() - birth).days // 365}"]
    named = zip(BASELINE, values, strict=True)
    tokens += [f"{name}:{value}" for name, value in named if value is not None]
    return [(token, 0, born) for token in tokens]


@pytest.mark.parametrize("at_a_time", [2, 256])
@given(persons=persons, demographics=demographics)
def test_sequences_are_as_the_rules_say(persons, demographics, at_a_time):
    demographics = demographics[: len(persons)]
    expected = [
        baseline_plainly(birth, values, events) + sorted_plainly(events)
        for (birth, *values), events in zip(demographics, persons, strict=True)
    ]
    baseline = [text for sequence in expected for text, day, _ in sequence if day == 0]
    texts = TokenTexts.of(
        pa.chunked_array([TEXTS[::-1], TEXTS[:2]]), pa.chunked_array([baseline], pa.string())
    )
    known = texts.texts.to_pylist()
    rows = [[{"time": time, "token": known.index(text)} for time, text in p] for p in persons]
    columns = zip(*demographics, strict=True) if demographics else [()] * 5
    kinds = [pa.date32(), *[pa.string()] * 4]
    columns = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence_arrays, "_PERSONS", at_a_time)
        made = texts.build_sequences(pa.array(rows, pa.list_(EVENT)), *columns).to_pylist()
    found = [
        [(known[number], day, time) for number, day, time in zip(*row.values(), strict=True)]
        for row in made
    ]
    assert found == expected


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
