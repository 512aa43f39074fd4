"""What a token is to the model, before it sees the others."""

import torch
from torch import Tensor, nn

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig


class ClmLerEmbeddings(nn.Module):
    """Sum of the embeddings of code, lab bin, (by choice) the two together, and (by choice) day.

    A bin that is only added to its code cannot say *which* lab was low once states are pooled; a row for
    each (lab, bin) can. ``lab_of_code`` holds the number of each code among the labs, from 1; 0 for what is
    no lab.
    """

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.codes: nn.Module = nn.Embedding(
            config.vocab_size, size, padding_idx=config.pad_token_id
        )
        self.lab_bins = nn.Embedding(config.num_lab_bins + 2, size, padding_idx=0)
        self.num_lab_bins, self.has_lab_rows = config.num_lab_bins, config.lab_rows > 0
        if self.has_lab_rows:
            rows = 1 + config.lab_rows * config.num_lab_bins
            self.lab_rows = nn.Embedding(rows, size, padding_idx=0)
            self.lab_of_code: Tensor
            self.register_buffer("lab_of_code", torch.zeros(config.vocab_size, dtype=torch.long))
        if config.time_encoding == "day_embedding":
            self.days = nn.Embedding(config.max_position_embeddings, size)
        self.time_encoding = config.time_encoding
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Return ``[batch, length, hidden_size]``."""
        embedded = self.codes(input_ids) + self.lab_bins(token_type_ids)
        if self.has_lab_rows:
            embedded = embedded + self.lab_rows(self.lab_row_of(input_ids, token_type_ids))
        if self.time_encoding == "day_embedding":
            embedded = embedded + self.days(position_ids)
        return self.dropout(self.norm(embedded))

    def number_labs(self, codes: Tensor) -> None:
        """Give each lab code its rows, in the order of ``codes``, ``[lab_rows]``."""
        self.lab_of_code.zero_()
        self.lab_of_code[codes] = torch.arange(1, len(codes) + 1)

    def lab_row_of(self, codes: Tensor, bins: Tensor) -> Tensor:
        """Return the row of each (lab, bin); 0 for what is no lab, or has no bin to be seen."""
        lab = self.lab_of(codes, bins)
        return torch.where(lab > 0, (lab - 1) * self.num_lab_bins + bins, 0)

    def lab_of(self, codes: Tensor, bins: Tensor) -> Tensor:
        """Return the number of the lab whose result is seen, from 1; 0 where there is none."""
        if not self.has_lab_rows:
            return torch.zeros_like(codes)
        known = (bins > 0) & (bins <= self.num_lab_bins)
        return self.lab_of_code[codes] * known
