from unittest.mock import patch

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from clm_ler.modeling.evaluation import event_counts
from clm_ler.modeling.evaluation.event_counts import (
    MICROSECONDS_PER_DAY,
    EventCounts,
    count_events,
    lookback_instants,
)

TOKENS = ["a", "b", "c"]
EVENTS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 60), st.sampled_from(TOKENS)), max_size=60
)
SAMPLES = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 60)), min_size=1, max_size=12)


def counts_of(events: list[tuple], samples: list[tuple], lookbacks: tuple = ()) -> EventCounts:
    persons, times = arrays(samples)
    days = np.array([day for _, day, _ in events], "datetime64[D]").astype("datetime64[us]")
    table = pa.table(
        {
            "person_id": pa.array([person for person, _, _ in events], pa.int64()),
            "time": pa.array(days, pa.timestamp("us")),
            "token": pa.array([token for _, _, token in events], pa.string()),
        }
    )
    return count_events(table.to_batches(7), lookback_instants(persons, times, lookbacks))


def arrays(samples: list[tuple]) -> tuple[np.ndarray, np.ndarray]:
    persons, days = np.array(samples, np.int64).T
    return persons, days * MICROSECONDS_PER_DAY


def brute_force(
    events: list[tuple], samples: list[tuple], names: list[str], after: float, until: float
) -> np.ndarray:
    """Counts of the events with until <= days before the sample < after."""
    return np.array(
        [
            [
                sum(p == person and t == name and until <= day - d < after for p, d, t in events)
                for name in names
            ]
            for person, day in samples
        ]
    ).reshape(len(samples), len(names))


@settings(max_examples=60, deadline=None)
@given(EVENTS, SAMPLES)
def test_counts_are_those_of_all_events_up_to_and_at_the_time(
    events: list[tuple], samples: list[tuple]
) -> None:
    counts = counts_of(events, samples)
    found = counts.until(*arrays(samples)).toarray()
    np.testing.assert_array_equal(found, brute_force(events, samples, counts.tokens, np.inf, 0))


@settings(max_examples=60, deadline=None)
@given(EVENTS, SAMPLES)
def test_lookbacks_cut_the_history_into_periods(events: list[tuple], samples: list[tuple]) -> None:
    counts = counts_of(events, samples, (5, 20))
    found = counts.until(*arrays(samples), (5, 20)).toarray()
    periods = [(5, 0), (20, 5), (np.inf, 20)]
    expected = [
        brute_force(events, samples, counts.tokens, after, until) for after, until in periods
    ]
    np.testing.assert_array_equal(found, np.hstack(expected))


def test_ancestors_count_each_event_of_their_descendants() -> None:
    counts = counts_of([(1, 0, "a"), (1, 1, "b"), (1, 1, "b")], [(1, 2)])
    expanded = counts.expanded(["a", "a", "b", "never"], ["root", "a", "root", "other"])
    assert expanded.tokens == ["a", "b", "root"]
    assert expanded.until(*arrays([(1, 2)])).toarray().tolist() == [[1, 2, 3]]


@given(st.permutations([(1, day, token) for day, token in enumerate("cabbcaab")]))
def test_the_order_of_events_and_of_ancestors_changes_no_byte(events: list[tuple]) -> None:
    """What was computed from equal counts is known by their bytes, and kept."""
    tokens, ancestors = zip(*(2 * [("a", "x"), ("b", "x"), ("c", "y")]), strict=True)
    for counts in (counts_of(events, [(1, 9)]), counts_of(sorted(events), [(1, 9)])):
        for matrix in (counts.since_last, counts.expanded(tokens, ancestors).since_last):
            assert np.all(np.diff(matrix.indices) > 0)


@settings(max_examples=30, deadline=None)
@given(EVENTS, SAMPLES)
def test_added_up_in_parts_they_are_the_same(events: list[tuple], samples: list[tuple]) -> None:
    counts = counts_of(events, samples, (7, 30))
    whole = counts.until(*arrays(samples), (7, 30)).toarray()
    with patch.object(event_counts, "SUMMANDS", 2):
        np.testing.assert_array_equal(counts.until(*arrays(samples), (7, 30)).toarray(), whole)
