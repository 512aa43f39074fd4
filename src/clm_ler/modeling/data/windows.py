"""Which stretch of a person's history a model sees, for many persons at once.

A window is ``[CLS]``, the baseline tokens, and a contiguous stretch of events whose days are counted
from its own first event (day 1), with ``AGE`` the age at that event.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, doc

from clm_ler.modeling.data.store import BIRTH_UNKNOWN, Tokens, TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.tokens import DAYS_PER_YEAR


@dataclass(frozen=True)
class WindowOptions:
    """How large a window may be: earlier events are cut off."""

    override_maxlen: Annotated[int, Ge(2), doc("Tokens of a window, [CLS] included")] = 512
    max_position_embeddings: Annotated[int, Ge(2), doc("Days of a window")] = 1825

    def __post_init__(self) -> None:
        if self.override_maxlen < 2 or self.max_position_embeddings < 2:
            raise ValueError("override_maxlen and max_position_embeddings must be at least 2.")


@dataclass(frozen=True)
class Windows:
    """Windows of a store, not yet read: window ``i`` is one stretch of row ``rows[i]``.

    Attributes:
        rows: int64 [n], row numbers of the store.
        baseline: int32 [n], leading positions of the row that are kept (day 0).
        firsts: int32 [n], position in the row of the window's first event.
        events: int32 [n], number of events, may be 0.
    """

    rows: npt.NDArray[np.int64]
    baseline: npt.NDArray[np.int32]
    firsts: npt.NDArray[np.int32]
    events: npt.NDArray[np.int32]

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Tokens of each window, ``[CLS]`` included, [n]."""
        return 1 + self.baseline + self.events

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: npt.NDArray[np.integer] | slice) -> Self:
        """Return some of the windows."""
        return type(self)(
            self.rows[index], self.baseline[index], self.firsts[index], self.events[index]
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Return the windows of all parts, in order."""
        names = ("rows", "baseline", "firsts", "events")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def train_windows(
    store: TokenStore,
    rows: npt.NDArray[np.integer],
    options: WindowOptions,
    rng: np.random.Generator,
) -> Windows:
    """Return a random window of each row, as long as the row and the options allow.

    Every stretch of full length is equally likely; then its earliest events are cut off until the
    days fit ``max_position_embeddings``.
    """
    baseline = _baseline_lengths(store, rows, store.lengths[rows])
    history = store.lengths[rows] - baseline
    events = np.minimum(history, np.maximum(options.override_maxlen - 1 - baseline, 0))
    firsts = baseline + (rng.random(len(rows)) * (history - events + 1)).astype(np.int32)
    return _fit_days(store, _windows(rows, baseline, firsts, events, options), options)


def evaluation_windows(
    store: TokenStore,
    rows: npt.NDArray[np.integer],
    options: WindowOptions,
    ends: npt.NDArray[np.integer] | None = None,
) -> Windows:
    """Return the most recent window of each row.

    Args:
        store: The sequences.
        rows: Row numbers, [n]; a row may occur more than once.
        options: The size of a window.
        ends: Number of leading positions of the row that may be seen, baseline included, [n]; by
            default all.
    """
    ends = store.lengths[rows] if ends is None else np.minimum(ends, store.lengths[rows])
    baseline = _baseline_lengths(store, rows, ends)
    events = np.minimum(ends - baseline, np.maximum(options.override_maxlen - 1 - baseline, 0))
    return _fit_days(store, _windows(rows, baseline, ends - events, events, options), options)


def cut(store: TokenStore, windows: Windows, vocabulary: Vocabulary) -> Tokens:
    """Return the tokens of windows, ``[CLS]`` first (day 0), days counted from the first event.

    ``AGE`` becomes the age at the window's first event, in years of 365 days, where the birth is
    known. A window without any event tells no age: its ``AGE`` is ``[UNK]``, because the one in the
    store is that of an event which may lie after the prediction time.
    """
    # Two stretches a row. The first begins before the row: that place is for [CLS].
    starts = _interleave(np.full(len(windows), -1), windows.firsts)
    lengths = _interleave(windows.baseline + 1, windows.events)
    tokens = store.gather(np.repeat(windows.rows, 2), starts, lengths)
    offsets, ids, types = tokens.offsets[::2], tokens.input_ids, tokens.token_type_ids
    heads, has_events = offsets[:-1], windows.events > 0
    first_days = np.ones(len(windows), np.int32)
    first_days[has_events] = tokens.position_ids[tokens.offsets[1::2][has_events]]
    days = tokens.position_ids - np.repeat(
        _interleave(np.zeros_like(heads), first_days - 1), lengths
    )
    ids[heads], types[heads], days[heads] = vocabulary.cls, 0, 0

    places = np.flatnonzero(days == 0)
    places = places[vocabulary.is_age[ids[places]]]
    window_of = np.searchsorted(offsets, places, side="right") - 1
    ages = _age_tokens(store, windows, first_days, vocabulary)[window_of]
    ids[places] = np.where(ages < 0, ids[places], ages)
    return Tokens(offsets, ids, types, days)


def _interleave(
    first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]
) -> npt.NDArray[np.int32]:
    """Return first[0], second[0], first[1], second[1] ..."""
    return np.stack([first, second], axis=1).ravel().astype(np.int32)


def _age_tokens(
    store: TokenStore, windows: Windows, first_days: npt.NDArray[np.int32], vocabulary: Vocabulary
) -> npt.NDArray[np.int32]:
    """Return the age token of each window, negative where the stored one is to stay."""
    born = store.birth_to_start[windows.rows]
    years = (born.astype(np.int64) + first_days - 1) // DAYS_PER_YEAR
    ages = vocabulary.age_ids.take(years, mode="clip")
    ages[born == BIRTH_UNKNOWN] = -1
    ages[windows.events == 0] = vocabulary.unk
    return ages


def _windows(
    rows: npt.NDArray[np.integer],
    baseline: npt.NDArray[np.integer],
    firsts: npt.NDArray[np.integer],
    events: npt.NDArray[np.integer],
    options: WindowOptions,
) -> Windows:
    baseline = np.minimum(baseline, options.override_maxlen - 1)
    small = (field.astype(np.int32) for field in (baseline, firsts, events))
    return Windows(np.asarray(rows, np.int64), *small)


def _baseline_lengths(
    store: TokenStore, rows: npt.NDArray[np.integer], ends: npt.NDArray[np.integer]
) -> npt.NDArray[np.int32]:
    """Return how many leading positions have day 0, among the first ``ends``."""
    counts = np.zeros(len(rows), np.int32)
    active = np.flatnonzero(ends > 0)
    while active.size:
        active = active[store.take("position_ids", rows[active], counts[active]) == 0]
        counts[active] += 1
        active = active[counts[active] < ends[active]]
    return counts


def _fit_days(store: TokenStore, windows: Windows, options: WindowOptions) -> Windows:
    """Cut off the earliest events of windows whose last day would not have a position.

    Bisection, all windows at once: the days of a row never fall.
    """
    rows, events = windows.rows, windows.events
    low, last = windows.firsts.copy(), windows.firsts + events - 1
    oldest = _days_at(store, rows, last, events > 0) - options.max_position_embeddings + 2
    active = np.flatnonzero(_days_at(store, rows, low, events > 0) < oldest)
    high = last.copy()
    while active.size:
        middle = (low[active] + high[active]) // 2
        early = store.take("position_ids", rows[active], middle) < oldest[active]
        low[active] = np.where(early, middle + 1, low[active])
        high[active] = np.where(early, high[active], middle)
        active = active[low[active] < high[active]]
    return Windows(rows, windows.baseline, low, events - (low - windows.firsts))


def _days_at(
    store: TokenStore,
    rows: npt.NDArray[np.integer],
    index: npt.NDArray[np.integer],
    where: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int32]:
    """Return the day at a position of each row, 1 where there is none to read."""
    days = np.ones(len(rows), np.int32)
    days[where] = store.take("position_ids", rows[where], index[where])
    return days
