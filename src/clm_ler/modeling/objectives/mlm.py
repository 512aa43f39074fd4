"""Masked language modelling: which tokens are hidden, what is put there, what is to be told."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from clm_ler.modeling.data.store import Tokens
from clm_ler.modeling.data.vocabulary import Vocabulary

NO_BIN = -100  # ignored by torch's cross entropy


@dataclass(frozen=True)
class MaskingOptions:
    """How tokens are masked (Devlin et al. 2019, section 3.1).

    Attributes:
        prediction_fraction: Share of the tokens that become targets.
        masking_fraction: Share of the targets that are replaced by ``[MASK]``.
        random_replacement_fraction: Share of the targets replaced by a random token; the rest stay.
        mask_demographics: Whether baseline tokens may be targets too.
        bin_masking_fraction: Share of the labs that are no targets whose bin alone is hidden, and to
            be told from the code, which stays, and everything around it.
    """

    prediction_fraction: float = 0.15
    masking_fraction: float = 0.8
    random_replacement_fraction: float = 0.1
    mask_demographics: bool = False
    bin_masking_fraction: float = 0.5


@dataclass(frozen=True)
class Targets:
    """What is to be predicted.

    Attributes:
        index: int64 [m], positions in the flat columns of the tokens, ascending.
        labels: int64 [m], the token ids that stood there.
        bin_labels: int64 [m], their lab bins from 1, ``NO_BIN`` where the token had none.
        bin_only_index: int64 [k], positions of the labs whose code stays, ascending.
        bin_only_labels: int64 [k], their lab bins from 1.
    """

    index: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    bin_labels: npt.NDArray[np.int64]
    bin_only_index: npt.NDArray[np.int64]
    bin_only_labels: npt.NDArray[np.int64]


def mask_tokens(
    tokens: Tokens, vocabulary: Vocabulary, options: MaskingOptions, rng: np.random.Generator
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
    targets = Targets(
        index,
        labels,
        bin_labels=np.where(bins > 0, bins, NO_BIN),
        bin_only_index=labs,
        bin_only_labels=tokens.token_type_ids[labs].astype(np.int64),
    )
    return replace(tokens, input_ids=ids, token_type_ids=types), targets


def _draw_targets(
    maskable: npt.NDArray[np.bool_], options: MaskingOptions, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return which positions become targets: each with the same chance, at least one if any may."""
    # 16 random bits a token are precise enough, and four times as fast as a float.
    draws = np.frombuffer(rng.bytes(2 * len(maskable)), np.uint16)
    index = np.flatnonzero(maskable & (draws < round(options.prediction_fraction * 2**16)))
    if not index.size and maskable.any():
        index = rng.choice(np.flatnonzero(maskable), 1)
    return index


def maskable_tokens(vocabulary: Vocabulary, options: MaskingOptions) -> npt.NDArray[np.bool_]:
    """Return for each token id whether it may be a target, [size]."""
    if options.mask_demographics:
        return vocabulary.is_code | vocabulary.is_demographic
    return vocabulary.is_code
