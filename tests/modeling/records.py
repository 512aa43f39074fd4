"""Records with something to learn: each person has one of three conditions, which shows everywhere."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from clm_ler.files.arrow import map_files
from clm_ler.tokens import SPECIAL_TOKENS

BINS = 4
CODES = 12
WORDS = [
    *SPECIAL_TOKENS,
    *(f"AGE:{age}" for age in range(121)),
    *(f"ICD10CM:{number}" for number in range(CODES)),
    "LOINC:4548-4",
]


def tokenizer(more_words: tuple[str, ...] = (), bins: int = BINS) -> PreTrainedTokenizerFast:
    ids = {word: number for number, word in enumerate([*WORDS, *more_words])}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(ids, unk_token="[UNK]")),
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        mask_token="[MASK]",
        bin_labels=[f"bin {number}" for number in range(bins)],
    )


def records(persons: int = 60, seed: int = 0) -> pa.Table:
    """Return ``encoded_sequences``: codes of the person's condition, and a lab whose bin tells it."""
    rng = np.random.default_rng(seed)
    rows = [_person(number, rng) for number in range(persons)]
    lists = {"input_ids": pa.int32(), "token_type_ids": pa.uint8(), "position_ids": pa.uint16()}
    types = {name: pa.list_(kind) for name, kind in lists.items()}
    types |= {"person_id": pa.int64(), "split": pa.string(), "birth_to_start": pa.int32()}
    return pa.table({n: pa.array([row[n] for row in rows], kind) for n, kind in types.items()})


def mapped_records(directory: Path, persons: int = 60) -> pa.Table:
    """Return the records mapped from a file, as the catalog does."""
    table = records(persons)
    path = str(directory / "records.arrow")
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    return map_files([path])


def _person(number: int, rng: np.random.Generator) -> dict[str, object]:
    events, condition = int(rng.integers(8, 24)), number % 3
    codes = rng.integers(0, CODES // 3, events) * 3 + condition
    lab = rng.random(events) < 0.3
    first, age = WORDS.index("ICD10CM:0"), int(rng.integers(20, 80))
    ids = np.where(lab, WORDS.index("LOINC:4548-4"), first + codes)
    return {
        "person_id": number,
        "split": ("train", "train", "train", "valid", "test")[number % 5],
        "birth_to_start": age * 365,
        "input_ids": [WORDS.index(f"AGE:{age}"), *ids],
        "token_type_ids": [0, *np.where(lab, condition + 1, 0)],
        "position_ids": [0, *(1 + np.sort(rng.integers(0, 300, events)))],
    }
