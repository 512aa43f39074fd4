"""Models by their kind: built, loaded, continued, and turned into classifiers."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, BertConfig, LongformerConfig, PreTrainedModel

from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import (
    ClmLerForMaskedLM,
    ClmLerForSequenceClassification,
)
from clm_ler.modeling.model.published import (
    BertForCodesClassification,
    BertForMaskedCodes,
    LongformerForCodesClassification,
    LongformerForMaskedCodes,
)


class Flavour(NamedTuple):
    """The classes of one kind of model: its configuration, pre-trained, and fine-tuned."""

    config: Any
    pretrained: type[PreTrainedModel]
    classifier: type[PreTrainedModel]


FLAVOURS = {
    "clm_ler": Flavour(ClmLerConfig, ClmLerForMaskedLM, ClmLerForSequenceClassification),
    "bert": Flavour(BertConfig, BertForMaskedCodes, BertForCodesClassification),
    "longformer": Flavour(
        LongformerConfig, LongformerForMaskedCodes, LongformerForCodesClassification
    ),
}
# Names of parameters that `continue_from` may leave as they are.
AGES = "clm_ler.embeddings.ages."
FORECASTS = "clm_ler.lab_forecasts."
PER_LAB = ("clm_ler.embeddings.lab_rows.", f"{FORECASTS}labs.", f"{FORECASTS}decay.")
EVENT_HEAD = "event_head."
EVENT_TARGETS = ("event_head.targets.", "event_head.bias")


def build_model(
    model_type: str, vocab_size: int, num_lab_bins: int, options: Mapping[str, Any]
) -> PreTrainedModel:
    """Return a model with random weights.

    Args:
        model_type: One of :data:`FLAVOURS`.
        vocab_size: Number of tokens, special ones included.
        num_lab_bins: Lab bins B; 0 where labs are tokens of their own.
        options: Attributes of the configuration by name, among others.
    """
    config_class, model_class, _classifier = FLAVOURS[model_type]
    known = {field.name for field in fields(config_class)}
    chosen = {name: value for name, value in options.items() if name in known and value is not None}
    chosen.setdefault("intermediate_size", 4 * options["hidden_size"])
    chosen |= {"vocab_size": vocab_size, "pad_token_id": 0}
    if model_type == "clm_ler":
        config = config_class(num_lab_bins=num_lab_bins, **chosen)
    else:
        config = config_class(type_vocab_size=num_lab_bins + 2, **chosen)
        if options.get("pooling"):  # no field of a stock configuration, which keeps it all the same
            config.pooling = options["pooling"]
    return model_class(config)


def continue_from(
    model: PreTrainedModel,
    vocabulary: Mapping[str, int],
    earlier: PreTrainedModel,
    earlier_vocabulary: Mapping[str, int],
) -> None:
    """Give a model the weights of an earlier one, token by token where it concerns the vocabulary.

    Tokens that are new keep their random weights, and so does what the earlier model has no weights for or
    may have numbered otherwise: the targets of time to event.

    Raises:
        ValueError: If the earlier model knows tokens that are gone, sees time otherwise, or has other sizes.
    """
    if gone := earlier_vocabulary.keys() - vocabulary.keys():
        raise ValueError(
            f"The vocabulary lacks {len(gone)} of the {len(earlier_vocabulary)} tokens of "
            "pretrain.input_model; it may grow, not shrink."
        )
    _check_choices(model.config, earlier.config)
    tokens = list(earlier_vocabulary)
    new_rows = torch.tensor([vocabulary[token] for token in tokens])
    old_rows = torch.tensor([earlier_vocabulary[token] for token in tokens])
    by_token = _vocabulary_parameters(model)
    before = dict(earlier.named_parameters())
    lacking = tuple(
        part
        for part in (EVENT_HEAD, FORECASTS, AGES)
        if not any(name.startswith(part) for name in before)
    )
    anew = (*PER_LAB, *EVENT_TARGETS, *lacking)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(anew):
                continue
            sized = slice(1 if name in by_token else 0, None)
            if name not in before or parameter.shape[sized] != before[name].shape[sized]:
                raise ValueError(f"pretrain.input_model has other sizes: see {name}.")
            if name in by_token:
                parameter[new_rows] = before[name][old_rows]
            else:
                parameter.copy_(before[name])
        _copy_labs(model, new_rows, earlier, old_rows)


def _check_choices(ours: Any, theirs: Any) -> None:
    """Refuse what would give the weights of an earlier model another meaning."""
    names = ["model_type", "time_encoding"]
    names += ["rope_theta"] if getattr(theirs, "time_encoding", "") != "day_embedding" else []
    names += ["age_waves"] if getattr(theirs, "age_waves", 0) else []
    other = {name: getattr(theirs, name, None) for name in names}
    other = {name: kept for name, kept in other.items() if kept != getattr(ours, name, None)}
    if other:
        told = ", ".join(f"pretrain.{name}={kept}" for name, kept in other.items())
        raise ValueError(f"pretrain.input_model was trained with other choices: set {told}.")


def _copy_labs(model: Any, tokens: Tensor, earlier: Any, earlier_tokens: Tensor) -> None:
    """Copy what is of the labs that both models know; ``tokens`` are the same ones in each."""
    ours, theirs = (m.base_model.embeddings for m in (model, earlier))
    if not (getattr(ours, "has_lab_rows", False) and getattr(theirs, "has_lab_rows", False)):
        return
    new, old = ours.lab_of_code[tokens], theirs.lab_of_code[earlier_tokens]
    both = (new > 0) & (old > 0)
    forecasts, before = (m.base_model.lab_forecasts for m in (model, earlier))
    if forecasts is not None and before is not None:
        for name in ("labs", "decay"):
            mine, their = getattr(forecasts, name).weight, getattr(before, name).weight
            mine[new[both] - 1] = their[old[both] - 1]
    for number in range(1, ours.num_lab_bins + 1):
        old = theirs.lab_row_of(earlier_tokens, torch.full_like(earlier_tokens, number))
        new = ours.lab_row_of(tokens, torch.full_like(tokens, number))
        both = (old > 0) & (new > 0)
        ours.lab_rows.weight[new[both]] = theirs.lab_rows.weight[old[both]]


def number_labs(model: Any, codes: NDArray[np.integer]) -> None:
    """Give each lab code its rows of embeddings, one for each bin."""
    model.base_model.embeddings.number_labs(torch.tensor(codes, dtype=torch.long))


def number_ages(model: Any, years: NDArray[np.integer]) -> None:
    """Tell the age in years of each code, -1 for what is no age."""
    model.base_model.embeddings.number_ages(torch.tensor(years, dtype=torch.long))


def _vocabulary_parameters(model: PreTrainedModel) -> set[str]:
    """Return the names of the parameters that have one row per token."""
    modules = (model.get_input_embeddings(), model.get_output_embeddings())
    own = {id(parameter) for module in modules for parameter in module.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in own}


def load_model(directory: str | Path, **options: Any) -> PreTrainedModel:
    """Load a saved model of any flavour so that it takes our batches.

    Args:
        directory: What ``save_pretrained`` wrote.
        options: Passed on to ``from_pretrained``, such as ``attn_implementation``.
    """
    model: PreTrainedModel = _flavour(directory).pretrained.from_pretrained(directory, **options)
    return model


def load_classifier(directory: str | Path, **options: Any) -> PreTrainedModel:
    """Load a fine-tuned model of any flavour; arguments as :func:`load_model`."""
    model: PreTrainedModel = _flavour(directory).classifier.from_pretrained(directory, **options)
    return model


def _flavour(directory: str | Path) -> Flavour:
    model_type = AutoConfig.from_pretrained(directory).model_type
    if model_type not in FLAVOURS:
        raise ValueError(f"{model_type!r} is none of {', '.join(FLAVOURS)}.")
    return FLAVOURS[model_type]


class CodesModel:
    """Loads a pre-trained model as Transformers' Auto classes do, for the catalog."""

    from_pretrained = staticmethod(load_model)


class CodesClassifier:
    """Loads a fine-tuned model as Transformers' Auto classes do, for the catalog."""

    from_pretrained = staticmethod(load_classifier)


def classifier_on(pretrained: PreTrainedModel, config: Any) -> PreTrainedModel:
    """Return a classifier with the encoder of a pre-trained model and a random head.

    Args:
        pretrained: A masked language model of any flavour.
        config: Its configuration, with ``num_labels``, ``pooling`` and what else is to be changed.
    """
    model = FLAVOURS[config.model_type].classifier(config)
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
