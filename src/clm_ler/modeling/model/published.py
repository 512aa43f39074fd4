"""The flavours of the published CLM-LER, ``bert`` and ``longformer``, trained by the same loops.

Days are learned absolute positions (``position_embedding_type: absolute``) and lab bins are token
types. Only the forward passes differ from Transformers': they take our batches, read out what training
asks for, and pool as :class:`ClmLerModel` does. The weights of a pre-trained model are those of the stock
classes, which load it; a fine-tuned one is loaded by :class:`clm_ler.modeling.loading.CodesClassifier`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertPreTrainedModel,
    LongformerConfig,
    LongformerForMaskedLM,
    LongformerModel,
    LongformerPreTrainedModel,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput

from clm_ler.modeling.model.pooling import pool
from clm_ler.modeling.model.read_out import MaskedCodesOutput, ReadOut, read_states


class BertForMaskedCodes(BertForMaskedLM):
    """BERT on our batches."""

    def code_logits(self, states: Tensor) -> Tensor:
        """Return the logits of the codes at states ``[..., hidden_size]``."""
        logits: Tensor = self.cls(states)
        return logits

    def bin_logits(self, states: Tensor, codes: Tensor) -> None:
        """Return nothing: lab bins are inputs only."""

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor,
        read_out: ReadOut | None = None,
        targets: Mapping[str, Tensor] | None = None,
    ) -> MaskedCodesOutput | Tensor:
        """Predict the code at every position; see :meth:`ClmLerForMaskedLM.forward`."""
        states = self.bert(input_ids, attention_mask, token_type_ids, position_ids)[0]
        return read_states(self, states, input_ids, read_out, targets)


class LongformerForMaskedCodes(LongformerForMaskedLM):
    """Longformer on our batches; attention is local, but for ``[CLS]``."""

    def code_logits(self, states: Tensor) -> Tensor:
        """Return the logits of the codes at states ``[..., hidden_size]``."""
        logits: Tensor = self.lm_head(states)
        return logits

    def bin_logits(self, states: Tensor, codes: Tensor) -> None:
        """Return nothing: lab bins are inputs only."""

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor,
        read_out: ReadOut | None = None,
        targets: Mapping[str, Tensor] | None = None,
    ) -> MaskedCodesOutput | Tensor:
        """Predict the code at every position; see :meth:`ClmLerForMaskedLM.forward`."""
        states = self.longformer(
            input_ids,
            attention_mask=attention_mask.long(),
            global_attention_mask=_global_attention(input_ids),
            token_type_ids=token_type_ids,
            position_ids=position_ids,
        )[0]
        return read_states(self, states, input_ids, read_out, targets)


def _global_attention(input_ids: Tensor) -> Tensor:
    """Return 1 at ``[CLS]``, which attends everywhere, 0 elsewhere; the shape of the input."""
    everywhere = input_ids.new_zeros(input_ids.shape)
    everywhere[:, 0] = 1
    return everywhere


class BertEncoder(BertModel):
    """BERT with an embedding per sequence, pooled by ``config.pooling``."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, add_pooling_layer=False)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor,
    ) -> BaseModelOutputWithPooling:
        """Encode a padded batch; see ``ClmLerModel.forward``."""
        hidden = super().forward(input_ids, attention_mask, token_type_ids, position_ids)[0]
        return _pooled(hidden, self.config, attention_mask)


class LongformerEncoder(LongformerModel):
    """Longformer with an embedding per sequence, pooled by ``config.pooling``."""

    def __init__(self, config: LongformerConfig) -> None:
        super().__init__(config, add_pooling_layer=False)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor,
    ) -> BaseModelOutputWithPooling:
        """Encode a padded batch; see ``ClmLerModel.forward``."""
        hidden = super().forward(
            input_ids,
            attention_mask=attention_mask.long(),
            global_attention_mask=_global_attention(input_ids),
            token_type_ids=token_type_ids,
            position_ids=position_ids,
        )[0]
        return _pooled(hidden, self.config, attention_mask)


def _pooled(hidden: Tensor, config: Any, attention_mask: Tensor) -> BaseModelOutputWithPooling:
    pooled = pool(hidden, getattr(config, "pooling", "mean"), attention_mask, None)
    return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


class _CodesClassification(PreTrainedModel):
    """A linear classifier on an encoder, which lies where the stock classes have it."""

    encoder_class: ClassVar[type[PreTrainedModel]]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.encoder_class(config))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor,
    ) -> SequenceClassifierOutput:
        """Return logits ``[sequences, num_labels]``; see ``ClmLerModel.forward``."""
        encoded = self.base_model(input_ids, token_type_ids, position_ids, attention_mask)
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(encoded.pooler_output)))


class BertForCodesClassification(_CodesClassification, BertPreTrainedModel):
    """A classifier on :class:`BertEncoder`."""

    encoder_class = BertEncoder


class LongformerForCodesClassification(_CodesClassification, LongformerPreTrainedModel):
    """A classifier on :class:`LongformerEncoder`."""

    encoder_class = LongformerEncoder
