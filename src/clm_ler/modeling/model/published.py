"""The flavours of the published CLM-LER, ``bert`` and ``longformer``, trained by the same loops.

Days are learned absolute positions (``position_embedding_type: absolute``) and lab bins are token
types. Only the forward passes differ from Transformers': they take our batches, compute logits at the
masked positions only, and pool as :class:`ClmLerModel` does. The weights of a pre-trained model are those
of the stock classes, which load it; a fine-tuned one is loaded by :class:`CodesClassifier`.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
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

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import (
    ClmLerForMaskedLM,
    ClmLerForSequenceClassification,
    MaskedCodesOutput,
    count_targets,
    pool,
    summed_cross_entropy,
)


class BertForMaskedCodes(BertForMaskedLM):
    """BERT on our batches."""

    accepts_loss_kwargs = True

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor,
        masked_index: Tensor,
        labels: Tensor,
        bin_labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> MaskedCodesOutput:
        """Predict the masked codes; lab bins are inputs only. See ``ClmLerForMaskedLM.forward``."""
        hidden = self.bert(input_ids, attention_mask, token_type_ids, position_ids)[0]
        logits = self.cls(hidden.flatten(0, 1)[masked_index])
        return _masked_codes(logits, labels, num_items_in_batch)


class LongformerForMaskedCodes(LongformerForMaskedLM):
    """Longformer on our batches; attention is local, but for ``[CLS]``."""

    accepts_loss_kwargs = True

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor,
        masked_index: Tensor,
        labels: Tensor,
        bin_labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> MaskedCodesOutput:
        """Predict the masked codes; lab bins are inputs only. See ``ClmLerForMaskedLM.forward``."""
        hidden = self.longformer(
            input_ids,
            attention_mask=attention_mask.long(),
            global_attention_mask=_global_attention(input_ids),
            token_type_ids=token_type_ids,
            position_ids=position_ids,
        )[0]
        logits = self.lm_head(hidden.flatten(0, 1)[masked_index])
        return _masked_codes(logits, labels, num_items_in_batch)


def _global_attention(input_ids: Tensor) -> Tensor:
    """Return 1 at ``[CLS]``, which attends everywhere, 0 elsewhere; the shape of the input."""
    everywhere = input_ids.new_zeros(input_ids.shape)
    everywhere[:, 0] = 1
    return everywhere


def _masked_codes(
    logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None
) -> MaskedCodesOutput:
    items = count_targets(labels) if num_items_in_batch is None else num_items_in_batch
    return MaskedCodesOutput(loss=summed_cross_entropy(logits, labels) / items, logits=logits)


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


FLAVOURS: dict[str, tuple[Any, type[PreTrainedModel]]] = {
    "clm_ler": (ClmLerConfig, ClmLerForMaskedLM),
    "bert": (BertConfig, BertForMaskedCodes),
    "longformer": (LongformerConfig, LongformerForMaskedCodes),
}
CLASSIFIERS: dict[str, type[PreTrainedModel]] = {
    "clm_ler": ClmLerForSequenceClassification,
    "bert": BertForCodesClassification,
    "longformer": LongformerForCodesClassification,
}


def build_masked_lm(
    model_type: str, vocab_size: int, num_lab_bins: int, options: Mapping[str, Any]
) -> PreTrainedModel:
    """Return a model with random weights.

    Args:
        model_type: One of :data:`FLAVOURS`.
        vocab_size: Number of tokens, special ones included.
        num_lab_bins: Lab bins B; 0 where labs are tokens of their own.
        options: Attributes of the configuration by name, among others.
    """
    config_class, model_class = FLAVOURS[model_type]
    known = {field.name for field in fields(config_class)}
    chosen = {name: value for name, value in options.items() if name in known and value is not None}
    chosen.setdefault("intermediate_size", 4 * options["hidden_size"])
    chosen |= {"vocab_size": vocab_size, "pad_token_id": 0}
    if model_type == "clm_ler":
        config = config_class(num_lab_bins=num_lab_bins, **chosen)
    else:
        config = config_class(type_vocab_size=num_lab_bins + 2, **chosen)
    return model_class(config)


def continue_from(
    model: PreTrainedModel,
    vocabulary: Mapping[str, int],
    earlier: PreTrainedModel,
    earlier_vocabulary: Mapping[str, int],
) -> None:
    """Give a model the weights of an earlier one, token by token where it concerns the vocabulary.

    Tokens that are new keep their random weights.

    Raises:
        ValueError: If the earlier model knows tokens that are gone, or has other sizes.
    """
    if gone := earlier_vocabulary.keys() - vocabulary.keys():
        raise ValueError(
            f"The vocabulary lacks {len(gone)} of the {len(earlier_vocabulary)} tokens of "
            "pretrain.input_model; it may grow, not shrink."
        )
    tokens = list(earlier_vocabulary)
    new_rows = torch.tensor([vocabulary[token] for token in tokens])
    old_rows = torch.tensor([earlier_vocabulary[token] for token in tokens])
    by_token = _vocabulary_parameters(model)
    before = dict(earlier.named_parameters())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            sized = slice(1 if name in by_token else 0, None)
            if name not in before or parameter.shape[sized] != before[name].shape[sized]:
                raise ValueError(f"pretrain.input_model has other sizes: see {name}.")
            if name in by_token:
                parameter[new_rows] = before[name][old_rows]
            else:
                parameter.copy_(before[name])


def _vocabulary_parameters(model: PreTrainedModel) -> set[str]:
    """Return the names of the parameters that have one row per token."""
    modules = (model.get_input_embeddings(), model.get_output_embeddings())
    own = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in own}


def load_masked_lm(directory: str | Path, **options: Any) -> PreTrainedModel:
    """Load a saved model of any flavour so that it takes our batches.

    Args:
        directory: What ``save_pretrained`` wrote.
        options: Passed on to ``from_pretrained``, such as ``attn_implementation``.
    """
    model_type = AutoConfig.from_pretrained(directory).model_type
    if model_type not in FLAVOURS:
        raise ValueError(f"{model_type!r} is none of {', '.join(FLAVOURS)}.")
    model: PreTrainedModel = FLAVOURS[model_type][1].from_pretrained(directory, **options)
    return model


class CodesClassifier:
    """Loads a fine-tuned model of any flavour, as Transformers' Auto classes do."""

    @staticmethod
    def from_pretrained(directory: str | Path, **options: Any) -> PreTrainedModel:
        """Return the model of a directory that ``save_pretrained`` wrote."""
        model_type = AutoConfig.from_pretrained(directory).model_type
        model: PreTrainedModel = CLASSIFIERS[model_type].from_pretrained(directory, **options)
        return model


def classifier_on(pretrained: PreTrainedModel, config: Any) -> PreTrainedModel:
    """Return a classifier with the encoder of a pre-trained model and a random head.

    Args:
        pretrained: A masked language model of any flavour.
        config: Its configuration, with ``num_labels``, ``pooling`` and what else is to be changed.
    """
    model = CLASSIFIERS[config.model_type](config)
    model.base_model.load_state_dict(pretrained.base_model.state_dict())
    return model


def encoder_of(pretrained: PreTrainedModel, pooling: str | None = None) -> PreTrainedModel:
    """Return the encoder of a pre-trained model of any flavour, pooled as asked or as it was set."""
    config = type(pretrained.config).from_dict(pretrained.config.to_dict())
    config.pooling = pooling or getattr(config, "pooling", "mean")
    classifier = classifier_on(pretrained, config).to(pretrained.device)  # type: ignore[arg-type]
    return cast(PreTrainedModel, classifier.base_model).eval()


def encoder_layers(encoder: Any) -> list[nn.Module]:
    """Return the layers of an encoder of any flavour, first to last."""
    return list(encoder.layers if hasattr(encoder, "layers") else encoder.encoder.layer)
