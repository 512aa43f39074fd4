import numpy as np
import pytest

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.training.flops import encoder_flops_per_token


def test_flops_of_bert_base_by_hand() -> None:
    """85 million weights in the layers, 12 x 12 x 768 x 512 for attention."""
    flops = encoder_flops_per_token(ClmLerConfig(), np.full(10, 512))
    assert flops == pytest.approx(6 * 12 * 12 * 768**2 + 12 * 12 * 768 * 512)
    assert flops == pytest.approx(566e6, rel=0.01)


def test_a_token_of_a_long_window_costs_more() -> None:
    config = ClmLerConfig(vocab_size=100)
    mixed = encoder_flops_per_token(config, np.array([100, 300]))
    even = encoder_flops_per_token(config, np.array([250, 250, 250]))
    assert mixed == pytest.approx(even)
