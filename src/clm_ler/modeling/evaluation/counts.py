"""Sparse count features of what a sample may see: the input of the baselines a model has to beat.

A sample is a row of a store and how many of its leading positions may be seen (``ends``).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from clm_ler.modeling.data.store import BIRTH_UNKNOWN, Tokens, TokenStore
from clm_ler.tokens import DAYS_PER_YEAR

Integers = NDArray[np.integer]

CHUNK_POSITIONS = 1 << 23  # token positions in work at a time: bounds the memory


def count_features(
    store: TokenStore,
    rows: Integers,
    ends: Integers,
    vocabulary_size: int,
    *,
    lab_bins: int = 0,
    time_bins: Sequence[int] = (),
    days: Integers | None = None,
) -> sp.csr_matrix:
    """Return how often each token is among the first ``ends[i]`` positions of ``store`` row ``rows[i]``.

    Column ``(time bin * (lab_bins + 1) + lab bin) * vocabulary_size + token``, float32,
    ``[samples, (len(time_bins) + 1) * (lab_bins + 1) * vocabulary_size]``.

    Args:
        store: The encoded persons.
        rows: The store's row of each sample.
        ends: How many leading positions the sample may see.
        vocabulary_size: Token ids are below it.
        lab_bins: Number of lab bins told apart by ``token_type_ids``; 0 counts codes only.
        time_bins: Ascending days before the prediction; (30, 365) makes three periods: the last 30
            days, the 335 days before, everything earlier. Baseline tokens are in the earliest.
        days: The day of the prediction in the person's own count, as ``position_ids``;
            by default the day of the last visible position.
    """
    ends = np.minimum(ends, store.lengths[rows])
    last_days = last_visible_days(store, rows, ends) if days is None else days
    blocks = (len(time_bins) + 1) * (lab_bins + 1)
    parts = []
    for chunk in position_chunks(ends, CHUNK_POSITIONS):
        tokens = store.gather(rows[chunk], 0, ends[chunk])
        block = _period(tokens, last_days[chunk], time_bins)
        if lab_bins:
            block = block * (lab_bins + 1) + tokens.token_type_ids
        columns = block * vocabulary_size + tokens.input_ids
        ones = np.ones(len(columns), np.float32)
        shape = (len(tokens.lengths), blocks * vocabulary_size)
        part = sp.csr_matrix((ones, columns, tokens.offsets), shape=shape)
        part.sum_duplicates()
        parts.append(part)
    return sp.vstack(parts, format="csr")


def ages(
    store: TokenStore, rows: Integers, ends: Integers, days: Integers | None = None
) -> NDArray[np.float32]:
    """Return each sample's age in years of 365 days on the day of the prediction; NaN where birth is unknown.

    The arguments are those of :func:`count_features`.
    """
    last_days = last_visible_days(store, rows, ends) if days is None else days
    born = store.birth_to_start[rows].astype(np.int64)
    # Day 1 is the day of the first event, birth_to_start days after birth.
    years = (born + np.maximum(last_days, 1) - 1) / DAYS_PER_YEAR
    return np.where(born == BIRTH_UNKNOWN, np.nan, years).astype(np.float32)


def last_visible_days(store: TokenStore, rows: Integers, ends: Integers) -> NDArray[np.int64]:
    """Return the day of the last position each sample may see; 0 where it sees none."""
    days = np.zeros(len(rows), np.int64)
    sees = ends > 0
    days[sees] = store.take("position_ids", rows[sees], ends[sees] - 1)
    return days


def _period(tokens: Tokens, last_days: Integers, time_bins: Sequence[int]) -> NDArray[np.int64]:
    days = tokens.position_ids
    before = np.repeat(last_days, tokens.lengths) - days
    period = np.searchsorted(np.asarray(time_bins, np.int64), before, side="right")
    return np.where(days > 0, period, len(time_bins))


def position_chunks(ends: Integers, positions: int) -> Iterator[slice]:
    """Yield slices of samples that see about so many positions each."""
    group = np.cumsum(ends) // positions
    for start, stop in pairwise([0, *(np.flatnonzero(np.diff(group)) + 1), len(ends)]):
        yield slice(int(start), int(stop))
