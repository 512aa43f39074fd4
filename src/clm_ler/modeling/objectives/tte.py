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

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from annotated_types import Ge, Gt, doc
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedConfig

from clm_ler.modeling.data.samples import NO_LABEL
from clm_ler.modeling.data.store import Tokens, TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, Windows, query_windows
from clm_ler.modeling.model.configuration_clm_ler import EVENT_EDGES
from clm_ler.modeling.model.event_head import (
    VISIT_CLASSES,
    EventHead,
    class_losses,
    event_terms,
    expected_by_target,
    time_at_risk,
)
from clm_ler.modeling.model.lab_forecasts import forecasts_of
from clm_ler.modeling.objectives.base import Sums, Targets
from clm_ler.modeling.objectives.coming import (
    KINDS,
    Arrays,
    Integers,
    TargetNumbers,
    coming_events,
    first_events,
    next_bins,
    visit_classes,
)
from clm_ler.modeling.objectives.tte_targets import choose_targets, drawn_windows, fit_rates

SUMS = 2 * len(KINDS) + 3 + 2 * len(VISIT_CLASSES)  # numbers that metrics are made of


@dataclass(frozen=True)
class TteOptions:
    """What is predicted of the time after a query."""

    event_min_persons: Annotated[
        int, Ge(1), doc("Train persons that a code or lab extreme needs to be a target")
    ] = 10
    event_max_targets: Annotated[
        int, Ge(1), doc("Largest number of targets; those with the most persons are taken")
    ] = 8192
    event_edges: Annotated[
        tuple[int, ...], doc("Days at which the pieces of constant hazard begin; the first is 0")
    ] = EVENT_EDGES
    event_rank: Annotated[int, Ge(1), doc("Size of the vectors whose products are hazards")] = 32
    mlm_weight: Annotated[float, Gt(0), doc("Weight of masked tokens in mlm+tte")] = 0.3
    next_bin_weight: Annotated[float, Ge(0), doc("Weight of the next bins of labs")] = 1.0
    visit_weight: Annotated[float, Ge(0), doc("Weight of the next visits")] = 0.2

    def check_edges(self) -> None:
        """Refuse edges that are no rising days from 0."""
        edges = self.event_edges
        if not edges or edges[0] != 0 or list(edges) != sorted(set(edges)):
            raise ValueError("event_edges must be days that rise from 0")


@dataclass(frozen=True)
class Tte:
    """What comes next, told by the query token.

    Attributes:
        options: What is predicted, with which weights.
        bins: Lab bins.
        numbers: The number of each target.
        kinds: The kind of each target, as a place in ``KINDS``, ``[K]``.
        log_rates: Log of events per person-day of each target in each piece, ``[K, P]``.
        window: How large a window may be.
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
    window: WindowOptions

    @classmethod
    def fit(cls, options: Any, store: TokenStore, vocabulary: Vocabulary) -> pa.Table:
        """Return the targets, those of the most persons first, and their rates."""
        targets = choose_targets(options, store, vocabulary)
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
            WindowOptions(options.override_maxlen, options.max_position_embeddings),
        )

    def configure(self) -> dict[str, Any]:
        """Return what the model's configuration takes from the objective."""
        return {
            "query_token": True,
            "query_person": True,
            "event_targets": len(self.kinds),
            "event_edges": list(self.options.event_edges),
            "lab_forecasts": True,
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
        events, bins = first_events(coming, self.numbers, self.bins), next_bins(coming)
        visits = visit_classes(coming)
        values: Arrays = {
            "query_index": tokens.offsets[1:] - 1,
            "followed": coming.followed.astype(np.float32),
            "visit_labels": visits,
        }
        items = [len(events["event_query"]), len(bins["bin_query"]), (visits != NO_LABEL).sum()]
        return tokens, Targets(values | events | bins, np.array(items, np.int64))

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
        visits = head.visit_losses(queries, targets["visit_labels"]).sum()
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
                visit_sums(head.visit_losses(queries, targets["visit_labels"]), targets),
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
            losses = class_losses(visit_logits.to(on).expand(size, -1), labels)
            return torch.cat(
                [events, bin_sums(bins, targets["next_bin"]), visit_sums(losses, targets)]
            ).cpu()

        return {"base rates": base_rates}

    def _base_logits(self, store: TokenStore) -> tuple[Tensor, Tensor]:
        """Return the log shares of each lab's next bin ``[vocabulary, B]``, and of the visit classes."""
        bins = np.ones((len(self.numbers.code), max(self.bins, 1)))
        visits = np.ones(sum(VISIT_CLASSES))
        starts = np.cumsum([0, *VISIT_CLASSES[:-1]])
        for windows in drawn_windows(store, self.window):
            coming = coming_events(store, windows)
            found = next_bins(coming)
            np.add.at(bins, (found["bin_code"], found["next_bin"]), 1)
            classes = visit_classes(coming)
            for start, column in zip(starts, classes.T, strict=True):
                np.add.at(visits, start + column[column != NO_LABEL], 1)
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
        return 6 * weights / self.window.override_maxlen


def _ratio(total: float, count: float) -> float:
    return total / count if count else 0.0


def next_bin_logits(model: Any, queries: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Return the logits of each lab's next bin, fp32 ``[F, B]``, given which lab."""
    if "lab_logits" in targets:
        labs = model.base_model.embeddings.lab_of_code[targets["bin_code"]]
        return forecasts_of(targets["lab_logits"], targets["bin_query"], labs)
    if model.event_head.next_bin is None:  # labs are tokens of their own
        return queries.new_zeros(0, 1).float()
    labs = model.get_input_embeddings()(targets["bin_code"])
    logits: Tensor = model.event_head.next_bin(queries.index_select(0, targets["bin_query"]) + labs)
    return logits.float()


def bin_sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Return nats, right ones and number, fp64 ``[3]``."""
    loss = F.cross_entropy(logits.double(), labels, reduction="sum")
    right = (logits.argmax(dim=-1) == labels).sum().double()
    return torch.stack([loss, right, loss.new_tensor(float(len(labels)))])


def visit_sums(losses: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Return nats and number of each visit question, fp64 ``[2 * questions]``."""
    asked = (targets["visit_labels"] != NO_LABEL).sum(dim=0)
    return torch.cat([losses.double(), asked.double()])
