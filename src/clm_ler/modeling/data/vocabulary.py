"""What the torch side needs to know of a tokenizer, as arrays."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from clm_ler.files.digests import json_sha256
from clm_ler.tokens import (
    AGE,
    AGE_TOKEN,
    CLS,
    DEMOGRAPHIC_SYSTEMS,
    MASK,
    PAD,
    SPECIAL_TOKENS,
    UNK,
    age_ids,
    system_of,
)


@dataclass(frozen=True)
class Vocabulary:
    """Ids of the special tokens, of the ages, and of what may be masked.

    Attributes:
        size: Number of tokens, specials included.
        bins: Number of lab bins B. A token type is 0 (no bin), 1 to B, or B + 1 where it is masked.
        pad: Id of ``[PAD]``; likewise ``unk``, ``cls``, ``mask``.
        age_ids: int32 [OLDEST_AGE + 1], the token id of each age in whole years.
        is_age: bool [size], True for the age tokens.
        years: int32 [size], the age that a token tells, -1 for any other.
        is_demographic: bool [size], True for the tokens of the baseline (ages included).
        is_code: bool [size], True for what is neither special nor demographic.
        codes: int32, the ids of those.
    """

    size: int
    bins: int
    pad: int
    unk: int
    cls: int
    mask: int
    age_ids: npt.NDArray[np.int32]
    is_age: npt.NDArray[np.bool_]
    years: npt.NDArray[np.int32]
    is_demographic: npt.NDArray[np.bool_]
    is_code: npt.NDArray[np.bool_]
    codes: npt.NDArray[np.int32]

    @classmethod
    def from_tokenizer(cls, tokenizer: Any, config: Any = None) -> Self:
        """Return the vocabulary of a tokenizer that the pipeline ``vocab`` has built.

        Args:
            tokenizer: The tokenizer.
            config: The configuration of a model that is to be used with it.

        Raises:
            ValueError: If the model was trained with another tokenizer: its ids would mean other codes.
        """
        if config is not None:
            check_tokenizer(tokenizer, config)
        return cls.from_tokens(tokenizer.get_vocab(), len(tokenizer.init_kwargs["bin_labels"]))

    @classmethod
    def from_tokens(cls, ids: Mapping[str, int], bins: int) -> Self:
        """Return the vocabulary of a mapping of tokens to ids, the specials among them.

        Raises:
            ValueError: If a special token is missing.
        """
        if missing := [token for token in SPECIAL_TOKENS if token not in ids]:
            raise ValueError(f"The vocabulary has no {', '.join(missing)}.")
        is_age, is_demographic = np.zeros((2, len(ids)), dtype=bool)
        years = np.full(len(ids), -1, np.int32)
        for token, index in ids.items():
            system = system_of(token)
            is_age[index] = system == AGE
            age = re.match(AGE_TOKEN, token)
            years[index] = int(age["age"]) if age else -1
            is_demographic[index] = system in DEMOGRAPHIC_SYSTEMS
        is_code = ~is_demographic
        is_code[[ids[token] for token in SPECIAL_TOKENS]] = False
        return cls(
            size=len(ids),
            bins=bins,
            pad=ids[PAD],
            unk=ids[UNK],
            cls=ids[CLS],
            mask=ids[MASK],
            age_ids=np.array(age_ids(ids), np.int32),
            is_age=is_age,
            years=years,
            is_demographic=is_demographic,
            is_code=is_code,
            codes=np.flatnonzero(is_code).astype(np.int32),
        )


def vocabulary_digest(tokenizer: Any) -> str:
    """Return the SHA-256 of the tokens with their ids and of the names of the lab bins."""
    content = [sorted(tokenizer.get_vocab().items()), tokenizer.init_kwargs["bin_labels"]]
    return json_sha256(content)


def check_tokenizer(tokenizer: Any, config: Any) -> None:
    """Refuse a tokenizer that is not the model's: by its digest, by its size where none was kept."""
    digest = getattr(config, "vocabulary_digest", None)
    if len(tokenizer) != config.vocab_size or digest not in (None, vocabulary_digest(tokenizer)):
        raise ValueError(
            f"The tokenizer ({len(tokenizer)} tokens) is not the one that the model "
            f"({config.vocab_size} tokens) was trained with. Use model and tokenizer of one training:"
            " run pretrain again, or point both catalog entries at the same storage."
        )
