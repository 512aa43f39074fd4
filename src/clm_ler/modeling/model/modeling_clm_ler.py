"""The model: a pre-norm encoder over coded events, with time in days.

A batch comes in one of two forms, and both give the same numbers:

* **padded**: ``[batch, length]`` tensors with an ``attention_mask``, sequences starting at the left;
* **packed**: all sequences behind one another as ``[1, tokens]``, with their borders in
  ``cu_seq_lens``. Nothing is spent on padding; this is the form for GPUs.

In training, logits are computed at the masked positions only (see :class:`ReadOut`): with a vocabulary
of 160,000 the head would otherwise take more than half of all the work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from clm_ler.modeling.model.attention import (
    attend,
    attention_name,
    key_mask,
    rotary_angles,
    rotate,
)
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig, pooled_size
from clm_ler.modeling.model.embeddings import ClmLerEmbeddings
from clm_ler.modeling.model.event_head import EventHead
from clm_ler.modeling.model.heads import ClmLerHead
from clm_ler.modeling.model.lab_forecasts import LabForecasts, expected_places
from clm_ler.modeling.model.pooling import (
    days_before_query,
    pool,
    rank_in_sequence,
    sequence_of_token,
    sequences_of,
)
from clm_ler.modeling.model.read_out import MaskedCodesOutput, ReadOut, read_states


@dataclass
class EncoderOutput(BaseModelOutputWithPooling):
    """What the encoder makes of sequences; ``lab_logits`` are ``[sequences, labs, bins]``."""

    lab_logits: Tensor | None = None


class ClmLerAttention(nn.Module):
    """Self-attention through Transformers' attention interface."""

    is_causal = False

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__()
        self.config = config
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        hidden: Tensor,
        angles: tuple[Tensor, Tensor] | None,
        attention_mask: Tensor | None,
        cu_seq_lens: Tensor | None,
        max_seq_len: int | None,
    ) -> Tensor:
        """Return ``[batch, length, hidden_size]``."""
        batch, length, _ = hidden.shape
        qkv = self.qkv(hidden).view(batch, length, 3, -1, self.head_dim)
        query_and_key, value = qkv[:, :, :2], qkv[:, :, 2]
        if angles is not None:
            query_and_key = rotate(query_and_key, angles)  # at once: each has few dimensions
        query, key = query_and_key.unbind(dim=2)
        # The borders are always explicit: days are no index, and must not be taken for one.
        attention = ALL_ATTENTION_FUNCTIONS.get_interface(
            attention_name(self.config, cu_seq_lens), sdpa_attention_forward
        )
        attended = attend(
            attention,
            self,
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attention_mask,
            dropout=self.config.attention_probs_dropout_prob if self.training else 0.0,
            scaling=self.head_dim**-0.5,
            is_causal=False,
            cu_seq_lens_q=cu_seq_lens,
            cu_seq_lens_k=cu_seq_lens,
            max_length_q=max_seq_len,
            max_length_k=max_seq_len,
        )
        return self.output(attended.reshape(batch, length, -1))


class ClmLerLayer(GradientCheckpointingLayer):
    """A pre-norm transformer layer."""

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = ClmLerAttention(config)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = nn.Sequential(
            nn.Linear(config.hidden_size, config.intermediate_size),
            ACT2FN[config.hidden_act],
            nn.Linear(config.intermediate_size, config.hidden_size),
        )
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        hidden: Tensor,
        angles: tuple[Tensor, Tensor] | None,
        attention_mask: Tensor | None,
        cu_seq_lens: Tensor | None,
        max_seq_len: int | None,
    ) -> Tensor:
        """Return ``[batch, length, hidden_size]``."""
        attended = self.attention(
            self.attention_norm(hidden), angles, attention_mask, cu_seq_lens, max_seq_len
        )
        hidden = hidden + self.dropout(attended)
        return hidden + self.dropout(self.mlp(self.mlp_norm(hidden)))


class ClmLerPreTrainedModel(PreTrainedModel):
    """What the models below share."""

    config_class = ClmLerConfig
    config: ClmLerConfig
    base_model_prefix = "clm_ler"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _no_split_modules = ["ClmLerLayer"]
    _supports_sdpa = True
    _supports_flash_attn = False  # "varlen" is ours
    _supports_attention_backend = True


class ClmLerModel(ClmLerPreTrainedModel):
    """The encoder, with one embedding per sequence."""

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__(config)
        self.embeddings = ClmLerEmbeddings(config)
        self.layers = nn.ModuleList(ClmLerLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.lab_forecasts = LabForecasts(config) if config.forecasts_labs else None
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the code embeddings."""
        return self.embeddings.codes

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the code embeddings."""
        self.embeddings.codes = value

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cu_seq_lens: Tensor | None = None,
        max_seq_len: int | None = None,
    ) -> EncoderOutput:
        """Encode a padded or packed batch.

        Args:
            input_ids: Codes ``[batch, length]``, or ``[1, tokens]`` when packed.
            token_type_ids: Token types (lab bins, 0 = none); same shape. Left out: none anywhere.
            position_ids: Days, 0 = baseline; same shape. Left out: the order of the tokens.
            attention_mask: 1 for tokens, 0 for padding, same shape. Left out: no padding.
            cu_seq_lens: Borders of packed sequences ``[sequences + 1]``, int32.
            max_seq_len: The longest packed sequence.

        Returns:
            ``last_hidden_state`` shaped as the input plus ``hidden_size``, ``pooler_output``
            ``[sequences, pooled_size]`` by ``config.pooling``, and ``lab_logits`` of the forecasts.
        """
        order = rank_in_sequence(input_ids, cu_seq_lens)
        days = order if position_ids is None else position_ids
        bins = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        return self.encode(
            self.embeddings(input_ids, bins, days, attention_mask, cu_seq_lens),
            self.angles_of(days, order),
            self.embeddings.lab_of(input_ids, bins),
            days_before_query(days, attention_mask, cu_seq_lens),
            attention_mask,
            cu_seq_lens,
            max_seq_len,
        )

    def encode(
        self,
        hidden: Tensor,
        angles: tuple[Tensor, Tensor] | None,
        labs: Tensor,
        before: Tensor,
        attention_mask: Tensor | None = None,
        cu_seq_lens: Tensor | None = None,
        max_seq_len: int | None = None,
    ) -> EncoderOutput:
        """Encode tokens that are embedded already.

        Args:
            hidden: Their embeddings, shaped as the input plus ``hidden_size``.
            angles: From :meth:`angles_of`.
            labs: The lab whose result a token is, from 1; 0 for any other token.
            before: Days from the token to the query.
            attention_mask: As the next two, see :meth:`forward`.
            cu_seq_lens: Borders of packed sequences.
            max_seq_len: The longest packed sequence.
        """
        mask = self._mask(hidden, attention_mask, cu_seq_lens)
        for layer in self.layers:
            hidden = layer(hidden, angles, mask, cu_seq_lens, max_seq_len)
        hidden = self.norm(hidden)
        borders = attention_mask, cu_seq_lens
        forecasts = self._forecast(hidden, labs, before, *borders)
        pooled = pool(hidden, self.config.pooling.removesuffix("+labs"), *borders)
        if forecasts is not None and self.config.pooling.endswith("+labs"):
            pooled = torch.cat([pooled, expected_places(forecasts).to(pooled.dtype)], dim=-1)
        return EncoderOutput(last_hidden_state=hidden, pooler_output=pooled, lab_logits=forecasts)

    def _forecast(
        self,
        hidden: Tensor,
        labs: Tensor,
        before: Tensor,
        attention_mask: Tensor | None,
        cu_seq_lens: Tensor | None,
    ) -> Tensor | None:
        if self.lab_forecasts is None:
            return None
        queries = pool(hidden, "query", attention_mask, cu_seq_lens)
        sequences = sequences_of(labs, cu_seq_lens).flatten()
        states, read, ago = hidden.flatten(0, 1), labs.flatten(), before.flatten()
        return self.lab_forecasts(states, read, ago, sequences, queries)

    def angles_of(self, days: Tensor, order: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return how far attention turns each token, by its day or its rank; see ``time_encoding``."""
        if self.config.time_encoding == "day_embedding":
            return None
        positions = days if self.config.time_encoding == "rope_days" else order
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        return rotary_angles(positions, head_dim, self.config.rope_theta)

    def _mask(
        self, hidden: Tensor, attention_mask: Tensor | None, cu_seq_lens: Tensor | None
    ) -> Tensor | None:
        if cu_seq_lens is None:
            return None if attention_mask is None else key_mask(attention_mask, hidden.dtype)
        if attention_name(self.config, cu_seq_lens) == "varlen":
            return None
        row = sequence_of_token(cu_seq_lens, hidden.shape[1])
        return (row[:, None] == row[None, :])[None, None]


class ClmLerForMaskedLM(ClmLerPreTrainedModel):
    """Predicts masked codes, the lab bins of masked lab codes and (by choice) what comes next.

    A masked lab result is a pair (code, bin). Its probability is modelled as p(code) p(bin | code):
    the bin head reads the hidden state *and* the embedding of the code, so the two losses add up to
    the loss of the pair, comparable to that of a vocabulary with one token per code and bin.
    """

    _tied_weights_keys = {"code_head.decoder.weight": "clm_ler.embeddings.codes.weight"}
    _keys_to_ignore_on_save = ["code_head.decoder.weight"]

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__(config)
        self.clm_ler = ClmLerModel(config)
        self.code_head = ClmLerHead(config, config.vocab_size)
        self.bin_head = ClmLerHead(config, config.num_lab_bins) if config.predicts_bins else None
        self.event_head = EventHead(config) if config.event_targets else None
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """Return the decoder that is tied to the code embeddings."""
        return self.code_head.decoder

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the decoder."""
        self.code_head.decoder = value

    def code_logits(self, states: Tensor) -> Tensor:
        """Return the logits of the codes at states ``[..., hidden_size]``."""
        logits: Tensor = self.code_head(states)
        return logits

    def bin_logits(self, states: Tensor, codes: Tensor) -> Tensor | None:
        """Return the logits of the lab bins at states ``[..., hidden_size]``, given the codes ``[...]``.

        Column 0 is bin 1. ``None`` where the model does not predict bins.
        """
        if self.bin_head is None:
            return None
        logits: Tensor = self.bin_head(states + self.get_input_embeddings()(codes))
        return logits

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cu_seq_lens: Tensor | None = None,
        max_seq_len: int | None = None,
        read_out: ReadOut | None = None,
        targets: Mapping[str, Tensor] | None = None,
    ) -> MaskedCodesOutput | Tensor:
        """Predict the code at every position, and its lab bin; or read something else off the states.

        Args:
            input_ids: As the next five, see :meth:`ClmLerModel.forward`.
            token_type_ids: Lab bins.
            position_ids: Days.
            attention_mask: 1 for tokens.
            cu_seq_lens: Borders of packed sequences.
            max_seq_len: The longest packed sequence.
            read_out: What is returned in the place of logits, such as the loss of an objective.
            targets: Passed on to ``read_out``.
        """
        outputs = self.clm_ler(
            input_ids, token_type_ids, position_ids, attention_mask, cu_seq_lens, max_seq_len
        )
        if targets is not None and outputs.lab_logits is not None:
            targets = {**targets, "lab_logits": outputs.lab_logits}
        return read_states(self, outputs.last_hidden_state, input_ids, read_out, targets)


class ClmLerForSequenceClassification(ClmLerPreTrainedModel):
    """Classifies sequences from their pooled embedding."""

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__(config)
        self.clm_ler = ClmLerModel(config)
        dropout = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if dropout is None else dropout)
        self.classifier = nn.Linear(pooled_size(config), cast(int, config.num_labels))
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cu_seq_lens: Tensor | None = None,
        max_seq_len: int | None = None,
        labels: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Return logits ``[sequences, num_labels]``, and the mean loss where labels are given.

        ``labels`` are classes ``[sequences]``, or 0/1 floats ``[sequences, num_labels]`` with
        ``config.problem_type = "multi_label_classification"``. The other arguments are those of
        :meth:`ClmLerModel.forward`.
        """
        outputs = self.clm_ler(
            input_ids, token_type_ids, position_ids, attention_mask, cu_seq_lens, max_seq_len
        )
        logits = self.classifier(self.dropout(outputs.pooler_output))
        loss = None
        if labels is not None and self.config.problem_type == "multi_label_classification":
            loss = F.binary_cross_entropy_with_logits(logits.float(), labels.float())
        elif labels is not None:
            loss = F.cross_entropy(logits.float(), labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
