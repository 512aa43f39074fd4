"""Heads that read a model's states."""

from torch import Tensor, nn
from transformers.activations import ACT2FN

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig


class ClmLerHead(nn.Module):
    """Dense, activation and norm before a decoder, as in BERT."""

    def __init__(self, config: ClmLerConfig, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return logits ``[..., outputs]``."""
        return self.decoder(self.norm(self.activation(self.dense(hidden))))
