"""The vectorised windows against a slow, plain reference, one person and one event at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.modeling.data.windows import (
    WindowOptions,
    cut,
    evaluation_windows,
    query_windows,
    train_windows,
)
from tests.modeling.persons import IDS, VOCABULARY, Person, make_store, persons, rows_of

options = st.builds(WindowOptions, st.integers(2, 14), st.integers(2, 50))
CLS, UNK = (0, IDS["[CLS]"], 0), IDS["[UNK]"]
AGES = {index for token, index in IDS.items() if token.startswith("AGE:")}


def reference(person, start, stop, size, age_day=None):
    """The window of the events from ``start`` to ``stop``, as the text says it."""
    baseline, events = person.baseline[: size.override_maxlen - 1], person.events[start:stop]
    # Cut from the left until the last day has a position.
    while events and events[-1][0] - events[0][0] + 1 > size.max_position_embeddings - 1:
        events = events[1:]
    # Days are counted from the window's first event, which is day 1.
    rebased = [(day - events[0][0] + 1, token, lab_bin) for day, token, lab_bin in events]
    # AGE is the age on the day of the query, else at the window's first event, in years of 365 days.
    if events and person.birth_to_start is not None:
        days_lived = person.birth_to_start + (age_day or events[0][0]) - 1
        age = IDS[f"AGE:{min(days_lived // 365, 99)}"]
    else:
        age = UNK
    return [CLS] + [(0, age if t in AGES else t, b) for _, t, b in baseline] + rebased


def room(person, size):
    return max(size.override_maxlen - 1 - len(person.baseline), 0)


def recent(person, size, visible=None):
    tokens = person.tokens[:visible]
    baseline = [token for token in tokens if token[0] == 0]
    shown = Person(baseline, tokens[len(baseline) :], person.birth_to_start)
    stop = len(shown.events)
    return reference(shown, max(0, stop - room(shown, size)), stop, size)


@given(st.lists(persons(), min_size=1, max_size=6), options, st.integers(0, 2**32 - 1))
def test_train_windows_are_full_stretches_of_the_reference(people, size, seed):
    store = make_store(people, rows_per_chunk=2)
    windows = train_windows(store, np.arange(len(people)), size, np.random.default_rng(seed))
    got = rows_of(cut(store, windows, VOCABULARY))
    for person, window in zip(people, got, strict=True):
        length = min(len(person.events), room(person, size))
        starts = range(len(person.events) - length + 1)
        assert window in [reference(person, start, start + length, size) for start in starts]


@given(st.lists(persons(), min_size=1, max_size=6), options)
def test_evaluation_windows_are_the_most_recent_events(people, size):
    store = make_store(people, rows_per_chunk=2)
    windows = evaluation_windows(store, np.arange(len(people)), size)
    assert rows_of(cut(store, windows, VOCABULARY)) == [recent(p, size) for p in people]
    assert windows.lengths.tolist() == [len(recent(p, size)) for p in people]


@given(st.data(), st.lists(persons(), min_size=1, max_size=6), options)
def test_evaluation_windows_end_where_they_are_told(data, people, size):
    rows = data.draw(st.lists(st.integers(0, len(people) - 1), min_size=1, max_size=8))
    ends = [data.draw(st.integers(0, len(people[row].tokens) + 2)) for row in rows]
    store = make_store(people, rows_per_chunk=2)
    windows = evaluation_windows(store, np.array(rows), size, np.array(ends))
    got = rows_of(cut(store, windows, VOCABULARY))
    assert got == [recent(people[row], size, end) for row, end in zip(rows, ends, strict=True)]


def asked(person, size, end, day, age_at_query):
    """The window of the first ``end`` positions with a query token on a day, as the text says it."""
    tokens = person.tokens[:end]
    baseline = [token for token in tokens if token[0] == 0]
    events = tokens[len(baseline) :]
    room = max(size.override_maxlen - 2 - len(baseline), 0)
    shown = events[max(0, len(events) - room) :]
    longest = size.max_position_embeddings - 2
    # The events of the last day stay, however late the question.
    while shown and max(day, shown[-1][0]) - shown[0][0] > longest and shown[0][0] < shown[-1][0]:
        shown = shown[1:]
    smaller = WindowOptions(max(size.override_maxlen - 1, 2), size.max_position_embeddings)
    kept = Person(baseline[: size.override_maxlen - 2], shown, person.birth_to_start)
    window = reference(kept, 0, len(shown), smaller, day if age_at_query else None)
    place = min(max(day - shown[0][0], 0), longest) + 1 if shown else 1
    return [*window, (place, IDS["[CLS]"], 0)]


@given(st.data(), st.lists(persons(), min_size=1, max_size=6), options)
def test_a_query_stands_behind_the_events_on_its_day(data, people, size):
    rows = data.draw(st.lists(st.integers(0, len(people) - 1), min_size=1, max_size=8))
    ends = [data.draw(st.integers(0, len(people[row].tokens))) for row in rows]
    last = [
        people[row].tokens[end - 1][0] if end else 0 for row, end in zip(rows, ends, strict=True)
    ]
    days = [data.draw(st.integers(day, day + 60)) for day in last]
    store = make_store(people, rows_per_chunk=2)
    at_query = data.draw(st.booleans())
    windows = evaluation_windows(
        store, np.array(rows), size, np.array(ends), np.array(days), at_query
    )
    expected = [
        asked(people[r], size, e, d, at_query) for r, e, d in zip(rows, ends, days, strict=True)
    ]
    assert rows_of(cut(store, windows, VOCABULARY)) == expected
    assert windows.lengths.tolist() == [len(window) for window in expected]


@given(st.lists(persons(), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_a_drawn_query_stands_between_an_event_day_and_the_next(people, seed):
    store, size = make_store(people, rows_per_chunk=2), WindowOptions(50, 100)
    windows = query_windows(store, np.arange(len(people)), size, np.random.default_rng(seed))
    for row, person in enumerate(people):
        days = [day for day, _, _ in person.events]
        end, asked_on = int(windows.firsts[row] + windows.events[row]), int(windows.query_days[row])
        seen = days[: end - len(person.baseline)]
        coming = days[len(seen) :]
        assert seen and seen[-1] <= asked_on
        assert len(set(days)) == 1 or coming  # something comes, where a record has two days
        assert not coming or asked_on < coming[0]


@given(st.lists(persons(), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_nothing_behind_the_query_shows(people, seed):
    """The same windows of records that go on otherwise are the same bytes."""
    size, rows = WindowOptions(12, 100), np.arange(len(people))
    windows = query_windows(make_store(people), rows, size, np.random.default_rng(seed))
    others = []
    for row, person in enumerate(people):
        seen = int(windows.firsts[row] + windows.events[row]) - len(person.baseline)
        changed = [(day + 1, IDS["ICD10CM:0"], 3) for day, _, _ in person.events[seen:]]
        others.append(
            Person(person.baseline, person.events[:seen] + changed, person.birth_to_start)
        )
    first, second = (rows_of(cut(make_store(p), windows, VOCABULARY)) for p in (people, others))
    assert first == second


def test_a_query_without_any_event_does_not_tell_when_the_first_one_is():
    person = Person([(0, IDS["GENDER:F"], 0)], [(1, 110, 0)], None)
    windows = evaluation_windows(
        make_store([person]),
        np.array([0, 0]),
        WindowOptions(8),
        np.array([1, 0]),
        np.array([-40, 0]),
    )
    queries = [window[-1] for window in rows_of(cut(make_store([person]), windows, VOCABULARY))]
    assert queries == [(1, IDS["[CLS]"], 0)] * 2


def test_every_full_stretch_is_drawn_about_equally_often():
    person = Person([(0, IDS["AGE:5"], 0)], [(day, 110, 0) for day in range(1, 9)], 5 * 365)
    store, size = make_store([person]), WindowOptions(override_maxlen=6)
    rows = np.zeros(5000, int)
    windows = train_windows(store, rows, size, np.random.default_rng(0))
    assert set(windows.events) == {4}
    counts = np.bincount(windows.firsts - 1, minlength=5)
    assert len(counts) == 5
    assert counts.min() > 900


def test_age_grows_with_the_window():
    events = [(1, 110, 0), (365, 111, 0), (366, 112, 0)]
    person = Person([(0, IDS["AGE:5"], 0)], events, 5 * 365 + 364)
    store = make_store([person])
    ages = [
        rows_of(cut(store, evaluation_windows(store, np.array([0]), size), VOCABULARY))[0][1][1]
        for size in (WindowOptions(5), WindowOptions(4), WindowOptions(3))
    ]
    assert ages == [IDS["AGE:5"], IDS["AGE:6"], IDS["AGE:6"]]


def test_an_age_of_unknown_birth_stays_as_it_is_stored():
    person = Person([(0, IDS["AGE:5"], 0)], [(1, 110, 0), (900, 111, 0)], None)
    store = make_store([person])
    windows = evaluation_windows(store, np.array([0]), WindowOptions(3))
    assert cut(store, windows, VOCABULARY).input_ids[1] == IDS["AGE:5"]


@pytest.mark.parametrize("sizes", [(1, 10), (10, 1)])
def test_a_window_without_room_is_refused(sizes):
    with pytest.raises(ValueError, match="at least 2"):
        WindowOptions(*sizes)
