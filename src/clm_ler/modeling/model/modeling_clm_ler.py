"""The model: a pre-norm encoder over coded events, with time in days.

A batch comes in one of two forms, and both give the same numbers:

* **padded**: ``[batch, length]`` tensors with an ``attention_mask``, sequences starting at the left;
* **packed**: all sequences behind one another as ``[1, tokens]``, with their borders in
  ``cu_seq_lens``. Nothing is spent on padding; this is the form for GPUs.

Logits are computed at the masked positions only: with a vocabulary of 160,000 the head would
otherwise take more than half of all the work.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    ModelOutput,
    SequenceClassifierOutput,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.auto.modeling_auto import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig

IGNORED = -100  # the label of a position that has no target, as in Hugging Face


@dataclass
class MaskedCodesOutput(ModelOutput):
    """What masked language modelling returns.

    Attributes:
        loss: Cross entropy of the codes plus ``bin_loss_weight`` times that of the lab bins, those
            masked alone included, all summed and divided by the number of masked codes.
        logits: Code logits ``[masked, vocab_size]``, or ``[..., vocab_size]`` for every position
            where no ``masked_index`` is given.
        bin_logits: Lab-bin logits ``[masked, num_lab_bins]``; column 0 is bin 1.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    bin_logits: Tensor | None = None


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


def pack(batch: dict[str, Tensor]) -> dict[str, Tensor | int]:
    """Return the packed form of a padded batch: ``[1, tokens]`` and the borders of its sequences.

    The indices of targets are renumbered; everything else that has no position axis is passed on.
    """
    real = batch["attention_mask"].bool()
    lengths = real.sum(dim=1)
    packed: dict[str, Tensor | int] = {
        name: values[real].unsqueeze(0) if values.shape == real.shape else values
        for name, values in batch.items()
        if name != "attention_mask"
    }
    packed["cu_seq_lens"] = F.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    packed["max_seq_len"] = int(lengths.max())
    new_index = real.flatten().cumsum(0) - 1
    for name in {"masked_index", "bin_only_index"} & batch.keys():
        packed[name] = new_index[batch[name]]
    return packed


class ClmLerEmbeddings(nn.Module):
    """Sum of the embeddings of code, lab bin and (by choice) day."""

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.codes: nn.Module = nn.Embedding(
            config.vocab_size, size, padding_idx=config.pad_token_id
        )
        self.lab_bins = nn.Embedding(config.num_lab_bins + 2, size, padding_idx=0)
        if config.time_encoding == "day_embedding":
            self.days = nn.Embedding(config.max_position_embeddings, size)
        self.time_encoding = config.time_encoding
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Return ``[batch, length, hidden_size]``."""
        embedded = self.codes(input_ids) + self.lab_bins(token_type_ids)
        if self.time_encoding == "day_embedding":
            embedded = embedded + self.days(position_ids)
        return self.dropout(self.norm(embedded))


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
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            attention_name(self.config, cu_seq_lens), sdpa_attention_forward
        )
        attended, _ = attend(
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


def attention_name(config: ClmLerConfig, cu_seq_lens: Tensor | None) -> str:
    """Return the attention function for this form: ``varlen`` is for packed batches only."""
    name: str = config._attn_implementation
    return "sdpa" if name == "varlen" and cu_seq_lens is None else name


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
    _supports_flash_attn = True
    _supports_attention_backend = True


class ClmLerModel(ClmLerPreTrainedModel):
    """The encoder, with one embedding per sequence."""

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__(config)
        self.embeddings = ClmLerEmbeddings(config)
        self.layers = nn.ModuleList(ClmLerLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
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
    ) -> BaseModelOutputWithPooling:
        """Encode a padded or packed batch.

        Args:
            input_ids: Codes ``[batch, length]``, or ``[1, tokens]`` when packed.
            token_type_ids: Token types (lab bins, 0 = none); same shape. Left out: none anywhere.
            position_ids: Days, 0 = baseline; same shape. Left out: the order of the tokens.
            attention_mask: 1 for tokens, 0 for padding, same shape. Left out: no padding.
            cu_seq_lens: Borders of packed sequences ``[sequences + 1]``, int32.
            max_seq_len: The longest packed sequence.

        Returns:
            ``last_hidden_state`` shaped as the input plus ``hidden_size``, and ``pooler_output``
            ``[sequences, hidden_size]`` by ``config.pooling``.
        """
        order = rank_in_sequence(input_ids, cu_seq_lens)
        days = order if position_ids is None else position_ids
        bins = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        hidden = self.embeddings(input_ids, bins, days)
        mask = self._mask(hidden, attention_mask, cu_seq_lens)
        angles = self._angles(days, order)
        for layer in self.layers:
            hidden = layer(hidden, angles, mask, cu_seq_lens, max_seq_len)
        hidden = self.norm(hidden)
        pooled = pool(hidden, self.config.pooling, attention_mask, cu_seq_lens)
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)

    def _angles(self, days: Tensor, order: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.config.time_encoding == "day_embedding":
            return None
        positions = days if self.config.time_encoding == "rope_days" else order
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        return rotary_angles(positions, head_dim, self.config.rope_theta)

    def _mask(
        self, hidden: Tensor, attention_mask: Tensor | None, cu_seq_lens: Tensor | None
    ) -> Any:
        if cu_seq_lens is None:
            return create_bidirectional_mask(self.config, hidden, attention_mask)
        if attention_name(self.config, cu_seq_lens) != "sdpa":
            return None
        row = sequence_of_token(cu_seq_lens, hidden.shape[1])
        return (row[:, None] == row[None, :])[None, None]


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


def pool(
    hidden: Tensor, pooling: str, attention_mask: Tensor | None, cu_seq_lens: Tensor | None
) -> Tensor:
    """Return one vector per sequence, ``[sequences, hidden_size]``; see :class:`ClmLerConfig`."""
    if cu_seq_lens is not None:
        tokens = hidden.squeeze(0)
        if pooling == "mean":
            return torch.segment_reduce(tokens, "mean", lengths=cu_seq_lens.diff().long())
        return tokens[cu_seq_lens[:-1] if pooling == "cls" else cu_seq_lens[1:] - 1]
    if pooling == "cls":
        return hidden[:, 0]
    real = hidden.new_ones(hidden.shape[:2]) if attention_mask is None else attention_mask
    lengths = real.sum(dim=1)
    if pooling == "mean":
        return (hidden * real.unsqueeze(-1)).sum(dim=1) / lengths.unsqueeze(-1)
    return hidden[torch.arange(len(hidden), device=hidden.device), lengths.long() - 1]


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


class ClmLerForMaskedLM(ClmLerPreTrainedModel):
    """Predicts masked codes, and the lab bins of masked lab codes.

    A masked lab result is a pair (code, bin). Its probability is modelled as p(code) p(bin | code):
    the bin head reads the hidden state *and* the embedding of the code, so the two losses add up to
    the loss of the pair, comparable to that of a vocabulary with one token per code and bin. A lab
    bin that is masked alone is read by the same head, with the code that stands there.
    """

    # The loss is divided by num_items_in_batch here, so Trainer must not divide it again.
    accepts_loss_kwargs = True
    _tied_weights_keys = {"code_head.decoder.weight": "clm_ler.embeddings.codes.weight"}
    _keys_to_ignore_on_save = ["code_head.decoder.weight"]

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__(config)
        self.clm_ler = ClmLerModel(config)
        self.code_head = ClmLerHead(config, config.vocab_size)
        self.bin_head = ClmLerHead(config, config.num_lab_bins) if config.predicts_bins else None
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """Return the decoder that is tied to the code embeddings."""
        return self.code_head.decoder

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the decoder."""
        self.code_head.decoder = value

    def bin_logits(self, hidden: Tensor, codes: Tensor) -> Tensor:
        """Return the logits of the lab bins at states ``[n, hidden_size]``, given the codes ``[n]``."""
        assert self.bin_head is not None
        logits: Tensor = self.bin_head(hidden + self.get_input_embeddings()(codes))
        return logits

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cu_seq_lens: Tensor | None = None,
        max_seq_len: int | None = None,
        masked_index: Tensor | None = None,
        labels: Tensor | None = None,
        bin_labels: Tensor | None = None,
        bin_only_index: Tensor | None = None,
        bin_only_labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> MaskedCodesOutput:
        """Predict the codes at the masked positions.

        Args:
            input_ids: As the next five, see :meth:`ClmLerModel.forward`.
            token_type_ids: Lab bins.
            position_ids: Days.
            attention_mask: 1 for tokens.
            cu_seq_lens: Borders of packed sequences.
            max_seq_len: The longest packed sequence.
            masked_index: Positions to predict, into the flattened ``input_ids``, ``[masked]``.
                Left out: every position.
            labels: The true codes there, -100 = no target.
            bin_labels: The true lab bins there (1..bins), -100 = no target.
            bin_only_index: Positions where only the lab bin is masked, likewise, ``[bins masked]``.
            bin_only_labels: The true lab bins there.
            num_items_in_batch: What the summed loss is divided by: the masked codes of the whole
                optimizer step, all accumulated batches and ranks. Left out: those of this batch.
        """
        outputs = self.clm_ler(
            input_ids, token_type_ids, position_ids, attention_mask, cu_seq_lens, max_seq_len
        )
        states = outputs.last_hidden_state
        hidden = states if masked_index is None else states.flatten(0, 1)[masked_index]
        logits = self.code_head(hidden)
        bin_logits = None
        if self.bin_head is not None:
            codes = logits.argmax(dim=-1) if labels is None else labels.clamp(min=0)
            bin_logits = self.bin_logits(hidden, codes)
        loss = None
        if labels is not None:
            loss = summed_cross_entropy(logits, labels)
            if bin_logits is not None and bin_labels is not None:
                bin_loss = summed_bin_loss(bin_logits, bin_labels)
                if bin_only_index is not None and bin_only_labels is not None:
                    codes = input_ids.flatten()[bin_only_index]
                    alone = self.bin_logits(states.flatten(0, 1)[bin_only_index], codes)
                    bin_loss = bin_loss + summed_bin_loss(alone, bin_only_labels)
                loss = loss + self.config.bin_loss_weight * bin_loss
            loss = loss / (
                count_targets(labels) if num_items_in_batch is None else num_items_in_batch
            )
        return MaskedCodesOutput(loss=loss, logits=logits, bin_logits=bin_logits)


def summed_bin_loss(logits: Tensor, bins: Tensor) -> Tensor:
    """Return the summed cross entropy of lab bins counted from 1, -100 = no target."""
    return summed_cross_entropy(logits, bins - (bins > 0).long())


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross entropy in fp32 over all positions whose label is not -100."""
    flat = logits.flatten(0, -2).float()
    return F.cross_entropy(flat, labels.flatten(), ignore_index=IGNORED, reduction="sum")


def count_targets(labels: Tensor) -> Tensor:
    """Return how many labels are targets, at least 1."""
    return (labels != IGNORED).sum().clamp(min=1)


class ClmLerForSequenceClassification(ClmLerPreTrainedModel):
    """Classifies sequences from their pooled embedding."""

    def __init__(self, config: ClmLerConfig) -> None:
        super().__init__(config)
        self.clm_ler = ClmLerModel(config)
        dropout = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if dropout is None else dropout)
        self.classifier = nn.Linear(config.hidden_size, cast(int, config.num_labels))
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


AutoModel.register(ClmLerConfig, ClmLerModel, exist_ok=True)
AutoModelForMaskedLM.register(ClmLerConfig, ClmLerForMaskedLM, exist_ok=True)
AutoModelForSequenceClassification.register(
    ClmLerConfig, ClmLerForSequenceClassification, exist_ok=True
)
