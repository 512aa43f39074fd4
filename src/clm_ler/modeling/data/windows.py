"""Which stretch of a person's history a model sees, for many persons at once.

A window is ``[CLS]``, the baseline tokens, and a contiguous stretch of events whose days are counted
from its own first event (day 1). It may end with a query token, a second ``[CLS]`` on the day of the
prediction: by it alone a model learns when it is asked. ``AGE`` is the age on that day, without a query
the age at the window's first event.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, doc

from clm_ler.modeling.data.store import BIRTH_UNKNOWN, Tokens, TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.tokens import DAYS_PER_YEAR

NO_QUERY = int(np.iinfo(np.int32).min)
FIRST_EVENT = NO_QUERY  # where nothing is asked, the age is that at the first event


@dataclass(frozen=True)
class WindowOptions:
    """How large a window may be: earlier events are cut off."""

    override_maxlen: Annotated[
        int, Ge(2), doc("Tokens of a window, [CLS] and the query token included")
    ] = 512
    max_position_embeddings: Annotated[
        int,
        Ge(2),
        doc("Days of a window; where each day has a row of weights, 1825 as published if not set"),
    ] = 36_500

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
        query_days: int32 [n], the day of the query token as the row counts days; ``NO_QUERY`` where
            the window has none.
        age_days: int32 [n], the day whose age is told; ``FIRST_EVENT`` for that of the first event.
    """

    rows: npt.NDArray[np.int64]
    baseline: npt.NDArray[np.int32]
    firsts: npt.NDArray[np.int32]
    events: npt.NDArray[np.int32]
    query_days: npt.NDArray[np.int32]
    age_days: npt.NDArray[np.int32]

    @property
    def has_query(self) -> npt.NDArray[np.bool_]:
        """Whether each window ends with a query token, [n]."""
        return self.query_days != NO_QUERY

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Tokens of each window, ``[CLS]`` and the query included, [n]."""
        return 1 + self.baseline + self.events + self.has_query.astype(np.int32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: npt.NDArray[np.integer] | slice) -> Self:
        """Return some of the windows."""
        return type(self)(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Return the windows of all parts, in order."""
        names = [field.name for field in fields(cls)]
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
    windows = _windows(rows, baseline, firsts, events, options.override_maxlen - 1)
    return _fit_days(store, windows, options)


def query_windows(
    store: TokenStore,
    rows: npt.NDArray[np.integer],
    options: WindowOptions,
    rng: np.random.Generator,
) -> Windows:
    """Return a window of each row that ends at a random event day, with a query token behind it.

    A day is as likely as it has events. The window ends with its last event. Half the queries stand on
    that day; the others on any day until the one before the next event, as predictions do that are made
    between two visits. The last day of a row is only drawn where there is no other.
    """
    ends = store.lengths[rows]
    baseline = _baseline_lengths(store, rows, ends)
    last_days = _days_at(store, rows, ends - 1, ends > baseline)
    before_last = first_position(store, rows, baseline, ends, last_days)
    several = before_last > baseline  # event days
    candidates = np.where(several, before_last, ends) - baseline
    drawn = baseline + (rng.random(len(rows)) * candidates).astype(np.int32)
    days = _days_at(store, rows, drawn, candidates > 0)
    ends = first_position(store, rows, drawn, ends, days + 1)
    gaps = np.where(several, _days_at(store, rows, ends, several) - days, 1)
    waits = (rng.random(len(rows)) * gaps).astype(np.int32) * (rng.random(len(rows)) < 0.5)
    return evaluation_windows(store, rows, options, ends, days + waits)


def evaluation_windows(
    store: TokenStore,
    rows: npt.NDArray[np.integer],
    options: WindowOptions,
    ends: npt.NDArray[np.integer] | None = None,
    query_days: npt.NDArray[np.integer] | None = None,
    age_at_query: bool = True,
) -> Windows:
    """Return the most recent window of each row.

    Args:
        store: The sequences.
        rows: Row numbers, [n]; a row may occur more than once.
        options: The size of a window.
        ends: Number of leading positions of the row that may be seen, baseline included, [n]; by
            default all.
        query_days: The days of the query tokens, [n]; by default there are none.
        age_at_query: Whether ``AGE`` is that of the query's day, where there is a query.
    """
    ends = store.lengths[rows] if ends is None else np.minimum(ends, store.lengths[rows])
    baseline = _baseline_lengths(store, rows, ends)
    room = options.override_maxlen - 1 - (query_days is not None)
    events = np.minimum(ends - baseline, np.maximum(room - baseline, 0))
    windows = _windows(rows, baseline, ends - events, events, room, query_days)
    if not age_at_query:
        windows = replace(windows, age_days=np.full_like(windows.age_days, FIRST_EVENT))
    return _fit_days(store, windows, options)


def cut(store: TokenStore, windows: Windows, vocabulary: Vocabulary) -> Tokens:
    """Return the tokens of windows, ``[CLS]`` first (day 0), days counted from the first event.

    The query token stands last. Where a window has no event it stands on day 1: nothing may tell when
    the first one will be.

    ``AGE`` becomes the age on the window's ``age_days``, in years of 365 days, where the birth is
    known. A window without any event tells no age: its ``AGE`` is ``[UNK]``, because the one in the
    store is that of an event which may lie after the prediction time.
    """
    # Three stretches a row. The first begins before the row, as the third does: these places are for
    # the two [CLS].
    outside = np.full(len(windows), -1)
    starts = _interleave(outside, windows.firsts, outside)
    lengths = _interleave(windows.baseline + 1, windows.events, windows.has_query)
    tokens = store.gather(np.repeat(windows.rows, 3), starts, lengths)
    offsets, ids, types = tokens.offsets[::3], tokens.input_ids, tokens.token_type_ids
    heads, has_events = offsets[:-1], windows.events > 0
    first_days = np.ones(len(windows), np.int32)
    first_days[has_events] = tokens.position_ids[tokens.offsets[1::3][has_events]]
    none = np.zeros_like(heads)
    days = tokens.position_ids - np.repeat(_interleave(none, first_days - 1, none), lengths)
    ids[heads], types[heads], days[heads] = vocabulary.cls, 0, 0
    queries = offsets[1:][windows.has_query] - 1
    asked = np.where(has_events, windows.query_days - first_days + 1, 1)
    ids[queries], types[queries], days[queries] = vocabulary.cls, 0, asked[windows.has_query]

    places = np.flatnonzero(days == 0)
    places = places[vocabulary.is_age[ids[places]]]
    window_of = np.searchsorted(offsets, places, side="right") - 1
    told = np.where(windows.age_days == FIRST_EVENT, first_days, windows.age_days)
    ages = _age_tokens(store, windows, told, vocabulary)[window_of]
    ids[places] = np.where(ages < 0, ids[places], ages)
    return Tokens(offsets, ids, types, days)


def _interleave(*columns: npt.NDArray[np.generic]) -> npt.NDArray[np.int32]:
    """Return the first value of each column, then the second of each, and so on."""
    return np.stack(columns, axis=1).ravel().astype(np.int32)


def _age_tokens(
    store: TokenStore, windows: Windows, days: npt.NDArray[np.int32], vocabulary: Vocabulary
) -> npt.NDArray[np.int32]:
    """Return the token of the age on a day of each window, negative where the stored one is to stay."""
    born = store.birth_to_start[windows.rows]
    years = (born.astype(np.int64) + days - 1) // DAYS_PER_YEAR
    ages = vocabulary.age_ids.take(years, mode="clip")
    ages[born == BIRTH_UNKNOWN] = -1
    ages[windows.events == 0] = vocabulary.unk
    return ages


def _windows(
    rows: npt.NDArray[np.integer],
    baseline: npt.NDArray[np.integer],
    firsts: npt.NDArray[np.integer],
    events: npt.NDArray[np.integer],
    room: int,
    query_days: npt.NDArray[np.integer] | None = None,
) -> Windows:
    """Return windows of at most ``room`` tokens beside ``[CLS]`` and the query."""
    if query_days is None:
        query_days = np.full(len(rows), NO_QUERY)
    columns = (np.minimum(baseline, room), firsts, events, query_days, query_days)
    return Windows(np.asarray(rows, np.int64), *(column.astype(np.int32) for column in columns))


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
    """Cut off the earliest events of windows whose last day, or query, would not have a position.

    A query that lies too far behind the last event day leaves the events of that day in place, and
    stands on the last day that has a position.
    """
    rows, events, firsts = windows.rows, windows.events, windows.firsts
    ends, longest = firsts + events, options.max_position_embeddings - 2
    last_days = _days_at(store, rows, ends - 1, events > 0)
    spanned = np.maximum(windows.query_days, last_days)
    oldest = np.minimum(spanned - longest, last_days)
    kept = first_position(store, rows, firsts, ends, oldest)
    latest = _days_at(store, rows, kept, events > 0) + longest
    queries = np.minimum(windows.query_days, latest)
    return replace(windows, firsts=kept, events=ends - kept, query_days=queries)


def first_position(
    store: TokenStore,
    rows: npt.NDArray[np.integer],
    low: npt.NDArray[np.integer],
    high: npt.NDArray[np.integer],
    days: npt.NDArray[np.integer],
) -> npt.NDArray[np.int32]:
    """Return the first position from ``low`` on whose day is at least that of ``days``, else ``high``.

    Bisection, all rows at once: the days of a row never fall.
    """
    found, high = low.astype(np.int32), high.astype(np.int32)
    active = np.flatnonzero(found < high)
    # Most windows fit as they are.
    active = active[store.take("position_ids", rows[active], found[active]) < days[active]]
    while active.size:
        middle = (found[active] + high[active]) // 2
        early = store.take("position_ids", rows[active], middle) < days[active]
        found[active] = np.where(early, middle + 1, found[active])
        high[active] = np.where(early, high[active], middle)
        active = active[found[active] < high[active]]
    return found


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
