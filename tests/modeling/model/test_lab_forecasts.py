"""The forecast of each lab: from its own results and the query alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.lab_forecasts import LabForecasts, expected_places, softmax_by_group

SIZE, LABS, BINS = 8, 3, 5
# Of each token of two sequences: its sequence, lab and days before the query.
SEQUENCES = torch.tensor([0, 0, 0, 0, 1, 1])
RESULTS = torch.tensor([1, 0, 1, 2, 1, 0])
DAYS = torch.tensor([90, 60, 30, 0, 5, 0])


@pytest.fixture
def forecasts() -> LabForecasts:
    torch.manual_seed(0)
    sizes = {"hidden_size": SIZE, "num_attention_heads": 2, "num_lab_bins": BINS}
    return LabForecasts(ClmLerConfig(**sizes, lab_rows=LABS, lab_forecasts=True))


def states(seed: int = 0) -> torch.Tensor:
    return torch.randn(len(RESULTS), SIZE, generator=torch.Generator().manual_seed(seed))


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(-50, 50)), min_size=1))
def test_weights_of_a_group_are_a_softmax_over_what_counts(
    rows: list[tuple[int, bool, float]],
) -> None:
    group, counted, scores = (torch.tensor(column) for column in zip(*rows, strict=True))
    weights = softmax_by_group(scores.double(), counted, group, 4)
    for number in range(4):
        chosen = (group == number) & counted
        expected = scores[chosen].double().softmax(0)
        torch.testing.assert_close(weights[chosen], expected)
    assert (weights[~counted] == 0).all()


def test_a_forecast_sees_the_results_of_its_lab_and_the_query(forecasts: LabForecasts) -> None:
    queries = torch.randn(2, SIZE, generator=torch.Generator().manual_seed(1))
    found = forecasts(states(), RESULTS, DAYS, SEQUENCES, queries)
    assert found.shape == (2, LABS, BINS)
    other = states()
    other[RESULTS == 2] += 1  # a result of the second lab in the first sequence
    other[RESULTS == 0] += 1  # no results
    changed = (forecasts(other, RESULTS, DAYS, SEQUENCES, queries) != found).any(-1)
    assert changed.tolist() == [[False, True, False], [False, False, False]]
    asked = forecasts(states(), RESULTS, DAYS, SEQUENCES, queries + torch.tensor([[1.0], [0.0]]))
    assert (asked != found).any(-1).tolist() == [[True] * LABS, [False] * LABS]


def test_an_old_result_counts_less_the_more_a_lab_forgets(forecasts: LabForecasts) -> None:
    queries, chosen = torch.zeros(2, SIZE), states()
    with torch.no_grad():
        forecasts.weight.weight.zero_()
        forecasts.decay.weight[0] = 20.0
    found = forecasts(chosen, RESULTS, DAYS, SEQUENCES, queries)
    chosen[0] += 1  # ninety days ago, with another result since
    torch.testing.assert_close(forecasts(chosen, RESULTS, DAYS, SEQUENCES, queries), found)


def test_places_of_equal_bins_are_standardised() -> None:
    certain = torch.full((10, 10), -torch.inf).fill_diagonal_(0)
    places = expected_places(certain)
    assert places.mean().item() == pytest.approx(0, abs=1e-6)
    assert places.var(unbiased=False).item() == pytest.approx(0.99, abs=0.001)
    assert expected_places(torch.zeros(1, 10)).item() == pytest.approx(0, abs=1e-6)
