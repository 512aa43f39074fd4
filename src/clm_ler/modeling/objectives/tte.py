"""Time to event: when each code comes next, asked at a random day of the record.

Masked language modelling never has to know what comes next, nor when it is asked. Here a window ends at a
random event day, the query token stands on the day of the prediction, and its state has to tell

* the hazard of the first coming event of each code, and of the lowest and the highest bin of each lab;
* the next bin of each lab that is measured within a year;
* when the next event day comes, and how many there are within 30, 90 and 365 days.

A record is followed until its last event. That censoring is not quite independent of what is predicted: the
last day of a record is a day with events, and the sick are seen more often. It is the usual choice where
no observation period is known, and the same for all targets.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from annotated_types import Ge, Gt, doc
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedConfig

from clm_ler.modeling.data.random_streams import FITTING, random_stream
from clm_ler.modeling.data.store import Tokens, TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, Windows, query_windows
from clm_ler.modeling.model.configuration_clm_ler import EVENT_EDGES
from clm_ler.modeling.model.event_head import (
    NEXT_VISIT,
    VISIT_CLASSES,
    VISIT_COUNTS,
    VISIT_HORIZONS,
    EventHead,
    event_terms,
    expected_by_target,
    piece_of,
    time_at_risk,
)
from clm_ler.modeling.objectives.base import TARGETS, Sums, Targets

Integers = npt.NDArray[np.integer]

KINDS = ("code", "low", "high")  # of a target
UNKNOWN = -100  # a class that the record is too short to tell
NEXT_BIN_DAYS = 365
FITTED_PERSONS = 100_000  # targets and their rates are fitted on at most so many
_BLOCK = 2_000  # persons at a time
SUMS = 2 * len(KINDS) + 3 + 2 * len(VISIT_CLASSES)  # numbers that metrics are made of


@dataclass(frozen=True)
class TteOptions:
    """What is predicted of the time after a query."""

    event_min_persons: Annotated[
        int, Ge(1), doc("Train persons that a code or lab extreme needs to be a target")
    ] = 10
    event_max_targets: Annotated[
        int, Ge(1), doc("Most targets; those of the most persons are taken")
    ] = 8192
    event_edges: Annotated[
        tuple[int, ...], doc("Days at which the pieces of constant hazard begin; the first is 0")
    ] = EVENT_EDGES
    event_rank: Annotated[int, Ge(1), doc("Size of the vectors that hazards are products of")] = 32
    mlm_weight: Annotated[float, Gt(0), doc("Of masked language modelling in mlm+tte")] = 0.3
    next_bin_weight: Annotated[float, Ge(0), doc("Of the next bin of each lab within a year")] = 1.0
    visit_weight: Annotated[float, Ge(0), doc("Of when and how often the next visits are")] = 0.2

    def check_edges(self) -> None:
        """Refuse edges that are no rising days from 0."""
        edges = self.event_edges
        if not edges or edges[0] != 0 or list(edges) != sorted(set(edges)):
            raise ValueError("event_edges must be days that rise from 0")


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


@dataclass(frozen=True)
class Tte:
    """What comes next, told by the query token.

    Attributes:
        options: What is predicted, with which weights.
        bins: Lab bins.
        numbers: The number of each target.
        kinds: The kind of each target, as a place in ``KINDS``, ``[K]``.
        log_rates: Log of events per person-day of each target in each piece, ``[K, P]``.
        window_tokens: The most tokens of a window.
    """

    title: ClassVar[str] = "time to the next event of each code"
    charts: ClassVar[Mapping[str, str]] = {
        "loss": "loss",
        "event_loss": "nats per coming event",
        "next_bin_accuracy": "accuracy of the next bin",
        "visit_loss": "nats per visit question",
    }

    options: TteOptions
    bins: int
    numbers: TargetNumbers
    kinds: Integers
    log_rates: npt.NDArray[np.float32]
    window_tokens: int

    @classmethod
    def fit(cls, options: Any, store: TokenStore, vocabulary: Vocabulary) -> pa.Table:
        """Return the targets, those of the most persons first, and their rates.

        Raises:
            ValueError: If no code has enough persons.
        """
        targets = choose_targets(options, store, vocabulary)
        if not len(targets):
            raise ValueError(
                "pretrain.objective tte: no code occurs in "
                f"{options.event_min_persons} persons of the train split. Lower "
                "pretrain.event_min_persons, or set pretrain.objective=mlm."
            )
        return fit_rates(targets, options, store, vocabulary)

    @classmethod
    def create(
        cls, options: Any, vocabulary: Vocabulary, tokens: list[str], targets: pa.Table
    ) -> Self:
        """Return the objective."""
        kinds = targets["kind"].to_numpy(zero_copy_only=False)
        rates = np.array(targets["log_rates"].to_pylist(), np.float32)
        return cls(
            TteOptions(**{f.name: getattr(options, f.name) for f in fields(TteOptions)}),
            vocabulary.bins,
            TargetNumbers.of(targets, vocabulary),
            np.array([KINDS.index(kind) for kind in kinds]),
            rates.reshape(len(targets), len(options.event_edges)),
            options.override_maxlen,
        )

    def configure(self) -> dict[str, Any]:
        """Return what the model's configuration takes from the objective."""
        return {
            "query_token": True,
            "event_targets": len(self.kinds),
            "event_edges": list(self.options.event_edges),
            "event_rank": self.options.event_rank,
        }

    def start(self, model: Any) -> None:
        """Let the hazards start at the base rates."""
        model.event_head.bias.data.copy_(torch.from_numpy(self.log_rates))

    def windows(
        self, store: TokenStore, rows: Integers, options: WindowOptions, rng: np.random.Generator
    ) -> Windows:
        """Return a window of each row that ends at a random event day."""
        return query_windows(store, rows, options, rng)

    def evaluation_windows(
        self, store: TokenStore, rows: Integers, options: WindowOptions, rng: np.random.Generator
    ) -> Windows:
        """Return the same: what follows the last day of a record is not known."""
        return query_windows(store, rows, options, rng)

    def make(
        self,
        tokens: Tokens,
        windows: Windows,
        store: TokenStore,
        rng: np.random.Generator,
        *,
        evaluation: bool,
    ) -> tuple[Tokens, Targets]:
        """Return the tokens as they are, and what comes after the query.

        Items are the coming first events, the next lab results, and the visit questions.
        """
        coming = coming_events(store, windows)
        values, events = self._events(coming)
        bins, results = self._next_bins(coming)
        visits = visit_classes(coming)
        values |= bins | {"query_index": tokens.offsets[1:] - 1, "visit_labels": visits}
        values["followed"] = coming.followed.astype(np.float32)
        items = np.array([events, results, (visits != UNKNOWN).sum()], np.int64)
        return tokens, Targets(values, items)

    def _events(self, coming: Coming) -> tuple[dict[str, npt.NDArray[Any]], int]:
        place, target = self.numbers.of_events(coming, self.bins)
        first = first_of(coming.window[place], target)
        place, target = place[first], target[first].astype(np.int64)
        values = {
            "event_query": coming.window[place],
            "event_target": target,
            "event_days": coming.days[place].astype(np.float32),
        }
        return values, len(place)

    def _next_bins(self, coming: Coming) -> tuple[dict[str, npt.NDArray[Any]], int]:
        place = np.flatnonzero((coming.bins > 0) & (coming.days <= NEXT_BIN_DAYS))
        place = place[first_of(coming.window[place], coming.input_ids[place])]
        values = {
            "bin_query": coming.window[place],
            "bin_code": coming.input_ids[place].astype(np.int64),
            "next_bin": coming.bins[place].astype(np.int64) - 1,
        }
        return values, len(place)

    def loss(
        self, model: Any, states: Tensor, input_ids: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the weighted losses of events, next bins and visits, ``[3]``."""
        head: EventHead = model.event_head
        queries = states[targets["query_index"]]
        events = -head.log_likelihood(
            queries,
            targets["followed"],
            targets["event_query"],
            targets["event_target"],
            targets["event_days"],
        )
        bins = F.cross_entropy(
            next_bin_logits(model, queries, targets), targets["next_bin"], reduction="sum"
        )
        visits = visit_losses(head, queries, targets["visit_labels"]).sum()
        weights = (1.0, self.options.next_bin_weight, self.options.visit_weight)
        return torch.stack([events, bins, visits]) * events.new_tensor(weights)

    def sums(
        self, model: Any, states: Tensor, input_ids: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return, fp64: nats and events of each kind of target; nats, right ones and number of next
        bins; nats and number of each visit question.
        """
        head: EventHead = model.event_head
        queries = states[targets["query_index"]]
        rates = (head.targets.weight.float(), head.bias.float())
        events = self._event_sums(head.vectors_of(queries), *rates, targets)
        return torch.cat(
            [
                events,
                bin_sums(next_bin_logits(model, queries, targets), targets["next_bin"]),
                visit_sums(visit_losses(head, queries, targets["visit_labels"]), targets),
            ]
        ).cpu()

    def _event_sums(
        self, vectors: Tensor, weight: Tensor, bias: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return nats and events of each kind of target, fp64 ``[2 * KINDS]``."""
        edges, followed = self.options.event_edges, targets["followed"]
        query, target, days = (targets[f"event_{name}"] for name in ("query", "target", "days"))
        exposure = time_at_risk(followed, edges)
        kinds = torch.from_numpy(self.kinds).to(vectors.device)
        told = event_terms(vectors, weight, bias, exposure, query, target, days, edges)
        nats = vectors.new_zeros(len(KINDS), dtype=torch.float64)
        nats.index_add_(0, kinds, expected_by_target(vectors, weight, bias, exposure).double())
        nats.index_add_(0, kinds[target], -told.double())
        return torch.cat([nats, torch.bincount(kinds[target], minlength=len(KINDS)).double()])

    def baselines(self, store: TokenStore) -> dict[str, Sums]:
        """Return what knows the base rates alone: of each event, of each bin, of each visit class."""
        rates = torch.from_numpy(self.log_rates)
        bin_logits, visit_logits = self._base_logits(store)

        def base_rates(batch: Mapping[str, Any]) -> Tensor:
            targets = batch["targets"]
            on = targets["followed"].device
            bias, size = rates.to(on), len(targets["followed"])
            nothing = torch.zeros(size, bias.shape[1], 1, device=on)
            events = self._event_sums(nothing, torch.zeros(len(bias), 1, device=on), bias, targets)
            bins = bin_logits.to(on)[targets["bin_code"]]
            labels = targets["visit_labels"]
            losses = _class_losses(visit_logits.to(on).expand(size, -1), labels)
            return torch.cat(
                [events, bin_sums(bins, targets["next_bin"]), visit_sums(losses, targets)]
            ).cpu()

        return {"base rates": base_rates}

    def _base_logits(self, store: TokenStore) -> tuple[Tensor, Tensor]:
        """Return the log shares of each lab's next bin ``[vocabulary, B]``, and of the visit classes."""
        bins = np.ones((len(self.numbers.code), max(self.bins, 1)))
        visits = np.ones(sum(VISIT_CLASSES))
        starts = np.cumsum([0, *VISIT_CLASSES[:-1]])
        window = WindowOptions(self.window_tokens)
        for windows in drawn_windows(store, window):
            coming = coming_events(store, windows)
            found, _ = self._next_bins(coming)
            np.add.at(bins, (found["bin_code"], found["next_bin"]), 1)
            classes = visit_classes(coming)
            for start, column in zip(starts, classes.T, strict=True):
                np.add.at(visits, start + column[column != UNKNOWN], 1)
        bins /= bins.sum(axis=1, keepdims=True)
        return torch.from_numpy(np.log(bins)).float(), torch.from_numpy(np.log(visits)).float()

    def summary(self, sums: Tensor) -> dict[str, Any]:
        """Return the mean losses, ``loss`` as it is trained for, and how often a next bin is right."""
        kinds, rest = len(KINDS), sums[2 * len(KINDS) :].tolist()
        nats, events = sums[:kinds].tolist(), sums[kinds : 2 * kinds].tolist()
        event_loss = _ratio(sum(nats), sum(events))
        bin_nats, right, results, *visits = rest
        losses = visits[: len(VISIT_CLASSES)]
        asked = visits[len(VISIT_CLASSES) :]
        visit_loss = _ratio(sum(losses), sum(asked))
        bin_loss = _ratio(bin_nats, results)
        options = self.options
        return {
            "loss": event_loss
            + options.next_bin_weight * bin_loss
            + options.visit_weight * visit_loss,
            "events": int(sum(events)),
            "event_loss": event_loss,
            "event_loss_by_kind": {
                kind: _ratio(n, e) for kind, n, e in zip(KINDS, nats, events, strict=True) if e
            },
            "next_bins": int(results),
            "next_bin_loss": bin_loss,
            "next_bin_accuracy": _ratio(right, results),
            "visit_loss": visit_loss,
        }

    @staticmethod
    def scalars(summary: Mapping[str, Any]) -> dict[str, float]:
        """Return the losses and the accuracy of the next bin."""
        return {name: summary[name] for name in Tte.charts}

    @staticmethod
    def describe(summary: Mapping[str, Any]) -> str:
        """Return a table of the model and its baselines."""
        lines = [
            "What comes after a random day of a record:\n",
            "| | nats per coming event | next bin right | nats per visit question |",
            "|---|---|---|---|",
        ]
        for name, row in {"model": summary, **summary["baselines"]}.items():
            lines.append(
                f"| {name} | {row['event_loss']:.3f} | {row['next_bin_accuracy']:.1%} | "
                f"{row['visit_loss']:.3f} |"
            )
        return "\n".join(lines)

    def head_flops(self, config: PreTrainedConfig) -> float:
        """Return 6 per weight of the head, one query in a window of full length."""
        pieces = len(self.options.event_edges)
        weights = pieces * config.event_rank * (config.hidden_size + config.event_targets)
        return 6 * weights / self.window_tokens


def _ratio(total: float, count: float) -> float:
    return total / count if count else 0.0


def next_bin_logits(model: Any, queries: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Return the logits of each lab's next bin, fp32 ``[F, B]``, given which lab."""
    if model.event_head.next_bin is None:  # labs are tokens of their own
        return queries.new_zeros(0, 1).float()
    labs = model.get_input_embeddings()(targets["bin_code"])
    logits: Tensor = model.event_head.next_bin(queries[targets["bin_query"]] + labs)
    return logits.float()


def bin_sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Return nats, right ones and number, fp64 ``[3]``."""
    loss = F.cross_entropy(logits.double(), labels, reduction="sum")
    right = (logits.argmax(dim=-1) == labels).sum().double()
    return torch.stack([loss, right, loss.new_tensor(float(len(labels)))])


def visit_losses(head: EventHead, queries: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross entropy of each visit question, ``[questions]``."""
    return _class_losses(head.visits(queries).float(), labels)


def _class_losses(logits: Tensor, labels: Tensor) -> Tensor:
    parts = zip(logits.split(VISIT_CLASSES, dim=-1), labels.unbind(dim=1), strict=True)
    losses = [F.cross_entropy(part, wanted, reduction="sum") for part, wanted in parts]
    return torch.stack(losses)


def visit_sums(losses: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Return nats and number of each visit question, fp64 ``[2 * questions]``."""
    asked = (targets["visit_labels"] != UNKNOWN).sum(dim=0)
    return torch.cat([losses.double(), asked.double()])


def visit_classes(coming: Coming) -> Integers:
    """Return the class of each visit question, int64 ``[windows, questions]``.

    Days until the next event day, and event days within each horizon. ``UNKNOWN`` where the record
    ends before that is decided.
    """
    size = len(coming.followed)
    new_day = np.flatnonzero(np.diff(coming.window, prepend=-1) | np.diff(coming.days, prepend=-1))
    window, days = coming.window[new_day], coming.days[new_day]
    classes = np.full((size, len(VISIT_CLASSES)), UNKNOWN, np.int64)
    first = np.flatnonzero(np.diff(window, prepend=-1))
    classes[window[first], 0] = np.searchsorted(NEXT_VISIT, days[first])
    for column, horizon in enumerate(VISIT_HORIZONS, start=1):
        counts = np.bincount(window[days <= horizon], minlength=size)
        known = coming.followed >= horizon
        classes[known, column] = np.searchsorted(VISIT_COUNTS, counts[known])
    return classes


def choose_targets(options: TteOptions, store: TokenStore, vocabulary: Vocabulary) -> pa.Table:
    """Return ``target, token_id, kind, persons``: what occurs in enough persons, the most frequent first."""
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
    kinds, ids = np.nonzero(counts >= options.event_min_persons)
    persons = counts[kinds, ids]
    order = np.lexsort([ids, kinds, -persons])[: options.event_max_targets]
    return pa.table(
        {
            "token_id": pa.array(ids[order], pa.int32()),
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
        place, target = numbers.of_events(coming, vocabulary.bins)
        first = first_of(coming.window[place], target)
        place, target = place[first], target[first]
        days = torch.from_numpy(coming.days[place].astype(np.float32))
        risk = time_at_risk(torch.from_numpy(coming.followed.astype(np.float32)), edges).numpy()
        exposure += risk.sum(axis=0)
        np.add.at(events, (target, piece_of(days, edges).numpy()), 1)
        np.add.at(spared, target, risk[coming.window[place]] - time_at_risk(days, edges).numpy())
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
    size = min(len(store), FITTED_PERSONS)
    rows = np.unique(np.linspace(0, len(store) - 1, size).astype(np.int64))
    for first in range(0, len(rows), _BLOCK):
        yield rows[first : first + _BLOCK]
