"""Counts of events up to many prediction times of a person, without reading any event twice.

An event belongs to the first *instant* of its person that is not before it. What happened between
two instants is then the sum of consecutive rows of one sparse matrix, however many prediction times
a person has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from clm_ler.files.arrow import ragged_arange, ragged_offsets
from clm_ler.modeling.evaluation.counts import position_chunks

Integers = NDArray[np.int64]
MICROSECONDS_PER_DAY = 86_400_000_000
# Rows that are added up at a time: a person of many visits has many for each of them.
SUMMANDS = 4_000_000


@dataclass(frozen=True)
class Instants:
    """Distinct times of persons, sorted by person and time; a row for each.

    Times are microseconds since 1970, so that comparisons are exact.
    """

    persons: Integers  # ascending
    times: Integers  # of anybody, ascending
    keys: Integers  # rank of the person * (number of times + 1) + rank of the time, ascending

    @classmethod
    def of(cls, person_ids: Integers, times: Integers) -> Self:
        """Return the distinct pairs."""
        empty = cls(np.unique(person_ids), np.unique(times), np.empty(0, np.int64))
        return replace(empty, keys=np.unique(empty._keys(person_ids, times)))

    def __len__(self) -> int:
        return len(self.keys)

    def first_not_before(self, person_ids: Integers, times: Integers) -> Integers:
        """Return the row of each person's first instant that is not before a time; -1 for none."""
        keys = self._keys(person_ids, times)
        rows = np.searchsorted(self.keys, keys)
        found = self.keys.take(rows, mode="clip") // (len(self.times) + 1)
        known = self.persons.take(np.searchsorted(self.persons, person_ids), mode="clip")
        same_person = (found == keys // (len(self.times) + 1)) & (known == person_ids)
        return np.where((rows < len(self)) & same_person, rows, -1)

    def _keys(self, person_ids: Integers, times: Integers) -> Integers:
        rank = np.searchsorted(self.persons, person_ids)
        return rank * (len(self.times) + 1) + np.searchsorted(self.times, times)


@dataclass(frozen=True)
class EventCounts:
    """How often each token occurs between a person's instants.

    Attributes:
        tokens: The names of the columns.
        instants: The rows.
        since_last: Counts after the person's instant before, float32 ``[instants, tokens]``.
    """

    tokens: list[str]
    instants: Instants
    since_last: sp.csr_matrix

    def until(
        self, person_ids: Integers, times: Integers, lookbacks: Sequence[int] = ()
    ) -> sp.csr_matrix:
        """Return the counts of the events up to each time, that time included.

        Args:
            person_ids: Of each sample.
            times: Of each sample, in microseconds; instants of these counts.
            lookbacks: Ascending days: (30, 365) gives three blocks of columns, for the last 30
                days, the 335 days before, and everything earlier. The times so many days before
                must be instants too.

        Returns:
            float32 ``[samples, (len(lookbacks) + 1) * tokens]``.
        """
        lookback_times = [times - days * MICROSECONDS_PER_DAY for days in (0, *lookbacks)]
        ends = [self.instants.first_not_before(person_ids, time) + 1 for time in lookback_times]
        beginning = np.full(len(times), np.iinfo(np.int64).min)
        ends.append(self.instants.first_not_before(person_ids, beginning))
        parts = [
            sp.hstack([self._between(start[part], end[part]) for end, start in pairwise(ends)])
            for part in position_chunks(ends[0] - ends[-1], SUMMANDS)
        ]
        return sp.vstack(parts, format="csr")

    def _between(self, starts: Integers, ends: Integers) -> sp.csr_matrix:
        """Return the sum of the rows from each start to its end (exclusive)."""
        return _sum_of_rows(starts, ends, len(self.instants)) @ self.since_last

    def expanded(self, tokens: Sequence[str], ancestors: Sequence[str]) -> Self:
        """Return the counts in which each event also counts for the ancestors of its token.

        Args:
            tokens: A token for each of its ancestors; others count for themselves only.
            ancestors: The ancestors, aligned with ``tokens``.
        """
        own = set(self.tokens)
        pairs = {pair for pair in zip(tokens, ancestors, strict=True) if pair[0] in own}
        pairs |= {(token, token) for token in own}
        names = sorted({ancestor for _token, ancestor in pairs})
        row_of, column_of = ({name: i for i, name in enumerate(n)} for n in (self.tokens, names))
        rows, columns = zip(*((row_of[t], column_of[a]) for t, a in pairs), strict=True)
        matrix = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)))
        return replace(self, tokens=names, since_last=_in_order(self.since_last @ matrix))


def count_events(batches: Iterable[pa.RecordBatch], instants: Instants) -> EventCounts:
    """Return the counts of a stream of events, in any order: person_id, time, token.

    Events of other persons, and those after a person's last instant, are left out: they make no column.
    """
    columns: dict[str, int] = {}
    counts = sp.csr_matrix((len(instants), 0), dtype=np.float32)
    for batch in batches:
        times = batch["time"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
        rows = instants.first_not_before(batch["person_id"].to_numpy(), times)
        seen = rows >= 0
        tokens = batch["token"].filter(pa.array(seen)).dictionary_encode()
        numbers = [columns.setdefault(name, len(columns)) for name in tokens.dictionary.to_pylist()]
        column = np.array(numbers, np.int64)[tokens.indices.to_numpy()]
        ones = np.ones(len(column), np.float32)
        shape = (len(instants), len(columns))
        counts.resize(shape)
        counts = counts + sp.csr_matrix((ones, (rows[seen], column)), shape=shape)
    names = sorted(columns)
    order = np.array([columns[name] for name in names], np.int64)
    return EventCounts(names, instants, _in_order(counts[:, order]))


def _in_order(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Return the matrix with the columns of each row in order: equal counts are equal bytes."""
    ordered = counts.tocsr()
    ordered.sort_indices()
    return ordered


def lookback_instants(person_ids: Integers, times: Integers, lookbacks: Sequence[int]) -> Instants:
    """Return the instants that :meth:`EventCounts.until` needs for these samples and lookbacks."""
    shifted = [times - days * MICROSECONDS_PER_DAY for days in (0, *lookbacks)]
    return Instants.of(np.tile(person_ids, len(shifted)), np.concatenate(shifted))


def _sum_of_rows(starts: Integers, ends: Integers, rows: int) -> sp.csr_matrix:
    """Return the matrix that sums the rows ``starts[i]`` to ``ends[i]`` (exclusive) of another."""
    offsets = ragged_offsets(ends - starts)
    columns = ragged_arange(offsets) + np.repeat(starts, ends - starts)
    ones = np.ones(len(columns), np.float32)
    return sp.csr_matrix((ones, columns, offsets), shape=(len(starts), rows))
