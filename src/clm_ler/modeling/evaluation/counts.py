"""Sparse count features of what a sample may see: the input of the baselines a model has to beat."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import BIRTH_UNKNOWN, Tokens, TokenStore
from clm_ler.tokens import DAYS_PER_YEAR

Integers = NDArray[np.integer]

CHUNK_POSITIONS = 1 << 23  # token positions in work at a time: bounds the memory


def count_features(
    store: TokenStore,
    samples: Samples,
    vocabulary_size: int,
    *,
    lab_bins: int = 0,
    time_bins: Sequence[int] = (),
) -> sp.csr_matrix:
    """Return how often each token is among what each sample may see.

    Column ``(time bin * (lab_bins + 1) + lab bin) * vocabulary_size + token``, float32,
    ``[samples, (len(time_bins) + 1) * (lab_bins + 1) * vocabulary_size]``.

    Args:
        store: The encoded persons.
        samples: Rows of the store, and what may be seen of them.
        vocabulary_size: Token ids are below it.
        lab_bins: Number of lab bins told apart by ``token_type_ids``; 0 counts codes only.
        time_bins: Ascending days before the prediction; (30, 365) makes three periods: the last 30
            days, the 335 days before, everything earlier. Baseline tokens are in the earliest.
    """
    ends = np.minimum(samples.ends, store.lengths[samples.rows])
    blocks = (len(time_bins) + 1) * (lab_bins + 1)
    parts = []
    for chunk in position_chunks(ends, CHUNK_POSITIONS):
        tokens = store.gather(samples.rows[chunk], 0, ends[chunk])
        block = _period(tokens, samples.days[chunk], time_bins)
        if lab_bins:
            block = block * (lab_bins + 1) + tokens.token_type_ids
        columns = block * vocabulary_size + tokens.input_ids
        ones = np.ones(len(columns), np.float32)
        shape = (len(tokens.lengths), blocks * vocabulary_size)
        part = sp.csr_matrix((ones, columns, tokens.offsets), shape=shape)
        part.sum_duplicates()
        parts.append(part)
    return sp.vstack(parts, format="csr")


def ages(store: TokenStore, samples: Samples) -> NDArray[np.float32]:
    """Return each sample's age in years of 365 days on the day of the prediction; NaN where birth is unknown."""
    born = store.birth_to_start[samples.rows].astype(np.int64)
    # Day 1 is the day of the first event, birth_to_start days after birth.
    years = (born + np.maximum(samples.days, 1) - 1) / DAYS_PER_YEAR
    return np.where(born == BIRTH_UNKNOWN, np.nan, years).astype(np.float32)


def age_column(store: TokenStore, samples: Samples) -> NDArray[np.float32]:
    """Return the ages as a feature, ``[n, 1]``; 0 where birth is unknown."""
    return np.nan_to_num(ages(store, samples))[:, None]


def last_visible_days(store: TokenStore, rows: Integers, ends: Integers) -> NDArray[np.int64]:
    """Return the day of the last position each sample may see; 0 where it sees none."""
    days = np.zeros(len(rows), np.int64)
    sees = ends > 0
    days[sees] = store.take("position_ids", rows[sees], ends[sees] - 1)
    return days


def _period(tokens: Tokens, asked: Integers, time_bins: Sequence[int]) -> NDArray[np.int64]:
    days = tokens.position_ids
    before = np.repeat(asked, tokens.lengths) - days
    period = np.searchsorted(np.asarray(time_bins, np.int64), before, side="right")
    return np.where(days > 0, period, len(time_bins))


def position_chunks(ends: Integers, positions: int) -> Iterator[slice]:
    """Yield slices of samples that see about so many positions each."""
    group = np.cumsum(ends) // positions
    for start, stop in pairwise([0, *(np.flatnonzero(np.diff(group)) + 1), len(ends)]):
        yield slice(int(start), int(stop))
