"""The likelihood of what comes next, against the formula written out."""

from math import exp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.event_head import (
    EventHead,
    expected_by_target,
    expected_events,
    piece_of,
    time_at_risk,
)

EDGES = (0, 7, 30)
SIZES = {"vocab_size": 20, "num_lab_bins": 4, "hidden_size": 8, "num_attention_heads": 2}


@given(st.lists(st.integers(0, 400), min_size=1, max_size=5))
def test_pieces_share_out_the_days(days: list[int]) -> None:
    risk = time_at_risk(torch.tensor(days).float(), EDGES)
    assert risk.sum(dim=1).tolist() == days
    for row, total in zip(risk.tolist(), days, strict=True):
        firsts_and_lasts = zip(EDGES, (*EDGES[1:], 10**9), strict=True)
        assert row == [max(0, min(total, last) - first) for first, last in firsts_and_lasts]


def test_a_day_is_at_risk_in_the_piece_that_it_lies_in() -> None:
    days = torch.arange(1.0, 60.0)
    before, after = time_at_risk(days - 1, EDGES), time_at_risk(days, EDGES)
    assert torch.equal((after - before).argmax(dim=1), piece_of(days, EDGES))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_expected_events_and_their_gradients_are_those_of_the_plain_sum() -> None:
    parts = [drawn(5, 3, 2), drawn(4, 2, seed=1), drawn(4, 3, seed=2)]
    exposure = drawn(5, 3, seed=3).abs()
    ours = [part.clone().requires_grad_() for part in parts]
    plain = [part.clone().requires_grad_() for part in parts]
    total = expected_events(*ours, exposure)
    by_target = expected_by_target(*plain, exposure)
    torch.testing.assert_close(total, by_target.sum())
    (3 * total).backward()
    (3 * by_target.sum()).backward()
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def head() -> EventHead:
    torch.manual_seed(0)
    config = ClmLerConfig(
        **SIZES, query_token=True, event_targets=3, event_edges=EDGES, event_rank=2
    )
    made = EventHead(config)
    torch.nn.init.normal_(made.bias)
    return made


def test_the_likelihood_is_that_of_each_target_by_itself() -> None:
    """Two queries, three targets: the log hazard at an event, less the hazard of each day at risk."""
    model, states = head(), torch.randn(2, 8)
    followed, coming = [40, 9], {(0, 1): 12, (0, 2): 40, (1, 0): 7}
    expected = 0.0
    for query in range(2):
        for target in range(3):
            rates = (
                model.vectors_of(states[[query]])[0] @ model.targets.weight[target]
            ) + model.bias[target]
            last = coming.get((query, target), followed[query])
            hazards = [
                rates[piece_of(torch.tensor([float(d)]), EDGES)].item() for d in range(1, last + 1)
            ]
            expected -= sum(exp(value) for value in hazards)
            if (query, target) in coming:
                expected += hazards[-1]
    query, target = (torch.tensor(column) for column in zip(*coming, strict=True))
    days = torch.tensor(list(coming.values())).float()
    got = model.log_likelihood(states, torch.tensor(followed).float(), query, target, days)
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_in_which_nothing_comes_has_no_loss_and_gradients_of_zero() -> None:
    model, nothing = head(), torch.zeros(0, dtype=torch.long)
    got = model.log_likelihood(torch.randn(2, 8), torch.zeros(2), nothing, nothing, torch.zeros(0))
    got.backward()
    assert got == 0
    for name in ("pieces.weight", "targets.weight", "bias"):
        assert not model.get_parameter(name).grad.any()
