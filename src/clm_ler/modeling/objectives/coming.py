"""What comes after a query, as targets: read off the rest of the record."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clm_ler.modeling.data.samples import NO_LABEL
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import Windows
from clm_ler.modeling.model.event_head import (
    NEXT_VISIT,
    VISIT_CLASSES,
    VISIT_COUNTS,
    VISIT_HORIZONS,
)

Integers = npt.NDArray[np.integer]
Arrays = dict[str, npt.NDArray[Any]]

KINDS = ("code", "low", "high")  # of a target
NEXT_BIN_DAYS = 365


class Coming(NamedTuple):
    """The events after the query of each of some windows, in order.

    Attributes:
        window: Which window, ``[t]``.
        days: Days since the query, from 1, ``[t]``.
        input_ids: Codes, ``[t]``.
        bins: Lab bins, 0 = none, ``[t]``.
        followed: Days from the query to the last event of the record, 0 where none comes, ``[windows]``.
    """

    window: Integers
    days: Integers
    input_ids: Integers
    bins: Integers
    followed: Integers


def coming_events(store: TokenStore, windows: Windows) -> Coming:
    """Return what a record holds after its window."""
    starts = windows.firsts + windows.events
    lengths = store.lengths[windows.rows] - starts
    tokens = store.gather(windows.rows, starts, lengths)
    days = tokens.position_ids - np.repeat(windows.query_days, lengths)
    followed = np.zeros(len(windows), np.int64)
    followed[lengths > 0] = days[tokens.offsets[1:][lengths > 0] - 1]
    window = np.repeat(np.arange(len(windows)), lengths)
    return Coming(window, days, tokens.input_ids, tokens.token_type_ids, followed)


@dataclass(frozen=True)
class TargetNumbers:
    """The number of each target, by what an event is; -1 for what is none.

    Attributes:
        code: int32 ``[vocabulary]``.
        low: int32 ``[vocabulary]``, of the lowest bin of a lab.
        high: int32 ``[vocabulary]``, of its highest.
    """

    code: Integers
    low: Integers
    high: Integers

    @classmethod
    def of(cls, targets: pa.Table, vocabulary: Vocabulary) -> Self:
        """Return the numbers of the rows of ``pretrain_targets``, counted from 0."""
        kinds = targets["kind"].to_numpy(zero_copy_only=False)
        ids = targets["token_id"].to_numpy()
        numbers = np.full((len(KINDS), vocabulary.size), -1, np.int32)
        for number, kind in enumerate(KINDS):
            chosen = np.flatnonzero(kinds == kind)
            numbers[number, ids[chosen]] = chosen
        return cls(*numbers)

    def of_events(self, coming: Coming, bins: int) -> tuple[Integers, Integers]:
        """Return each hit of a target as its place among the events, and the target, by place."""
        extreme = np.where(coming.bins == 1, self.low[coming.input_ids], -1)
        is_high = (coming.bins == bins) & (coming.bins > 0)
        extreme = np.where(is_high, self.high[coming.input_ids], extreme)
        both = np.stack([self.code[coming.input_ids], extreme], axis=1).ravel()
        hits = np.flatnonzero(both >= 0)
        return hits // 2, both[hits]


def first_of(*keys: Integers) -> Integers:
    """Return the first place of each distinct combination of keys, ``[distinct]``."""
    joined = keys[0].astype(np.int64)
    for key in keys[1:]:
        joined = joined * (int(key.max(initial=0)) + 1) + key
    return np.unique(joined, return_index=True)[1]


def first_events(coming: Coming, numbers: TargetNumbers, bins: int) -> Arrays:
    """Return the first coming event of each pair of window and target.

    ``event_query`` is the window, ``event_target`` the target, ``event_days`` the days since the query.
    """
    place, target = numbers.of_events(coming, bins)
    first = first_of(coming.window[place], target)
    place, target = place[first], target[first].astype(np.int64)
    return {
        "event_query": coming.window[place],
        "event_target": target,
        "event_days": coming.days[place].astype(np.float32),
    }


def next_bins(coming: Coming) -> Arrays:
    """Return the first bin of each pair of window and lab within a year.

    ``bin_query`` is the window, ``bin_code`` the lab, ``next_bin`` its bin, counted from 0.
    """
    place = np.flatnonzero((coming.bins > 0) & (coming.days <= NEXT_BIN_DAYS))
    place = place[first_of(coming.window[place], coming.input_ids[place])]
    return {
        "bin_query": coming.window[place],
        "bin_code": coming.input_ids[place].astype(np.int64),
        "next_bin": coming.bins[place].astype(np.int64) - 1,
    }


def visit_classes(coming: Coming) -> Integers:
    """Return the class of each visit question, int64 ``[windows, questions]``.

    Days until the next event day, and event days within each horizon. ``NO_LABEL`` where the record
    ends before that is decided.
    """
    size = len(coming.followed)
    new_day = np.flatnonzero(np.diff(coming.window, prepend=-1) | np.diff(coming.days, prepend=-1))
    window, days = coming.window[new_day], coming.days[new_day]
    classes = np.full((size, len(VISIT_CLASSES)), NO_LABEL, np.int64)
    first = np.flatnonzero(np.diff(window, prepend=-1))
    classes[window[first], 0] = np.searchsorted(NEXT_VISIT, days[first])
    for column, horizon in enumerate(VISIT_HORIZONS, start=1):
        counts = np.bincount(window[days <= horizon], minlength=size)
        known = coming.followed >= horizon
        classes[known, column] = np.searchsorted(VISIT_COUNTS, counts[known])
    return classes
