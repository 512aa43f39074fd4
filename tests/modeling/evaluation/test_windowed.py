"""Windowed features against the plain loop, and what may not change them."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.evaluation import windowed
from clm_ler.modeling.evaluation.counts import ages
from clm_ler.modeling.evaluation.windowed import (
    BLOCKS,
    HALF_LIFE,
    WINDOWS,
    Timelines,
    standardise,
    windowed_chunks,
    windowed_tokens,
)
from tests.modeling.test_inference import FIRST_CODE, VOCABULARY, make_store

SIZE, WITH_VALUES = 4, 2  # codes; those below have results
N = len(WINDOWS)


def windowed_features(*samples):
    return sp.vstack(list(windowed_chunks(*samples)), format="csr")


def draw_timelines(seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, 30, 3)
    days = [np.sort(generator.integers(1, 3000, n)) for n in lengths]
    codes = generator.integers(0, SIZE, lengths.sum())
    values = np.where(codes < WITH_VALUES, generator.normal(5, 2, lengths.sum()), np.nan)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Timelines(offsets, codes, values, np.concatenate(days).astype(float), SIZE)


def plainly(timelines, person, end, day):
    """The features of one sample, one window and code after the other."""
    first = timelines.offsets[person]
    seen = slice(first, first + end)
    found = np.zeros((BLOCKS, SIZE))
    before = day - timelines.days[seen]
    for code in range(SIZE):
        mine = timelines.codes[seen] == code
        if not mine.any():
            continue
        found[N, code] = HALF_LIFE / (HALF_LIFE + before[mine][-1])
        if code < WITH_VALUES:
            found[N + 1, code] = timelines.values[seen][mine][-1]
        for number, days in enumerate(WINDOWS):
            inside = mine & (before <= days)
            found[number, code] = np.log1p(inside.sum())
            if code >= WITH_VALUES or not inside.any():
                continue
            values, years = timelines.values[seen][inside], -before[inside] / 365
            several = len(np.unique(years)) > 1
            slope = np.polyfit(years, values, 1)[0] if several else 0
            stats = (values.min(), values.max(), values.mean(), slope)
            for place, value in enumerate(stats):
                found[N + 2 + place * N + number, code] = value
    return found.ravel()


@given(st.integers(0, 1000))
def test_features_are_those_of_a_plain_loop(seed):
    timelines = draw_timelines(seed)
    lengths = np.diff(timelines.offsets)
    persons = np.array([0, 1, 1, 2])
    ends = np.array([lengths[0], lengths[1] // 2, lengths[1], 0])
    days = np.array([3000.0, 3100.0, 3200.0, 3000.0])
    found = windowed_features(timelines, persons, ends, days).toarray()
    expected = [plainly(timelines, *sample) for sample in zip(persons, ends, days, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)


def test_chunks_make_no_difference(monkeypatch):
    timelines = draw_timelines(3)
    persons, ends = np.array([2, 0, 1]), np.diff(timelines.offsets)[[2, 0, 1]]
    days = np.full(3, 3001.0)
    whole = windowed_features(timelines, persons, ends, days)
    monkeypatch.setattr(windowed, "CHUNK_POSITIONS", 5)
    parts = windowed_features(timelines, persons, ends, days)
    np.testing.assert_array_equal(whole.toarray(), parts.toarray())


def test_tokens_have_the_middle_of_their_bin_and_no_age():
    store = make_store([[(1, FIRST_CODE, 0), (3, FIRST_CODE + 1, 2), (4, FIRST_CODE + 2, 0)]])
    timelines = Timelines.of_tokens(store, np.array([0]), store.lengths - 1, VOCABULARY)
    assert not VOCABULARY.is_age[timelines.codes].any()
    assert timelines.offsets.tolist() == [0, len(timelines.codes)]
    events = timelines.codes >= FIRST_CODE
    assert timelines.days[events].tolist() == [1, 3]
    assert np.isnan(timelines.days[~events]).all()
    middle = 1.5 / VOCABULARY.bins
    np.testing.assert_allclose(timelines.values[events], [np.nan, (middle - 0.5) * np.sqrt(12)])


def test_results_are_standardised_by_code_on_the_fitted_events():
    values = np.array([1.0, 3.0, 100.0, 5.0, np.nan, 7.0])
    codes = np.array([0, 0, 0, 1, 1, 2])
    fitted = np.array([True, True, False, True, True, False])
    found = standardise(values, codes, fitted)
    np.testing.assert_allclose(found, [-1, 1, windowed.MOST_DEVIATIONS, 0, np.nan, 7])


def test_samples_of_a_store_have_their_age_last():
    store = make_store([[(1, FIRST_CODE, 0), (3, FIRST_CODE + 1, 2)], [(1, FIRST_CODE, 0)]])
    samples = Samples.unlabelled(np.array([1, 0]), store.lengths[[1, 0]], np.array([1, 500]))
    found = windowed_tokens(store, VOCABULARY, samples).toarray()
    assert found.shape == (2, BLOCKS * VOCABULARY.size + 1)
    assert found[:, -1].tolist() == np.nan_to_num(ages(store, samples)).tolist()
    counts = found[:, (N - 1) * VOCABULARY.size : N * VOCABULARY.size]
    once = np.float32(np.log(2))
    assert counts[:, FIRST_CODE : FIRST_CODE + 2].tolist() == [[once, 0], [once, once]]


def test_what_tells_no_time_counts_once_and_for_all():
    timelines = Timelines(
        np.array([0, 1]), np.array([0]), np.array([np.nan]), np.array([np.nan]), 1
    )
    found = windowed_features(timelines, np.array([0]), np.array([1]), np.array([5.0])).toarray()[0]
    assert found[: N + 1].tolist() == [0] * (N - 1) + [np.float32(np.log(2)), 0]
