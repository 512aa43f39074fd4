"""Saved models: no file in them runs code, and each is as it was saved."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

SUMS = "SHA256SUMS"  # as the command `sha256sum --check` reads it
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
# Pickles and code: loading them runs what stands in them.
_RUNS = frozenset(
    [
        ".bin",
        ".pt",
        ".pth",
        ".pkl",
        ".pickle",
        ".ckpt",
        ".joblib",
        ".dill",
        ".npy",
        ".npz",
        ".h5",
        ".keras",
        ".py",
        ".pyc",
        ".so",
        ".msgpack",
    ]
)
_STORED = ".safetensors"
# What a configuration says of the size of a model: memory for it is taken before its weights are looked at.
_SIZES = ("hidden_size", "intermediate_size", "vocab_size", "type_vocab_size", "num_lab_bins")
_FREE = frozenset({SUMS, "README.md", "_SUCCESS"})  # a card may be written anew


class UnfitModelError(ValueError):
    """A folder that is no model as it was saved."""


def write_sums(folder: Path) -> None:
    """Note the SHA-256 of each file of a folder in it."""
    lines = [f"{sha256_of(path)}  {name}\n" for name, path in _files(folder).items()]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def check_folder(folder: Path) -> None:
    """Look at the files of a saved model, tokenizer or classifier before anything loads them.

    Raises:
        UnfitModelError: If one of them could run code, is not as it was saved, or is missing.
    """
    files = _files(folder)
    if running := [name for name in files if Path(name).suffix.lower() in _RUNS]:
        raise UnfitModelError(
            f"{folder} holds {running[0]}, which may run code when it is loaded: weights are read from "
            ".safetensors only. Remove it, or save the model anew with save_pretrained."
        )
    if (folder / SUMS).exists():
        _compare(folder, files)
    shapes = {name: shapes_of(path) for name, path in files.items() if path.suffix == _STORED}
    for name, path in files.items():
        if path.suffix == ".json":
            content = _read_json(path)
            _check_json(folder, name, content)
            if name == CONFIG and WEIGHTS in shapes:
                _check_sizes(path, content, shapes[WEIGHTS])
    if CONFIG in files and WEIGHTS not in files and not (folder / f"{WEIGHTS}.index.json").exists():
        raise UnfitModelError(f"{folder} has a {CONFIG} and no {WEIGHTS}: it is no whole model.")


def check_weights(model: Any, folder: Path) -> None:
    """Compare a loaded model with its file: Transformers fills what is missing with random numbers.

    Raises:
        UnfitModelError: If the file lacks a tensor of the model, or has it in another shape.
    """
    if not (folder / WEIGHTS).exists() or not hasattr(model, "state_dict"):
        return
    found, ours = shapes_of(folder / WEIGHTS), model.state_dict()
    there = {ours[name].data_ptr() for name in ours.keys() & found.keys()}
    lacking = [name for name in ours if name not in found and ours[name].data_ptr() not in there]
    other = [name for name in ours if name in found and tuple(ours[name].shape) != found[name]]
    if unfit := [*lacking, *other]:
        raise UnfitModelError(
            f"{folder / WEIGHTS} does not fit its {CONFIG}: {len(unfit)} tensors are missing or of "
            f"another shape, {unfit[0]} first. It is the weights of another model."
        )


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a file; its header alone is read.

    Raises:
        UnfitModelError: If it is no such file, or only a part of one.
    """
    try:
        with safe_open(path, framework="np") as stored:
            return {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UnfitModelError(f"{path} is damaged, or no safetensors file.") from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnfitModelError(f"{path} is damaged: it is no JSON.") from error


def _check_json(folder: Path, name: str, content: Any) -> None:
    if isinstance(content, dict) and (content.get("auto_map") or content.get("custom_pipelines")):
        raise UnfitModelError(f"{folder}: {name} names code of its own (auto_map): it is not run.")


def _check_sizes(path: Path, content: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse a configuration of a model that is larger than its file of weights."""
    if not isinstance(content, dict):
        raise UnfitModelError(f"{path} is damaged: it is no configuration.")
    most = dict.fromkeys(
        _SIZES, max((size for shape in shapes.values() for size in shape), default=0)
    )
    most["num_hidden_layers"] = len(shapes)
    for name, largest in most.items():
        size = content.get(name, 0)
        if isinstance(size, int | float) and not 0 <= size <= largest:
            raise UnfitModelError(
                f"{path} does not fit {WEIGHTS}: it says {name} = {str(size)[:12]}, and no tensor is as large."
            )


def _compare(folder: Path, files: dict[str, Path]) -> None:
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if fault := fault_of(files, listed):
        raise UnfitModelError(
            f"{folder} is not as it was saved: {fault}. Save the model anew; where you have "
            f"changed it yourself, remove {SUMS}."
        )


def fault_of(files: Mapping[str, Path], listed: Mapping[str, str]) -> str | None:
    """Return the name of the first file that is not as listed, and what is wrong with it; often nothing.

    Args:
        files: By name.
        listed: The SHA-256 of each, by name.
    """
    for name, digest in listed.items():
        if name not in files:
            return f"{name} is missing"
        if sha256_of(files[name]) != digest:
            return f"{name} has another SHA-256"
    unlisted = min(files.keys() - listed.keys(), default=None)
    return unlisted and f"{unlisted} is not listed"


def _files(folder: Path) -> dict[str, Path]:
    return {name: path for name, path in files_below(folder).items() if name not in _FREE}


def files_below(folder: Path) -> dict[str, Path]:
    """Return the files below a folder by their path there, in order."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in paths}
