"""When each code comes next, and what the next visits and lab results are like.

The hazard of a target is constant within each piece of time after the query day (a piecewise
exponential model: Friedman 1982, doi:10.1214/aos/1176345693; for health records Steinberg et al. 2023,
MOTOR, arXiv:2301.03150). Its logarithm is a product of two short vectors: one of the query and the piece,
one of the target. The hazards are cause-specific (Prentice et al. 1978): whatever ends a record, death or
a move, ends the time at risk of every target alike.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.heads import ClmLerHead

# Classes of the visits that follow: days until the next event day up to these, then more; and, within
# so many days, the number of event days up to these, then more.
NEXT_VISIT = (1, 3, 7, 14, 30, 60, 90, 180)
VISIT_HORIZONS = (30, 90, 365)
VISIT_COUNTS = (0, 1, 2, 3, 5, 9, 19)
VISIT_CLASSES = [len(NEXT_VISIT) + 1] + [len(VISIT_COUNTS) + 1] * len(VISIT_HORIZONS)


class EventHead(nn.Module):
    """Reads what comes next off the states of query tokens.

    Shapes: S queries, K targets, P pieces, D the rank, B lab bins.
    """

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__()
        self.edges, self.rank = tuple(config.event_edges), config.event_rank
        self.pieces = nn.Linear(config.hidden_size, len(self.edges) * self.rank)
        self.targets = nn.Embedding(config.event_targets, self.rank)
        self.bias = nn.Parameter(torch.zeros(config.event_targets, len(self.edges)))
        asks_bins = config.num_lab_bins > 0 and not config.forecasts_labs
        self.next_bin = ClmLerHead(config, config.num_lab_bins) if asks_bins else None
        self.visits = nn.Linear(config.hidden_size, sum(VISIT_CLASSES))

    def log_likelihood(
        self, states: Tensor, followed: Tensor, query: Tensor, target: Tensor, days: Tensor
    ) -> Tensor:
        """Return the summed log likelihood of the coming events, fp32 ``[]``.

        That of a target with hazard h(t) is log h at its first event, if there is one, minus the
        integral of h over the time at risk: until the event, or until the record ends.

        Args:
            states: Of the query tokens, ``[S, hidden]``.
            followed: Days from the query until the record ends, ``[S]``.
            query: The query of each coming event, ``[E]``.
            target: Its target, ``[E]``; a pair of query and target occurs once.
            days: Days from the query to it, ``[E]``.
        """
        vectors, exposure = self.vectors_of(states), time_at_risk(followed, self.edges)
        weights = (self.targets.weight.float(), self.bias.float())
        told = event_terms(vectors, *weights, exposure, query, target, days, self.edges)
        return told.sum() - expected_events(vectors, *weights, exposure)

    def vectors_of(self, states: Tensor) -> Tensor:
        """Return the vector of each query and piece, fp32 ``[S, P, D]``."""
        return self.pieces(states).float().view(len(states), len(self.edges), self.rank)

    def visit_losses(self, states: Tensor, labels: Tensor) -> Tensor:
        """Return the summed cross entropy of each visit question, fp32 ``[questions]``.

        Args:
            states: Of the query tokens, ``[S, hidden]``.
            labels: Classes, ``NO_LABEL`` = not known, ``[S, questions]``.
        """
        return class_losses(self.visits(states).float(), labels)


def class_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross entropy of each visit question, from the logits of all classes."""
    parts = zip(logits.split(VISIT_CLASSES, dim=-1), labels.unbind(dim=1), strict=True)
    return torch.stack([F.cross_entropy(part, wanted, reduction="sum") for part, wanted in parts])


def time_at_risk(days: Tensor, edges: Sequence[int]) -> Tensor:
    """Return how many of the first ``days`` lie in each piece, ``[n, P]``."""
    firsts = days.new_tensor(edges)
    widths = torch.cat([firsts.diff(), firsts.new_tensor([torch.inf])])
    return torch.minimum((days[:, None] - firsts).clamp(min=0), widths)


def piece_of(days: Tensor, edges: Sequence[int]) -> Tensor:
    """Return the piece that a day, from 1, lies in, ``[n]``: piece p is ``edges[p] < day <= edges[p + 1]``."""
    return torch.searchsorted(days.new_tensor(edges[1:]), days)


def event_terms(
    vectors: Tensor,
    targets: Tensor,
    bias: Tensor,
    exposure: Tensor,
    query: Tensor,
    target: Tensor,
    days: Tensor,
    edges: Sequence[int],
) -> Tensor:
    """Return what each event adds to the log likelihood, ``[E]``: its log hazard, and the risk after it.

    :func:`expected_events` counts every target as at risk until the record ends.
    """
    # Not by brackets: their gradients add up in an order that differs from run to run.
    of_target = targets.index_select(0, target), bias.index_select(0, target)
    log_rates = (vectors.index_select(0, query) * of_target[0][:, None]).sum(-1) + of_target[1]
    spared = exposure[query] - time_at_risk(days, edges)
    piece = piece_of(days, edges)
    return log_rates.gather(1, piece[:, None]).squeeze(1) + (log_rates.exp() * spared).sum(-1)


def expected_events(vectors: Tensor, targets: Tensor, bias: Tensor, exposure: Tensor) -> Tensor:
    """Return the sum of hazard times exposure over all queries, targets and pieces, ``[]``.

    Args:
        vectors: ``[S, P, D]``, fp32.
        targets: ``[K, D]``.
        bias: ``[K, P]``.
        exposure: Days at risk, the same for all targets of a query, ``[S, P]``.
    """
    total: Tensor = _ExpectedEvents.apply(vectors, targets, bias, exposure)
    return total


def expected_by_target(vectors: Tensor, targets: Tensor, bias: Tensor, exposure: Tensor) -> Tensor:
    """Return :func:`expected_events` of each target, ``[K]``."""
    pieces = range(vectors.shape[1])
    return sum(
        (exposure[:, p, None] * (vectors[:, p] @ targets.T + bias[:, p]).exp()).sum(0)
        for p in pieces
    )  # type: ignore[return-value]


class _ExpectedEvents(torch.autograd.Function):
    """The gradients are made on the way, piece by piece: no [query, target, piece] array is kept."""

    @staticmethod
    def forward(
        ctx: Any, vectors: Tensor, targets: Tensor, bias: Tensor, exposure: Tensor
    ) -> Tensor:
        total = vectors.new_zeros(())
        gradients = [torch.zeros_like(part) for part in (vectors, targets, bias)]
        with torch.autocast(vectors.device.type, enabled=False):
            for p in range(vectors.shape[1]):
                query = vectors[:, p]
                expected = torch.addmm(bias[:, p], query, targets.T).exp_()
                expected *= exposure[:, p, None]
                by_target = expected.sum(0)
                total += by_target.sum()
                gradients[0][:, p] = expected @ targets
                gradients[1] += expected.T @ query
                gradients[2][:, p] = by_target
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: Any) -> tuple[Tensor | None, ...]:
        return (*(outputs[0] * gradient for gradient in ctx.saved_tensors), None)
