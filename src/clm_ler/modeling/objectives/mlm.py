"""Masked language modelling: which tokens are hidden, what is put there, what is to be predicted."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from annotated_types import Ge, Gt, Le, Lt, doc
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedConfig

from clm_ler.modeling.data.samples import NO_LABEL
from clm_ler.modeling.data.store import Tokens, TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import (
    WindowOptions,
    Windows,
    evaluation_windows,
    train_windows,
)
from clm_ler.modeling.objectives import mlm_metrics
from clm_ler.modeling.objectives.base import TARGETS, Sums, Targets
from clm_ler.modeling.objectives.mlm_metrics import COLUMNS, CodeSystems

Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class MlmOptions:
    """How tokens are masked (Devlin et al. 2019, section 3.1)."""

    prediction_fraction: Annotated[
        float, Gt(0), Lt(1), doc("Share of the tokens that are targets")
    ] = 0.15
    masking_fraction: Annotated[
        float, Ge(0), Le(1), doc("Share of the targets that becomes [MASK]")
    ] = 0.8
    random_replacement_fraction: Annotated[
        float, Ge(0), Le(1), doc("Share of the targets that becomes a random token")
    ] = 0.1
    mask_demographics: Annotated[bool, doc("Whether demographics may be targets")] = False
    bin_masking_fraction: Annotated[
        float,
        Ge(0),
        Le(1),
        doc(
            "For the objective mlm: share of the other labs whose bin alone is masked and predicted"
        ),
    ] = 0.5


@dataclass(frozen=True)
class Mlm:
    """Codes, and lab bins, predicted from the rest of a person's record.

    Attributes:
        options: How tokens are masked.
        vocabulary: The special ids, and what may be masked.
        systems: The code system of each token, by which results are told apart.
    """

    title: ClassVar[str] = "masked language modelling"
    charts: ClassVar[Mapping[str, str]] = {"loss": "loss", "accuracy": "masked-code accuracy"}

    options: MlmOptions
    vocabulary: Vocabulary
    systems: CodeSystems

    @classmethod
    def fit(cls, options: Any, store: TokenStore, vocabulary: Vocabulary) -> pa.Table:
        """Return no row: every token may be a target."""
        return TARGETS.empty_table()

    @classmethod
    def create(
        cls, options: Any, vocabulary: Vocabulary, tokens: list[str], targets: pa.Table
    ) -> Self:
        """Return the objective; no bin is masked alone for a model that does not predict bins."""
        masking = MlmOptions(**{f.name: getattr(options, f.name) for f in fields(MlmOptions)})
        if options.model_type != "clm_ler" or not options.bin_loss_weight:
            masking = replace(masking, bin_masking_fraction=0.0)
        return cls(masking, vocabulary, CodeSystems.from_tokens(tokens))

    def configure(self) -> dict[str, Any]:
        """Return nothing: the heads are the model's own."""
        return {}

    def start(self, model: Any) -> None:
        """Leave all weights random."""

    def windows(
        self,
        store: TokenStore,
        rows: Integers,
        options: WindowOptions,
        rng: np.random.Generator,
    ) -> Windows:
        """Return a random window of each row."""
        return train_windows(store, rows, options, rng)

    def evaluation_windows(
        self,
        store: TokenStore,
        rows: Integers,
        options: WindowOptions,
        rng: np.random.Generator,
    ) -> Windows:
        """Return the most recent window of each row."""
        return evaluation_windows(store, rows, options)

    def make(
        self,
        tokens: Tokens,
        windows: Windows,
        store: TokenStore,
        rng: np.random.Generator,
        *,
        evaluation: bool,
    ) -> tuple[Tokens, Targets]:
        """Return the tokens with some of them masked, and the targets, see :func:`mask_tokens`.

        In evaluation no bin is masked alone: the loss of a masked lab is that of the pair (code, bin).
        """
        options = replace(self.options, bin_masking_fraction=0.0) if evaluation else self.options
        return mask_tokens(tokens, self.vocabulary, options, rng)

    def loss(
        self, model: Any, states: Tensor, input_ids: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the cross entropy of the codes plus ``bin_loss_weight`` times that of the lab bins.

        A bin that is masked alone is read by the same head, with the code that stands there.
        """
        chosen, labels = states[targets["masked_index"]], targets["labels"]
        loss = summed_cross_entropy(model.code_logits(chosen), labels)
        bin_logits = model.bin_logits(chosen, labels)
        if bin_logits is None:
            return loss
        bin_loss = summed_bin_loss(bin_logits, targets["bin_labels"])
        if "bin_only_index" in targets:
            places = targets["bin_only_index"]
            alone = model.bin_logits(states[places], input_ids[places])
            bin_loss = bin_loss + summed_bin_loss(alone, targets["bin_only_labels"])
        weighted: Tensor = loss + model.config.bin_loss_weight * bin_loss
        return weighted

    def sums(
        self, model: Any, states: Tensor, input_ids: Tensor, targets: Mapping[str, Tensor]
    ) -> Tensor:
        """Return the sums of :func:`mlm_metrics.score`."""
        chosen, labels = states[targets["masked_index"]], targets["labels"]
        logits, bin_logits = model.code_logits(chosen), model.bin_logits(chosen, labels)
        return mlm_metrics.score(targets, logits, bin_logits, self.systems)

    def baselines(self, store: TokenStore) -> dict[str, Sums]:
        """Return what knows nothing of context, see :func:`mlm_metrics.context_free_baselines`."""
        maskable = maskable_tokens(self.vocabulary, self.options)
        counts = mlm_metrics.count_unigrams(store, maskable, self.vocabulary.bins)
        return mlm_metrics.context_free_baselines(counts, self.systems)

    def summary(self, sums: Tensor) -> dict[str, Any]:
        """Return the metrics of masked codes."""
        return mlm_metrics.summarise(sums.reshape(-1, len(COLUMNS)), self.systems)

    @staticmethod
    def scalars(summary: Mapping[str, Any]) -> dict[str, float]:
        """Return the loss of code and bin together, that of the code, and how many codes are right."""
        return {
            "loss": summary["joint_loss"],
            "code_loss": summary["loss"],
            "accuracy": summary["accuracy"]["top1"],
        }

    @staticmethod
    def describe(summary: Mapping[str, Any]) -> str:
        """Return a table of the model and its baselines."""
        return mlm_metrics.results_table(summary)

    def head_flops(self, config: PreTrainedConfig) -> float:
        """Return 6 per weight of the code head, for the masked tokens only."""
        head_weights = config.hidden_size * (config.hidden_size + config.vocab_size)
        return self.options.prediction_fraction * 6 * head_weights


def summed_bin_loss(logits: Tensor, bins: Tensor) -> Tensor:
    """Return the summed cross entropy of lab bins counted from 1, ``NO_LABEL`` = no target."""
    return summed_cross_entropy(logits, bins - (bins > 0).long())


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross entropy in fp32 over all positions whose label is not ``NO_LABEL``."""
    return F.cross_entropy(logits.float(), labels, ignore_index=NO_LABEL, reduction="sum")


def mask_tokens(
    tokens: Tokens, vocabulary: Vocabulary, options: MlmOptions, rng: np.random.Generator
) -> tuple[Tokens, Targets]:
    """Return the tokens with some of them masked, and the targets: at least one, if any may be.

    Never a target: specials, ``[UNK]`` (nothing to learn there), demographics unless the options say
    so. Where a token is masked its lab bin is too: type B + 1 stands at every ``[MASK]``, so that
    not even whether the token was a lab shows; a random token in the place of a lab gets a random bin.
    Of the other labs some keep their code and lose their bin: to tell the value of a test that is known
    to have been made, a model has to look at the other values of that test.
    """
    # Wider than stored, because B + 1 may be 256.
    ids, types = tokens.input_ids.copy(), tokens.token_type_ids.astype(np.int16)
    index = _draw_targets(maskable_tokens(vocabulary, options).take(ids), options, rng)
    labels, bins = ids[index].astype(np.int64), types[index].astype(np.int64)

    action = rng.random(len(index))
    masked = index[action < options.masking_fraction]
    ids[masked], types[masked] = vocabulary.mask, vocabulary.bins + 1

    swapped = (action >= options.masking_fraction) & (
        action < options.masking_fraction + options.random_replacement_fraction
    )
    ids[index[swapped]] = rng.choice(vocabulary.codes, swapped.sum())
    binned = index[swapped & (bins > 0)]
    types[binned] = rng.integers(1, vocabulary.bins, len(binned), endpoint=True)

    is_lab = tokens.token_type_ids > 0
    is_lab[index] = False
    labs = np.flatnonzero(is_lab)
    labs = labs[rng.random(len(labs)) < options.bin_masking_fraction]
    types[labs] = vocabulary.bins + 1
    targets = {
        "masked_index": index,
        "labels": labels,
        "bin_labels": np.where(bins > 0, bins, NO_LABEL),
    }
    if options.bin_masking_fraction:
        alone = tokens.token_type_ids[labs].astype(np.int64)
        targets |= {"bin_only_index": labs, "bin_only_labels": alone}
    return replace(tokens, input_ids=ids, token_type_ids=types), Targets(targets, len(index))


def _draw_targets(
    maskable: npt.NDArray[np.bool_], options: MlmOptions, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return which positions become targets: each with the same chance, at least one if any may."""
    # 16 random bits a token are precise enough, and four times as fast as a float.
    draws = np.frombuffer(rng.bytes(2 * len(maskable)), np.uint16)
    index = np.flatnonzero(maskable & (draws < round(options.prediction_fraction * 2**16)))
    if not index.size and maskable.any():
        index = rng.choice(np.flatnonzero(maskable), 1)
    return index


def maskable_tokens(vocabulary: Vocabulary, options: MlmOptions) -> npt.NDArray[np.bool_]:
    """Return for each token id whether it may be a target, [size]."""
    if options.mask_demographics:
        return vocabulary.is_code | vocabulary.is_demographic
    return vocabulary.is_code
