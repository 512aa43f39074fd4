import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from clm_ler.modeling.model.attention import attend, key_mask

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def states(dtype: torch.dtype) -> list[Tensor]:
    made = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, 5, 8, generator=made).to(dtype) for _ in range(3)]


def attended(*given: Tensor) -> Tensor:
    module = nn.Module()
    module.is_causal = False  # type: ignore[assignment]
    return attend(sdpa_attention_forward, module, *given, key_mask(MASK, torch.float32))


def test_no_token_attends_to_padding() -> None:
    query, key, value = states(torch.float32)
    before = attended(query, key, value)
    key[1, :, 3:], value[1, :, 3:] = 100.0, 100.0
    assert torch.equal(attended(query, key, value), before)
    value[1, :, 2] = 100.0
    assert not torch.equal(attended(query, key, value), before)


def test_half_precision_on_a_cpu_is_full_precision_within_attention() -> None:
    given = states(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        halves = attended(*given)
    assert halves.dtype == torch.bfloat16
    assert torch.equal(halves, attended(*(part.float() for part in given)).bfloat16())
