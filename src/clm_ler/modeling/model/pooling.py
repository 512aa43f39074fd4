"""From the states of tokens to one vector for each sequence, padded or packed."""

import torch
from torch import Tensor


def sequence_of_token(cu_seq_lens: Tensor, tokens: int) -> Tensor:
    """Return the number of the sequence that each packed token belongs to, ``[tokens]``."""
    positions = torch.arange(tokens, device=cu_seq_lens.device, dtype=cu_seq_lens.dtype)
    return torch.searchsorted(cu_seq_lens, positions, right=True) - 1


def rank_in_sequence(input_ids: Tensor, cu_seq_lens: Tensor | None) -> Tensor:
    """Return the rank of each token in its sequence, counted from 0; the shape of the input."""
    ranks = torch.arange(input_ids.shape[1], device=input_ids.device)
    if cu_seq_lens is not None:
        ranks = ranks - cu_seq_lens[sequence_of_token(cu_seq_lens, len(ranks))]
    return ranks.expand_as(input_ids)


def sequences_of(tokens: Tensor, cu_seq_lens: Tensor | None) -> Tensor:
    """Return the number of the sequence of each token, padded or packed; the shape of the input."""
    if cu_seq_lens is None:
        return torch.arange(len(tokens), device=tokens.device)[:, None].expand_as(tokens)
    return sequence_of_token(cu_seq_lens, tokens.shape[1])[None]


def query_places(
    tokens: Tensor, attention_mask: Tensor | None, cu_seq_lens: Tensor | None
) -> Tensor:
    """Return where the last token of each sequence stands among all positions, ``[sequences]``."""
    if cu_seq_lens is not None:
        return cu_seq_lens[1:].long() - 1
    batch, length = tokens.shape
    starts = torch.arange(batch, device=tokens.device) * length
    lengths = length if attention_mask is None else attention_mask.sum(dim=1).long()
    return starts + lengths - 1


def tells_query(
    input_ids: Tensor,
    days: Tensor,
    attention_mask: Tensor | None,
    cu_seq_lens: Tensor | None,
) -> Tensor:
    """Return True at the tokens whose rows are added to the query: those of day 0, bool as the input.

    A sequence that does not end as it begins, with ``[CLS]``, has no query.
    """
    last = query_places(input_ids, attention_mask, cu_seq_lens)
    if cu_seq_lens is not None:
        first = cu_seq_lens[:-1].long()
    else:
        first = torch.arange(len(input_ids), device=last.device) * input_ids.shape[1]
    codes = input_ids.flatten()
    asks = (codes[first] == codes[last]) & (first < last)
    told = (days == 0) & asks[sequences_of(input_ids, cu_seq_lens)]
    return told if attention_mask is None else told & (attention_mask > 0)


def days_before_query(
    days: Tensor, attention_mask: Tensor | None, cu_seq_lens: Tensor | None
) -> Tensor:
    """Return the days from each token to the query of its sequence, 0 at least; the shape of the input."""
    asked = pool(days.unsqueeze(-1), "query", attention_mask, cu_seq_lens).squeeze(-1)
    sequences = sequences_of(days, cu_seq_lens)
    return (asked.index_select(0, sequences.flatten()).view_as(days) - days).clamp(min=0)


def pool(
    hidden: Tensor, pooling: str, attention_mask: Tensor | None, cu_seq_lens: Tensor | None
) -> Tensor:
    """Return one vector per sequence, ``[sequences, pooled_size]``; see :class:`ClmLerConfig`.

    The query token is the last of a sequence.
    """
    if pooling == "query+mean":
        parts = (pool(hidden, name, attention_mask, cu_seq_lens) for name in ("query", "mean"))
        return torch.cat(list(parts), dim=-1)
    if pooling in ("query", "last"):
        places = query_places(hidden[..., 0], attention_mask, cu_seq_lens)
        return hidden.flatten(0, 1).index_select(0, places)
    if cu_seq_lens is not None:
        tokens = hidden.squeeze(0)
        if pooling == "mean":
            return torch.segment_reduce(tokens, "mean", lengths=cu_seq_lens.diff().long())
        return tokens[cu_seq_lens[:-1]]
    if pooling == "cls":
        return hidden[:, 0]
    real = hidden.new_ones(hidden.shape[:2]) if attention_mask is None else attention_mask
    return (hidden * real.unsqueeze(-1)).sum(dim=1) / real.sum(dim=1, keepdim=True)
