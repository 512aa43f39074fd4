"""What a prediction can rest on: the code of a token, its lab bin, and its day.

Each is a channel of its own, with a baseline that means something:

* **code**: the row of ``[MASK]``, which pre-training has taught to mean "something happened";
* **lab bin**: the middle bin of the same lab;
* **day**: the day of the prediction, as if all had just happened.

``[CLS]``, ``[UNK]``, the query token and padding are their own baselines: they tell nothing of a person.
"""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel

from clm_ler.modeling.data.batches import Batch
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForSequenceClassification, ClmLerModel
from clm_ler.modeling.model.pooling import days_before_query, tells_query


class Channels(NamedTuple):
    """What the encoder reads. Shapes: B sequences, L tokens, H hidden size, D half a head's size.

    Attributes:
        codes: Rows of the codes, ``[B, L, H]``.
        bins: Rows of the lab bins, and of the (lab, bin) pairs, ``[B, L, H]``.
        days: Rows of the days, where the model has such rows; else 0, ``[B, L, H]``.
        cosine, sine: How far attention turns each token by its day, ``[B, L, 1, 1, D]``.
        before: Days from the token to the prediction, ``[B, L]``.
    """

    codes: Tensor
    bins: Tensor
    days: Tensor
    cosine: Tensor
    sine: Tensor
    before: Tensor

    def take(self, rows: Tensor) -> Self:
        """Return some of the sequences."""
        return type(self)(*(part[rows] for part in self))

    def where(self, kept: Tensor, other: Self) -> Self:
        """Return these where a token is kept, ``[B, L]``, and the other ones elsewhere."""
        return type(self)(
            *(
                torch.where(kept.view(*kept.shape, *[1] * (mine.dim() - 2)), mine, its)
                for mine, its in zip(self, other, strict=True)
            )
        )


class Places(NamedTuple):
    """What stands where, whatever it tells; each ``[B, L]``.

    Attributes:
        labs: The lab whose result a token is, from 1; 0 for any other.
        to_query: True where what a token tells is added to the query.
        real: True at tokens, False at padding.
    """

    labs: Tensor
    to_query: Tensor
    real: Tensor

    def take(self, rows: Tensor) -> Self:
        """Return some of the sequences."""
        return type(self)(*(part[rows] for part in self))


class EncoderInputs(NamedTuple):
    """A batch as the encoder reads it, and as its baseline has it.

    Attributes:
        actual: What is there.
        baseline: What would be there if nothing were told.
        places: What stands where.
        told: True where a token tells of the person, ``[B, L]``.
    """

    actual: Channels
    baseline: Channels
    places: Places
    told: Tensor


def read_inputs(model: PreTrainedModel, batch: Batch, vocabulary: Vocabulary) -> EncoderInputs:
    """Return a padded batch as channels.

    Raises:
        ValueError: If the model is not of the flavour ``clm_ler``.
    """
    if not isinstance(model, ClmLerForSequenceClassification):
        raise ValueError(
            f"A model of type '{model.config.model_type}' is not explained: only `clm_ler` tells code, "
            "lab bin and day apart. Set pretrain.model_type=clm_ler."
        )
    codes, bins, days, real = (
        batch[name].to(model.device)
        for name in ("input_ids", "token_type_ids", "position_ids", "attention_mask")
    )
    is_code = torch.from_numpy(vocabulary.is_code).to(model.device)[codes]
    is_person = torch.from_numpy(vocabulary.is_demographic).to(model.device)[codes]
    told = is_code | is_person
    asked = days + days_before_query(days, real, None)
    middle = (vocabulary.bins + 1) // 2
    encoder = model.clm_ler
    with torch.no_grad():
        actual = _channels(encoder, codes, codes, bins, days, real)
        baseline = _channels(
            encoder,
            codes.masked_fill(told, vocabulary.mask),
            codes,
            torch.where(told & (bins > 0), middle, bins),
            torch.where(is_code, asked, days),
            real,
        )
    to_query = tells_query(codes, days, real, None)
    places = Places(encoder.embeddings.lab_of(codes, bins), to_query, real)
    return EncoderInputs(actual, baseline, places, told)


def _channels(
    encoder: ClmLerModel, shown: Tensor, codes: Tensor, bins: Tensor, days: Tensor, real: Tensor
) -> Channels:
    """Return the channels of tokens whose code is shown as another, perhaps."""
    table = encoder.embeddings
    rows, values = table.code_rows(shown), table.lab_bins(bins)
    if table.has_lab_rows:
        values = values + table.lab_rows(table.lab_row_of(codes, bins))
    embeds_days = table.time_encoding == "day_embedding"
    of_days = table.days(days) if embeds_days else torch.zeros_like(rows)
    order = torch.arange(codes.shape[1], device=codes.device).expand_as(codes)
    angles = encoder.angles_of(days, order)
    if angles is None:  # attention turns nothing
        ones = rows.new_ones(*codes.shape, 1, 1, _half_head(encoder))
        angles = ones, torch.zeros_like(ones)
    before = days_before_query(days, real, None).float()
    return Channels(rows, values, of_days, *angles, before)


def _half_head(encoder: ClmLerModel) -> int:
    return encoder.config.hidden_size // encoder.config.num_attention_heads // 2


def log_odds(model: Any, channels: Channels, places: Places, outcome: int) -> Tensor:
    """Return the logarithm of the odds of an outcome, ``[B]``, from channels.

    Args:
        model: The fine-tuned model.
        channels: What the encoder reads.
        places: What stands where.
        outcome: The class, or of several tasks the number of the task.
    """
    encoder = model.clm_ler
    labs, to_query, real = places
    table = encoder.embeddings
    rows = channels.codes + channels.bins + channels.days
    if table.tells_query:
        rows = table.tell_query(rows, to_query, real, None)
    hidden = table.norm(rows)
    angles = channels.cosine, channels.sine
    pooled = encoder.encode(hidden, angles, labs, channels.before, real).pooler_output
    # Only forecasts of labs read `before`; a gradient is asked for where there are none, too.
    logits: Tensor = model.classifier(pooled) + 0.0 * channels.before.sum(dim=1, keepdim=True)
    if model.config.problem_type == "multi_label_classification":
        return logits[:, outcome]
    others = [number for number in range(logits.shape[1]) if number != outcome]
    return logits[:, outcome] - logits[:, others].logsumexp(dim=1)
