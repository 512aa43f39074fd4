"""Summaries of what a sample sees of each code, over several windows of time: the strongest baseline.

As MEDS-Tab builds them (Oufattole et al. 2024, arXiv 2411.00200): for each code and each window that
ends at the prediction, how many events there were, and of its results the smallest, the largest, the
mean and the slope; once for each code the last result and how long ago the last event was. The last
result within a window needs no columns of its own: it is the last one, where that is recent enough.
Trees do not mind how a number is scaled, linear models do: so counts are logarithms, results are
standardised by code, and 0 is what was never seen, the average of what is not known.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from clm_ler.files.arrow import ragged_arange, ragged_offsets
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.counts import age_column, position_chunks
from clm_ler.tokens import DAYS_PER_YEAR

Integers = NDArray[np.integer]
Floats = NDArray[np.floating]
Block = tuple[int, Integers, NDArray[Any]]  # number, sample and code in one, values

VERSION = 1  # of the features; results that are kept depend on it
WINDOWS = (30.0, 180.0, 365.0, 1825.0, np.inf)  # days before the prediction
HALF_LIFE = 30.0  # days after which what was last seen counts half
MOST_DEVIATIONS = 8.0  # a result farther off is taken as an entry error
CHUNK_POSITIONS = 1 << 21  # events in work at a time: bounds the memory
_VALUE_BLOCKS = 4  # smallest, largest, mean, slope
BLOCKS = len(WINDOWS) * (1 + _VALUE_BLOCKS) + 2


@dataclass(frozen=True)
class Timelines:
    """Events of persons as flat columns, each person's in the order of time.

    Attributes:
        offsets: Where each person's events begin and the last one's end, int64 ``[persons + 1]``.
        codes: What happened, a number below ``size``, ``[events]``.
        values: The result of a test, standardised by code, NaN where there is none, ``[events]``.
        days: When, in days from any day that is the person's, NaN where it tells no time, ``[events]``.
        size: How many codes there are.
    """

    offsets: Integers
    codes: Integers
    values: Floats
    days: Floats
    size: int

    @classmethod
    def of_tokens(
        cls, store: TokenStore, rows: Integers, ends: Integers, vocabulary: Vocabulary
    ) -> Self:
        """Return the first ``ends`` tokens of rows of a store; a result is the middle of its bin.

        Bins have equal shares of the results, so their places in the order are standardised as those of
        equal shares are. All ages are one code: the age in the baseline is that at the first event.
        """
        tokens = store.gather(rows, 0, ends)
        bins, days = (c.astype(np.float64) for c in (tokens.token_type_ids, tokens.position_ids))
        most = max(vocabulary.bins, 1)
        return cls(
            offsets=tokens.offsets,
            codes=np.where(vocabulary.is_age[tokens.input_ids], vocabulary.pad, tokens.input_ids),
            values=np.where(bins > 0, np.sqrt(12) * ((bins - 0.5) / most - 0.5), np.nan),
            days=np.where(days > 0, days, np.nan),
            size=vocabulary.size,
        )


def standardise(
    values: NDArray[np.float64], codes: Integers, fitted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return results in standard deviations from the mean of their code, NaN where there is none.

    Args:
        values: The results, ``[events]``.
        codes: What was measured, ``[events]``.
        fitted: The events that mean and deviation are taken of, ``[events]``.
    """
    known = fitted & ~np.isnan(values)
    size = int(codes.max(initial=-1)) + 1
    counts = np.maximum(np.bincount(codes[known], minlength=size), 1)
    mean = np.bincount(codes[known], values[known], minlength=size) / counts
    spread = np.bincount(codes[known], (values - mean[codes])[known] ** 2, minlength=size) / counts
    deviation = np.sqrt(np.where(spread > 0, spread, 1.0))
    scaled: NDArray[np.float64] = (values - mean[codes]) / deviation[codes]
    return scaled.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)


def windowed_tokens(store: TokenStore, vocabulary: Vocabulary, samples: Samples) -> sp.csr_matrix:
    """Return the summaries of samples of a store, and the age in years as last column."""
    rows, ends = samples.rows, np.minimum(samples.ends, store.lengths[samples.rows])
    parts = [
        _summarise(
            Timelines.of_tokens(store, rows[chunk], ends[chunk], vocabulary),
            np.arange(len(rows[chunk])),
            ends[chunk],
            samples.days[chunk],
        )
        for chunk in position_chunks(ends, CHUNK_POSITIONS)
    ]
    parts = [sp.vstack(parts, format="csr"), sp.csr_matrix(age_column(store, samples))]
    return sp.hstack(parts, format="csr", dtype=np.float32)


def windowed_chunks(
    timelines: Timelines, persons: Integers, ends: Integers, days: NDArray[Any]
) -> Iterator[sp.csr_matrix]:
    """Yield the summaries of samples a part at a time, each of bounded size, float32 ``[part, BLOCKS * size]``.

    A code is a column in each block. The blocks are: log(1 + its events) in each of ``WINDOWS``; how
    recent the last one is, 1 for the day of the prediction, 1/2 after ``HALF_LIFE`` days, 0 for never; its last
    result; then the smallest, the largest, the mean and the slope (least squares, per year) of its
    results in each window. What was never measured is 0.

    Args:
        timelines: The persons' events.
        persons: The person of each sample, by place in ``timelines``.
        ends: How many of the person's events the sample may see: the first ones.
        days: The day of the prediction, counted as the person's ``timelines.days``.
    """
    for chunk in position_chunks(ends, CHUNK_POSITIONS):
        yield _summarise(timelines, persons[chunk], ends[chunk], days[chunk])


def _summarise(
    timelines: Timelines, persons: Integers, ends: Integers, days: NDArray[Any]
) -> sp.csr_matrix:
    """Return the summaries of some samples, see :func:`windowed_chunks`."""
    offsets = ragged_offsets(ends)
    sample = np.repeat(np.arange(len(ends)), ends)
    index = np.repeat(timelines.offsets[persons], ends) + ragged_arange(offsets)
    key = sample * timelines.size + timelines.codes[index]
    before = np.repeat(days, ends) - timelines.days[index]
    order = np.argsort(key, kind="stable")  # each code's events stay in the order of time
    key, before = key[order], before[order]
    value = timelines.values[index[order]]
    known = np.flatnonzero(~np.isnan(value))
    blocks = [*_count_blocks(key, before), *_value_blocks(key[known], before[known], value[known])]
    return _to_matrix(blocks, len(ends), timelines.size)


def _to_matrix(blocks: list[Block], samples: int, size: int) -> sp.csr_matrix:
    rows: list[Integers] = [np.empty(0, np.int64)]
    columns: list[Integers] = [np.empty(0, np.int64)]
    data: list[NDArray[Any]] = [np.empty(0)]
    for block, keys, found in blocks:
        rows.append(keys // size)
        columns.append(block * size + keys % size)
        data.append(found)
    values = np.concatenate(data).astype(np.float32)
    places = (np.concatenate(rows), np.concatenate(columns))
    return sp.csr_matrix((values, places), shape=(samples, BLOCKS * size))


def _count_blocks(key: Integers, before: Floats) -> Iterator[Block]:
    """Yield how many events there are in each window, and how recent the last one is."""
    starts, ends = _runs(key)
    if not len(starts):
        return
    for number, (inside, first) in enumerate(_windows(before, starts, ends)):
        yield number, key[starts[inside]], np.log1p(ends[inside] - first)
    dated = ~np.isnan(before[ends - 1])
    age = np.maximum(before[ends - 1][dated], 0)
    yield len(WINDOWS), key[starts[dated]], HALF_LIFE / (HALF_LIFE + age)


def _value_blocks(key: Integers, before: Floats, value: Floats) -> Iterator[Block]:
    """Yield the last result, and what the results of each window come to."""
    starts, ends = _runs(key)
    if not len(starts):
        return
    yield len(WINDOWS) + 1, key[starts], value[ends - 1]
    first_block = len(WINDOWS) + 2
    for number, (inside, first) in enumerate(_windows(before, starts, ends)):
        if not inside.any():
            continue
        keys, last = key[starts[inside]], ends[inside]
        smallest, largest, mean, slope = _results(value, -before / DAYS_PER_YEAR, first, last)
        for place, found in enumerate((smallest, largest, mean, slope)):
            present = ~np.isnan(found)
            yield first_block + place * len(WINDOWS) + number, keys[present], found[present]


def _results(value: Floats, years: Floats, first: Integers, last: Integers) -> tuple[Floats, ...]:
    """Return the smallest, the largest, the mean and the slope of the stretches ``first`` to ``last``."""
    # Each stretch is followed by one that nobody asks for, up to the next; the last one by a place more.
    bounds = np.column_stack([first, last]).ravel()

    def reduce(combine: np.ufunc, of: Floats) -> Floats:
        found: Floats = combine.reduceat(np.append(of, 0.0), bounds)[::2]
        return found

    counted = last - first
    years = np.nan_to_num(years)
    mean_value, mean_year = (reduce(np.add, of) / counted for of in (value, years))
    spread = reduce(np.add, years**2) - counted * mean_year**2
    shared = reduce(np.add, years * value) - counted * mean_year * mean_value
    apart = spread > 1e-7  # less than two hours are no slope
    slope = np.divide(shared, spread, out=np.full(len(first), np.nan), where=apart)
    return reduce(np.minimum, value), reduce(np.maximum, value), mean_value, slope


def _windows(
    before: Floats, starts: Integers, ends: Integers
) -> Iterator[tuple[NDArray[np.bool_], Integers]]:
    """Yield for each window which runs reach into it, and where the part of each of those begins."""
    for days in WINDOWS:
        # An event without a time, a part of the baseline, is in the window without a bound only.
        recent = np.ones(len(before), np.int64) if np.isinf(days) else (before <= days).astype(int)
        counts = np.add.reduceat(recent, starts)
        inside = counts > 0
        yield inside, ends[inside] - counts[inside]


def _runs(key: Integers) -> tuple[Integers, Integers]:
    """Return where the runs of equal keys begin and end."""
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
    return starts, np.append(starts[1:], len(key)).astype(np.int64)
