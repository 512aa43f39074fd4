"""What a training is of, in a form that can be compared."""

import hashlib
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from transformers import PreTrainedTokenizerBase

from clm_ler.modeling.data.store import TOKEN_COLUMNS
from clm_ler.modeling.data.vocabulary import vocabulary_digest
from clm_ler.pipelines.pretrain.options import PretrainOptions

# What may change between the start of a training and its continuation.
NOT_COMPARED = {
    "checkpoints",
    "overwrite",
    "save_total_limit",
    "dataloader_num_workers",
    "eval_persons",
    "license",
    "preset",
    "presets",
}


def describe_run(
    encoded_sequences: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    options: PretrainOptions,
    seed: int,
) -> dict[str, Any]:
    """Return everything that decides the outcome of a training: data, tokenizer, parameters, seed."""
    return {
        "data": describe_data(encoded_sequences) | {"sha256": hash_content(encoded_sequences)},
        "tokenizer": {"tokens": len(tokenizer), "sha256": vocabulary_digest(tokenizer)},
        "parameters": options.model_dump(mode="json", exclude=NOT_COMPARED),
        "seed": seed,
    }


def describe_data(encoded_sequences: pa.Table) -> dict[str, Any]:
    """Return the persons of each split, and the tokens of all."""
    splits = pc.value_counts(encoded_sequences["split"].combine_chunks()).to_pylist()
    lengths = pc.list_value_length(encoded_sequences["input_ids"])
    return {
        "persons": {entry["values"]: entry["counts"] for entry in splits},
        "tokens": pc.sum(lengths).as_py(),
    }


def hash_content(table: pa.Table) -> str:
    """Return the SHA-256 of the rows in their order, however they are cut into chunks."""
    parts = [_hash(table[name]) for name in ("person_id", "split", "birth_to_start")]
    for name in TOKEN_COLUMNS:
        lengths = pc.list_value_length(table[name])
        parts += [_hash(lengths), _hash(pc.list_flatten(table[name]))]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _hash(column: pa.ChunkedArray) -> str:
    digest = hashlib.sha256()
    for chunk in column.chunks:
        if pa.types.is_integer(chunk.type):
            digest.update(pc.fill_null(chunk, 0).to_numpy(zero_copy_only=False))
        else:
            digest.update("".join(f"{text}\n" for text in chunk.to_pylist()).encode())
    return digest.hexdigest()
