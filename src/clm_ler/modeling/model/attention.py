"""Attention within each sequence, and how it sees time: rotary angles."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig


def varlen_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attend within each sequence of a packed batch, without a mask.

    On CUDA in half precision this is PyTorch's variable-length flash kernel; elsewhere each
    sequence is attended on its own, which gives the same numbers.

    Args:
        module: The calling layer (unused; part of the attention interface).
        query: ``[1, heads, tokens, head_dim]``, as are ``key`` and ``value``.
        key: See ``query``.
        value: See ``query``.
        attention_mask: Unused; part of the attention interface.
        dropout: Must be 0: the kernel has no attention dropout.
        scaling: Factor of the scores before the softmax.
        cu_seq_lens_q: Where each sequence starts, and the end, ``[sequences + 1]``, int32.
        max_length_q: The longest sequence.

    Returns:
        ``[1, tokens, heads, head_dim]`` and ``None`` in the place of the weights.
    """
    if cu_seq_lens_q is None or max_length_q is None or dropout:
        raise ValueError("varlen attention needs cu_seq_lens and attention_probs_dropout_prob=0")
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16):
        from torch.nn.attention.varlen import varlen_attn

        q, k, v = (states.squeeze(0).transpose(0, 1) for states in (query, key, value))
        borders, longest = cu_seq_lens_q, max_length_q
        out = varlen_attn(q, k, v, borders, borders, longest, longest, scale=scaling)
        return cast(Tensor, out).unsqueeze(0), None
    sizes = cu_seq_lens_q.diff().tolist()
    pieces = zip(*(states.split(sizes, dim=2) for states in (query, key, value)), strict=True)
    attended = [F.scaled_dot_product_attention(q, k, v, scale=scaling) for q, k, v in pieces]
    return torch.cat(attended, dim=2).transpose(1, 2), None


AttentionInterface.register("varlen", varlen_attention)


def attend(
    attention: Callable[..., tuple[Tensor, Any]],
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **how: Any,
) -> Tensor:
    """Return what a function of the attention interface makes of the states, in their precision.

    On a CPU half precision is for matrix products alone: gradients of attention take half as long again in it.
    """
    if query.is_cuda or query.dtype == torch.float32:
        return attention(module, query, key, value, attention_mask, **how)[0]
    states = query.float(), key.float(), value.float()
    with torch.autocast(query.device.type, enabled=False):
        return attention(module, *states, attention_mask, **how)[0].to(query.dtype)


def attention_name(config: ClmLerConfig, cu_seq_lens: Tensor | None) -> str:
    """Return the attention function for this form: ``varlen`` if chosen, and for packed batches only."""
    packed = cu_seq_lens is not None
    return "varlen" if packed and config._attn_implementation == "varlen" else "sdpa"


def key_mask(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what is added to the scores, ``[batch, 1, 1, length]``: 0 for tokens, -inf for padding.

    One row for all queries: PyTorch's kernel for CPUs spreads it; as truth values of every pair it would be
    made anew in each layer.
    """
    scores = torch.zeros(attention_mask.shape, dtype=dtype, device=attention_mask.device)
    return scores.masked_fill(attention_mask == 0, -torch.inf)[:, None, None]


def rotary_angles(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the rotary angles, ``[batch, length, 1, 1, head_dim / 2]``, in fp32.

    Pair ``i`` of a head turns by ``position / theta^(2i / head_dim)`` (arXiv:2104.09864, eq. 15).
    """
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32)
    angles = positions[:, :, None, None, None].float() * theta ** -(exponents / head_dim)
    return angles.cos(), angles.sin()


def rotate(states: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Return the states turned by the angles; dimension ``i`` pairs with ``i + head_dim / 2``."""
    cos, sin = (part.to(states.dtype) for part in angles)
    left, right = states.chunk(2, dim=-1)
    turned = (
        torch.addcmul(left * cos, right, sin, value=-1),
        torch.addcmul(right * cos, left, sin),
    )
    return torch.cat(turned, dim=-1)
