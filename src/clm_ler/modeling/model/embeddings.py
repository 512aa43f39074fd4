"""What a token is to the model, before it sees the others."""

from math import pi

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.pooling import query_places, tells_query
from clm_ler.tokens import OLDEST_AGE


class ClmLerEmbeddings(nn.Module):
    """Sum of the embeddings of code, lab bin, (by choice) the two together, and (by choice) day.

    A bin that is only added to its code cannot say *which* lab was low once states are pooled; a row for
    each (lab, bin) can. ``lab_of_code`` holds the number of each code among the labs, from 1; 0 for what is
    no lab. By choice an age is a point on a curve, which all persons teach, and no row of its own;
    ``age_of_code`` holds the age of each code in years, plus 1; 0 for what is no age.
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
        self.tells_query = config.query_person
        self.has_age_curve = config.age_waves > 0
        if self.has_age_curve:
            self.ages = nn.Linear(config.age_waves, size, bias=False)
            self.age_of_code: Tensor
            self.register_buffer("age_of_code", torch.zeros(config.vocab_size, dtype=torch.long))
        if config.time_encoding == "day_embedding":
            self.days = nn.Embedding(config.max_position_embeddings, size)
        self.time_encoding = config.time_encoding
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor | None = None,
        cu_seq_lens: Tensor | None = None,
    ) -> Tensor:
        """Return ``[batch, length, hidden_size]``; arguments as of the model."""
        rows = self.code_rows(input_ids) + self.lab_bins(token_type_ids)
        if self.has_lab_rows:
            rows = rows + self.lab_rows(self.lab_row_of(input_ids, token_type_ids))
        if self.time_encoding == "day_embedding":
            rows = rows + self.days(position_ids)
        if self.tells_query:
            told = tells_query(input_ids, position_ids, attention_mask, cu_seq_lens)
            rows = self.tell_query(rows, told, attention_mask, cu_seq_lens)
        return self.dropout(self.norm(rows))

    def code_rows(self, codes: Tensor) -> Tensor:
        """Return what tells a code, ``[..., hidden_size]``: its row, of an age a point of the curve."""
        rows: Tensor = self.codes(codes)
        if not self.has_age_curve:
            return rows
        ages = self.age_of_code[codes]
        of_ages = F.embedding((ages - 1).clamp(min=0), self.age_rows())
        return torch.where((ages > 0).unsqueeze(-1), of_ages, rows)

    def age_rows(self) -> Tensor:
        """Return the points of the curve, ``[ages, hidden_size]``: near ages have rows that are alike."""
        on = self.ages.weight.device
        years = torch.arange(OLDEST_AGE + 1, device=on)[:, None]
        waves = torch.arange(1, self.ages.in_features + 1, device=on)
        curve = torch.cos(pi * waves * years / OLDEST_AGE)
        rows: Tensor = self.ages(curve.to(self.ages.weight.dtype))
        return rows

    def tell_query(
        self,
        rows: Tensor,
        told: Tensor,
        attention_mask: Tensor | None,
        cu_seq_lens: Tensor | None,
    ) -> Tensor:
        """Return rows where those that tell of a person are added to the query of the same sequence.

        Args:
            rows: Of the tokens, ``[batch, length, hidden_size]``.
            told: From :func:`~clm_ler.modeling.model.pooling.tells_query`.
            attention_mask: As of the model; so is the next one.
            cu_seq_lens: Borders of packed sequences.
        """
        kept = rows * told.unsqueeze(-1)
        if cu_seq_lens is None:
            sums = kept.sum(dim=1)
        else:
            sums = torch.segment_reduce(kept[0], "sum", lengths=cu_seq_lens.diff().long())
        queries = query_places(told, attention_mask, cu_seq_lens)
        return rows.flatten(0, 1).index_add(0, queries, sums).view_as(rows)

    def number_labs(self, codes: Tensor) -> None:
        """Give each lab code its rows, in the order of ``codes``, ``[lab_rows]``."""
        self.lab_of_code.zero_()
        self.lab_of_code[codes] = torch.arange(1, len(codes) + 1)

    def number_ages(self, years: Tensor) -> None:
        """Tell the age in years of each code, ``[vocab_size]``; -1 for what is no age."""
        self.age_of_code.copy_(years + 1)

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
