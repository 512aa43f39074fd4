"""How much of a device's arithmetic a training uses."""

import numpy as np
import torch
from transformers import PreTrainedConfig

# Dense bf16 tensor-core peaks of NVIDIA's data sheets, FLOP/s, SXM where there are several.
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}


def encoder_flops_per_token(config: PreTrainedConfig, lengths: np.ndarray) -> float:
    """Return the FLOPs of the encoder, forward and backward, per token that is not padding.

    6 per weight of the layers; 12 x layers x hidden x length for the two products of attention
    (Chowdhery et al. 2022, arXiv:2204.02311, appendix B), the length being the mean that a token
    sees. Embeddings are left out.

    Args:
        config: Of any flavour.
        lengths: Tokens of each window, ``[persons]``.
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    layer_weights = 4 * hidden**2 + 2 * hidden * config.intermediate_size
    length = float(np.square(lengths, dtype=np.float64).sum() / lengths.sum())
    return layers * (6 * layer_weights + 12 * hidden * length)


def model_flops_utilisation(tokens_per_second: float, flops_per_token: float) -> float | None:
    """Return the share of the peak of this machine's GPU, ``None`` where there is none we know."""
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    peak = next((peak for device, peak in PEAK_FLOPS.items() if device in name), None)
    return None if peak is None else tokens_per_second * flops_per_token / peak
