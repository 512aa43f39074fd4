"""A directory in which a training can be killed at any moment and continued.

    fingerprint.json    what is trained: data, model to start from, tokenizer, parameters, seed
    initial/            the weights it starts from
    checkpoint-100/     Trainer's files, and ``complete`` once all of them are written
    result/             the best model and the history; there once training is over

Checkpoints are working files: Trainer writes optimizer, scheduler and random state with
``torch.save``, and they are read back with ``weights_only=True``, which runs no code. They hold
weights and moments, no rows of data. Nothing of them goes into an artifact.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from transformers import PreTrainedModel, TrainerState
from transformers.trainer_utils import sort_checkpoints

from clm_ler.files.atomic import read_json, write_json
from clm_ler.files.digests import digest
from clm_ler.modeling.data.store import TOKEN_COLUMNS

COMPLETE = "complete"
FINGERPRINT = "fingerprint.json"
INITIAL = "initial"
RESULT = "result"


class ChangedRunError(ValueError):
    """The directory holds the training of something else."""


def open_run(directory: Path, fingerprint: Mapping[str, Any], overwrite: bool) -> None:
    """Make the directory ready for a training of this fingerprint.

    One that was begun is kept, so that it can go on; a finished one too, unless ``overwrite`` is
    set, which starts it again. Checkpoints that were not written to their end are removed.

    Raises:
        ChangedRunError: If the directory holds a training of other data or parameters that has
            got as far as a checkpoint, and ``overwrite`` is not set.
    """
    # As it is read back: a tuple of today is a list of then.
    fingerprint = json.loads(json.dumps(fingerprint))
    changes = differences(read_json(directory / FINGERPRINT) or {}, fingerprint)
    worth_keeping = is_finished(directory) or bool(last_checkpoint(directory))
    if changes and worth_keeping and not overwrite:
        raise ChangedRunError("; ".join(changes))
    directory.mkdir(parents=True, exist_ok=True)
    start_again = bool(changes) or (overwrite and is_finished(directory))
    for checkpoint in map(Path, sort_checkpoints(str(directory))):
        if start_again or not (checkpoint / COMPLETE).exists():
            shutil.rmtree(checkpoint)
    if start_again:
        for name in (INITIAL, RESULT):
            shutil.rmtree(directory / name, ignore_errors=True)
    write_json(directory / FINGERPRINT, fingerprint)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what changed between two nested mappings, one ``name: before -> now`` per leaf."""
    changes: list[str] = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            changes += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            changes.append(f"{prefix}{name}: {old} -> {new}")
    return changes


def last_checkpoint(directory: Path) -> str | None:
    """Return the newest checkpoint that was written to its end."""
    checkpoints = sort_checkpoints(str(directory)) if directory.is_dir() else []
    whole = [path for path in checkpoints if (Path(path) / COMPLETE).exists()]
    return whole[-1] if whole else None


def has_ended(state: TrainerState) -> bool:
    """Return whether training was over, by its steps or by early stopping, where this state was saved."""
    callbacks: Any = state.stateful_callbacks  # as they were saved: by name
    return bool(callbacks["TrainerControl"]["args"]["should_training_stop"])


def is_finished(directory: Path) -> bool:
    """Return whether the training is over."""
    return (directory / RESULT).is_dir()


def describe_data(encoded_sequences: pa.Table) -> dict[str, Any]:
    """Return what :func:`count_data` does, and the digest of the content."""
    columns = ("person_id", "split", "birth_to_start", *TOKEN_COLUMNS)
    content = digest(*(encoded_sequences[name] for name in columns))
    return count_data(encoded_sequences) | {"digest": content}


def count_data(encoded_sequences: pa.Table) -> dict[str, Any]:
    """Return the persons of each split, and the tokens of all."""
    splits = pc.value_counts(encoded_sequences["split"].combine_chunks()).to_pylist()
    lengths = pc.list_value_length(encoded_sequences["input_ids"])
    return {
        "persons": {entry["values"]: entry["counts"] for entry in splits},
        "tokens": pc.sum(lengths).as_py(),
    }


def weights_digest(model: PreTrainedModel | None) -> str | None:
    """Return the digest of a model's weights, ``None`` of none."""
    if model is None:
        return None
    weights = {name: values.cpu().float().numpy() for name, values in model.state_dict().items()}
    return digest(weights)
