"""The configuration of the model."""

from typing import Literal, get_args

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

TimeEncoding = Literal["rope_days", "day_embedding", "order"]
Pooling = Literal["query", "query+mean", "query+labs", "query+mean+labs", "cls", "mean", "last"]
TIME_ENCODINGS: tuple[str, ...] = get_args(TimeEncoding)
POOLINGS: tuple[str, ...] = get_args(Pooling)
# A day, a week, a month, a quarter, half a year, a year, two years and more after the query.
EVENT_EDGES = (0, 1, 7, 30, 91, 182, 365, 730)


@strict
class ClmLerConfig(PreTrainedConfig):
    """Sizes and choices of a CLM-LER encoder; names are BERT's where the meaning is the same.

    Attributes:
        vocab_size: Number of codes, special tokens included.
        num_lab_bins: Lab bins B. Token types are 0 (no bin), 1 to B, and B + 1 (masked). With B = 0
            there is no lab-bin head.
        max_position_embeddings: Days a window may span; positions run from 0 to one less.
        time_encoding: How the model sees time. ``rope_days``: rotary embedding whose position is the
            day, so attention sees the days between two events; ``day_embedding``: a learned vector
            per day; ``order``: rotary embedding of the rank in the sequence, blind to days.
        rope_theta: Base of the rotary wavelengths (Su et al. 2021, arXiv:2104.09864).
        query_token: Whether sequences end with a query token, a second ``[CLS]`` on the day of the
            prediction.
        query_person: Whether the query token is told who is asked about: what the baseline tells is added to
            it, and ``AGE`` is the age on its day. Otherwise ``AGE`` is that at the first event seen.
        age_waves: Number of cosines that the embedding of an age is made of, so that ages which are near
            each other are alike; 0: each year of age has a row that knows nothing of the others.
        lab_rows: Number of lab codes that have an embedding of their own for each bin, beside the shared
            ones of code and bin.
        pooling: What :class:`ClmLerModel` returns as the embedding of a sequence: the state of the query
            token, that beside the mean over the tokens or the forecast of each lab or both, the ``[CLS]`` state, the mean, or the state of
            the last token.
        lab_forecasts: Whether the next result of each of the ``lab_rows`` labs is predicted; see
            :class:`clm_ler.modeling.model.lab_forecasts.LabForecasts`.
        event_targets: Number of codes and lab extremes whose coming is predicted; 0 leaves out the head
            that does. See :class:`clm_ler.modeling.model.event_head.EventHead`.
        event_edges: First day of each piece of time within which a hazard is constant.
        event_rank: Size of the vectors whose products are the log hazards.
        bin_loss_weight: Weight of the masked lab bins in the loss; 0 leaves the head out.
        classifier_dropout: Dropout before the classification layer; ``None`` takes
            ``hidden_dropout_prob``.
        vocabulary_digest: Of the tokenizer that the model was trained with, by which another one is
            refused; see :func:`clm_ler.modeling.data.vocabulary.check_tokenizer`.
    """

    model_type = "clm_ler"

    vocab_size: int = 1000
    num_lab_bins: int = 10
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.0
    max_position_embeddings: int = 1825
    time_encoding: str = "rope_days"
    rope_theta: float = 10000.0
    query_token: bool = False
    query_person: bool = False
    age_waves: int = 0
    lab_rows: int = 0
    pooling: str = "mean"
    lab_forecasts: bool = False
    event_targets: int = 0
    event_edges: list[int] | tuple[int, ...] = EVENT_EDGES
    event_rank: int = 32
    bin_loss_weight: float = 1.0
    classifier_dropout: float | None = None
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = True
    vocabulary_digest: str | None = None

    def __post_init__(self, **kwargs: object) -> None:
        """Refuse a configuration that no model can be built from."""
        super().__post_init__(**kwargs)
        if self.time_encoding not in TIME_ENCODINGS:
            raise ValueError(
                f"time_encoding is one of {TIME_ENCODINGS}, not {self.time_encoding!r}"
            )
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is one of {POOLINGS}, not {self.pooling!r}")
        if "query" in self.pooling and not self.query_token:
            raise ValueError(f"pooling {self.pooling!r} is for a model with a query token")
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be an even multiple of "
                f"num_attention_heads ({self.num_attention_heads})"
            )

    @property
    def forecasts_labs(self) -> bool:
        """Whether the model has a forecast of each lab; without labs or bins there is none."""
        return self.lab_forecasts and self.lab_rows > 0 and self.num_lab_bins > 0

    @property
    def predicts_bins(self) -> bool:
        """Whether the model has a head for masked lab bins."""
        return self.num_lab_bins > 0 and self.bin_loss_weight > 0


def pooled_size(config: PreTrainedConfig) -> int:
    """Return the length of the embedding of a sequence, for a model of any flavour."""
    return sum(pooled_parts(config))


def pooled_parts(config: PreTrainedConfig) -> list[int]:
    """Return the lengths of what the embedding is joined from: states, then one forecast a lab."""
    parts = getattr(config, "pooling", "mean").split("+")
    forecasts = [config.lab_rows] if "labs" in parts and config.forecasts_labs else []
    return [config.hidden_size] * (len(parts) - ("labs" in parts)) + forecasts
