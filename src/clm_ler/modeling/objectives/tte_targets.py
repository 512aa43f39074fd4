"""Which targets there are, and how often each comes: fitted on the train persons."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from clm_ler.files.arrow import evenly_spaced
from clm_ler.modeling.data.random_streams import FITTING, random_stream
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, Windows, query_windows
from clm_ler.modeling.model.event_head import piece_of, time_at_risk
from clm_ler.modeling.objectives.base import TARGETS
from clm_ler.modeling.objectives.coming import (
    KINDS,
    Integers,
    TargetNumbers,
    coming_events,
    first_events,
)

FITTED_PERSONS = 100_000  # targets and their rates are fitted on at most so many
_BLOCK = 2_000  # persons at a time


def choose_targets(options: Any, store: TokenStore, vocabulary: Vocabulary) -> pa.Table:
    """Return ``token_id, kind, persons``: what occurs in enough persons, the most frequent first.

    Raises:
        ValueError: If nothing does.
    """
    counts = np.zeros((len(KINDS), vocabulary.size), np.int64)
    for rows in blocks_of(store):
        tokens = store.gather(rows)
        row = np.repeat(np.arange(len(rows)), tokens.lengths)
        ids, bins = tokens.input_ids, tokens.token_type_ids
        has_bin = bins > 0
        of_kind = (vocabulary.is_code[ids], bins == 1, has_bin & (bins == vocabulary.bins))
        for number, chosen in enumerate(of_kind):
            pairs = np.unique(row[chosen].astype(np.int64) * vocabulary.size + ids[chosen])
            counts[number] += np.bincount(pairs % vocabulary.size, minlength=vocabulary.size)
    kinds, tokens_of = np.nonzero(counts >= options.event_min_persons)
    if not len(kinds):
        raise ValueError(
            f"pretrain.objective tte: no code occurs in {options.event_min_persons} persons of the "
            "train split. Lower pretrain.event_min_persons, or set pretrain.objective=mlm."
        )
    persons = counts[kinds, tokens_of]
    order = np.lexsort((tokens_of, kinds, -persons))[: options.event_max_targets]
    return pa.table(
        {
            "token_id": pa.array(tokens_of[order], pa.int32()),
            "kind": pa.array([KINDS[kind] for kind in kinds[order]], pa.string()),
            "persons": pa.array(persons[order], pa.int64()),
        }
    )


def fit_rates(
    targets: pa.Table, options: Any, store: TokenStore, vocabulary: Vocabulary
) -> pa.Table:
    """Return the targets with ``events`` and ``log_rates``, those of the drawn queries.

    The rate of a piece leans on that of all pieces by the weight of one event.
    """
    numbers, edges = TargetNumbers.of(targets, vocabulary), options.event_edges
    shape = (len(targets), len(edges))
    events, spared, exposure = np.zeros(shape), np.zeros(shape), np.zeros(len(edges))
    for windows in drawn_windows(store, options):
        coming = coming_events(store, windows)
        query, target, until = first_events(coming, numbers, vocabulary.bins).values()
        days = torch.from_numpy(until)
        risk = time_at_risk(torch.from_numpy(coming.followed.astype(np.float32)), edges).numpy()
        exposure += risk.sum(axis=0)
        np.add.at(events, (target, piece_of(days, edges).numpy()), 1)
        np.add.at(spared, target, risk[query] - time_at_risk(days, edges).numpy())
    at_risk = np.maximum(exposure - spared, 0)
    overall = (events.sum(axis=1) + 0.5) / np.maximum(at_risk.sum(axis=1), 1)
    rates = (events + 1) / (at_risk + 1 / overall[:, None])
    columns = {
        "events": pa.array(events.sum(axis=1).astype(np.int64)),
        "log_rates": pa.array(list(np.log(rates)), pa.list_(pa.float64())),
    }
    for name, values in columns.items():
        targets = targets.append_column(name, values)
    return targets.cast(TARGETS)


def drawn_windows(store: TokenStore, options: WindowOptions) -> Iterator[Windows]:
    """Yield a window of each row, block after block; always the same."""
    rng = random_stream(FITTING)
    for rows in blocks_of(store):
        yield query_windows(store, rows, options, rng)


def blocks_of(store: TokenStore) -> Iterator[Integers]:
    """Yield rows, spread evenly over the store where it has too many, some at a time."""
    rows = evenly_spaced(len(store), FITTED_PERSONS)
    for first in range(0, len(rows), _BLOCK):
        yield rows[first : first + _BLOCK]
