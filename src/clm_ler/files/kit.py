"""A transport kit: a model with all that another site needs to use it, and an inventory.

It is laid out as a storage is, so that what reads a training reads a kit, too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clm_ler import __version__
from clm_ler.files.location import is_remote
from clm_ler.files.model_folder import (
    SUMS,
    UnfitModelError,
    fault_of,
    files_below,
    sha256_of,
    write_sums,
)

FORMAT = 1  # raise it when an older clm-ler could not use a kit
INVENTORY = "kit.json"
HEAD = "06_models/finetuned_model"
STATEMENT = (
    "No file of this kit has a row about a person. Every token, unit, percentile, translation and figure in "
    "it is of at least min_persons persons; the weights are learned from all persons of the training."
)


@dataclass(frozen=True)
class Part:
    """A part of a kit.

    Attributes:
        content: A model or a tokenizer (``save_pretrained``), an Arrow table, a text, or JSON.
        holds: What it is, in a few words.
        persons: The smallest number of persons that anything in it rests on; ``None``: on no persons.
    """

    content: Any
    holds: str
    persons: int | None = None

    def write(self, path: Path) -> None:
        """Write a file, or a folder of a model."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if hasattr(self.content, "save_pretrained"):
            self.content.save_pretrained(path)
            write_sums(path)
        elif isinstance(self.content, pa.Table):
            pq.write_table(self.content, path)
        elif isinstance(self.content, str):
            path.write_text(self.content, encoding="utf-8")
        else:
            path.write_text(
                json.dumps(self.content, indent=2, ensure_ascii=False), encoding="utf-8"
            )


@dataclass(frozen=True)
class Kit:
    """What is packaged.

    Attributes:
        parts: By their place in the folder.
        about: What its inventory says beside the files.
    """

    parts: Mapping[str, Part]
    about: Mapping[str, Any]

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the parts into a folder, and ``kit.json``, their inventory."""
        folder = Path(directory)
        files = []
        for place, part in self.parts.items():
            part.write(folder / place)
            files += [_listed(path, folder, part) for path in _files_at(folder / place)]
        inventory = {"format": FORMAT, "clm_ler": __version__, "statement": STATEMENT}
        content = inventory | dict(self.about) | {"files": files}
        (folder / INVENTORY).write_text(
            json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8"
        )

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> dict[str, Any]:
        """Return the inventory of a kit, see :func:`check_kit`."""
        return check_kit(str(directory))


def check_kit(place: str) -> dict[str, Any]:
    """Return the inventory of a kit whose files are as they were packaged.

    Raises:
        UnfitModelError: If it is no kit, one of a later format, or one with a file that is another,
            missing or new.
    """
    if is_remote(place):
        raise UnfitModelError(f"{place}: copy the kit to a local folder, it is read from there.")
    folder = Path(place)
    try:
        inventory = json.loads((folder / INVENTORY).read_text(encoding="utf-8"))
        number = int(inventory["format"])
        listed = {row["file"]: row["sha256"] for row in inventory["files"]}
    except (OSError, ArithmeticError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise UnfitModelError(
            f"{folder} is no kit: it has no {INVENTORY} that can be read. A kit is the folder that "
            "`kedro run --pipelines=package` makes."
        ) from error
    if number > FORMAT:
        raise UnfitModelError(
            f"{folder} is a kit of format {number}, made by clm-ler {inventory.get('clm_ler')}; this "
            f"clm-ler, {__version__}, reads kits up to format {FORMAT}: install a later one."
        )
    _compare(folder, listed)
    return dict(inventory)


def _compare(folder: Path, listed: Mapping[str, str]) -> None:
    own = (INVENTORY, SUMS)
    files = {name: path for name, path in files_below(folder).items() if name not in own}
    if fault := fault_of(files, listed):
        raise UnfitModelError(
            f"The kit {folder} is not as it was packaged: {fault}. Get the kit anew."
        )


def _listed(path: Path, folder: Path, part: Part) -> dict[str, Any]:
    return {
        "file": path.relative_to(folder).as_posix(),
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "holds": part.holds,
        "persons": part.persons,
    }


def _files_at(place: Path) -> list[Path]:
    return [place] if place.is_file() else [*files_below(place).values()]
