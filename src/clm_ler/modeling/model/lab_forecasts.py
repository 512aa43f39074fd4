"""What comes next of each lab, told from its earlier results.

The state of one query token cannot hold the level of every lab. So each lab reads its own results: their
states are averaged with weights that are learned, and that fall with the days between a result and the
query as a power whose exponent is the lab's own. Together with the state of the query that gives the
logits of the next bin, and so a forecast for each lab, whether it was ever measured or not.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig


class LabForecasts(nn.Module):
    """The next bin of each lab. Shapes: N tokens, S sequences, L labs, H hidden size, B lab bins."""

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.query = nn.Linear(size, size)
        self.labs = nn.Embedding(config.lab_rows, size)
        self.result = nn.Linear(size, size, bias=False)
        self.weight = nn.Linear(size, 1, bias=False)
        self.decay = nn.Embedding(config.lab_rows, 1)
        self.activation = ACT2FN[config.hidden_act]
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(size, config.num_lab_bins)

    def forward(
        self, states: Tensor, labs: Tensor, days: Tensor, sequences: Tensor, queries: Tensor
    ) -> Tensor:
        """Return the logits of the next bin, ``[S, L, B]``.

        Args:
            states: Of all tokens, ``[N, H]``.
            labs: The lab whose result a token is, from 1; 0 for any other token, ``[N]``.
            days: From the token to the query, ``[N]``.
            sequences: The sequence that it belongs to, ``[N]``.
            queries: States of the query tokens, ``[S, H]``.
        """
        size = len(self.labs.weight)
        lab, is_result = (labs - 1).clamp(min=0), labs > 0
        group = sequences * size + lab
        decay = F.softplus(self.decay(lab)).squeeze(-1)
        scores = self.weight(states).squeeze(-1).float() - decay.float() * torch.log1p(days.float())
        weights = softmax_by_group(scores, is_result, group, len(queries) * size)
        results = weights[:, None] * self.result(states).float()
        told = results.new_zeros(len(queries) * size, results.shape[-1])
        told = told.index_add(0, group, results).view(len(queries), size, -1)
        mixed = self.query(queries)[:, None] + self.labs.weight + told
        logits: Tensor = self.decoder(self.norm(self.activation(mixed)))
        return logits


def softmax_by_group(scores: Tensor, counted: Tensor, group: Tensor, groups: int) -> Tensor:
    """Return weights that sum to 1 over what is counted of each group, 0 for the rest, ``[N]``."""
    masked = scores.detach().masked_fill(~counted, -torch.inf)
    top = scores.new_full((groups,), -torch.inf).scatter_reduce(0, group, masked, "amax")
    top = top.masked_fill(top == -torch.inf, 0.0)
    raised = (scores - top.index_select(0, group)).masked_fill(~counted, -torch.inf).exp()
    total = raised.new_zeros(groups).index_add(0, group, raised)
    return raised / total.index_select(0, group).clamp(min=torch.finfo(raised.dtype).tiny)


def forecasts_of(logits: Tensor, sequences: Tensor, labs: Tensor) -> Tensor:
    """Return the logits of some pairs of a sequence and a lab, fp32 ``[pairs, B]``.

    Labs are counted from 1; of lab 0, which training has not seen, nothing is said.
    """
    places = sequences * logits.shape[1] + (labs - 1).clamp(min=0)
    told = logits.flatten(0, 1).index_select(0, places).float()
    return told * (labs > 0)[:, None]


def expected_places(logits: Tensor) -> Tensor:
    """Return the expected bin of each lab, ``[S, L]``: mean 0 and variance 1 over equal bins."""
    bins = logits.shape[-1]
    places = math.sqrt(12) * ((torch.arange(bins, device=logits.device) + 0.5) / bins - 0.5)
    return logits.float().softmax(dim=-1) @ places
