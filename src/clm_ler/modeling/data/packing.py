"""Batches without padding."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def pack(batch: dict[str, Any]) -> dict[str, Any]:
    """Return the packed form of a padded batch: ``[1, tokens]`` and the borders of its sequences.

    The places of the targets are renumbered; everything that has no position axis is passed on.
    """
    real = batch["attention_mask"].bool()
    lengths = real.sum(dim=1)
    packed = {
        name: values[real].unsqueeze(0) if _has_positions(values, real) else values
        for name, values in batch.items()
        if name != "attention_mask"
    }
    packed["cu_seq_lens"] = F.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    packed["max_seq_len"] = int(lengths.max())
    if "targets" in batch:
        packed["targets"] = renumber(batch["targets"], real.flatten().cumsum(0) - 1)
    return packed


def renumber(targets: dict[str, Tensor], new_places: Tensor) -> dict[str, Tensor]:
    """Return targets whose places (names ending in ``_index``) are numbered anew.

    Args:
        targets: By name.
        new_places: The new number of each old place.
    """
    return {
        name: new_places[values] if name.endswith("_index") else values
        for name, values in targets.items()
    }


def _has_positions(values: Any, real: Tensor) -> bool:
    return isinstance(values, Tensor) and values.shape == real.shape
