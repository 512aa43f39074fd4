import hashlib
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.tables.samples import count_until, label_samples
from tests.tables.conftest import BIRTH

NOON = datetime(2020, 1, 1, 12)
LABELS = {"person_id": "int64", "prediction_time": "timestamp", "label": "int32", "task": "string"}


@pytest.fixture
def raw(as_table):
    return lambda rows: as_table(rows, LABELS)


def result(table, *columns):
    return sorted(table.select(*columns).execute().itertuples(index=False, name=None))


def test_a_sample_sees_what_is_not_later_to_the_second(raw, sequences):
    dates = [datetime(2020, 1, 1, 11), NOON, datetime(2020, 1, 1, 12, 0, 1), datetime(2020, 2, 1)]
    table = sequences((1, "train", [1, 1, 1, 32], dates))
    labels = raw([(1, NOON, 0, "t"), (1, None, 1, "t"), (1, datetime(2020, 1, 3), 1, "t")])
    seen = label_samples(labels, table)
    columns = ("n_positions", "n_events", "label")
    assert result(seen, *columns) == [(4, 2, 0), (5, 3, 1), (6, 4, 1)]
    by_positions = seen.execute().set_index("n_positions").prediction_day
    assert by_positions[4] == 1
    assert by_positions[5] == 3
    assert by_positions.isnull()[6]
    assert seen.sample_id.nunique().execute() == 3


def test_sample_ids_are_known_to_others(raw, sequences):
    labels = raw([(1, NOON, 0, "t"), (2, None, 0, "t")])
    ids = label_samples(labels, sequences((1, "train", [1], [NOON]))).sample_id.execute()
    assert set(ids) == {hashlib.md5(text).hexdigest() for text in (b"1:1577880000", b"2:all")}


def test_one_sample_may_have_several_tasks(raw, sequences):
    table = sequences((1, "train", [1], [NOON]))
    labels = raw([(1, NOON, 0, "a"), (1, NOON, 1, "b")])
    assert label_samples(labels, table).sample_id.nunique().execute() == 1


def test_of_nobody_known_nothing_is_seen(raw, sequences):
    rows = [(1, datetime(1970, 1, 1), 0, "t"), (2, NOON, 0, "t"), (2, None, 0, "t")]
    seen = label_samples(raw(rows), sequences((1, "train", [1], [NOON]))).execute()
    known = seen.set_index("person_id").n_positions
    assert known[1] == 0
    assert known[2].isnull().all()


def test_many_labels_of_a_long_history_need_little_memory(backend, raw, sequences):
    """A copy of the history for each label would be 20,000 times 4,000 dates."""
    dates = [BIRTH + timedelta(days=day) for day in range(20_000)]
    table = sequences((1, "train", list(range(20_000)), dates))
    labels = raw([(1, date, 0, "t") for date in dates[::5]])
    backend.raw_sql("SET memory_limit = '100MB'")
    seen = label_samples(labels, table)
    assert seen.n_positions.sum().execute() == sum(range(3, 20_003, 5))


days = st.lists(st.integers(-5, 5), max_size=8)


@given(st.lists(st.tuples(days.map(sorted), days), max_size=6), st.integers(0, 2))
def test_count_until_counts_dates_that_are_not_after_a_time(rows, skipped):
    kind = pa.list_(pa.timestamp("us"))
    dates, times = (
        pa.array([row[n] for row in rows], pa.list_(pa.int64())).cast(kind).slice(skipped)
        for n in (0, 1)
    )
    counted = [[int((np.array(own) <= t).sum()) for t in asked] for own, asked in rows[skipped:]]
    assert count_until(dates, times).field("ends").to_pylist() == counted
