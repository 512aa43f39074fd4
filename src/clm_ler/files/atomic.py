"""The one way that files and folders are written: aside, and put in place when they are whole.

A reader sees what was there before or what is there now, never a part. Where a folder lies in an object
store, which renames nothing, its objects are put in place one by one, a last empty one (``_SUCCESS``)
at the end: without it the folder does not count.
"""

import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

COMPLETE = "_SUCCESS"  # the mark that Spark leaves too


def name_aside(path: str) -> str:
    """Return a new hidden name in the folder of a path."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}-{uuid.uuid4().hex}"


@contextmanager
def replacing(filesystem: AbstractFileSystem, path: str) -> Iterator[str]:
    """Give a name to write a file or a folder under; when the block ends, it takes the path's place.

    If the block fails, what it has written is removed and what was there before stays.

    Args:
        filesystem: Where the path lies.
        path: Without the scheme of a URL.
    """
    aside = name_aside(path)
    filesystem.makedirs(path.rpartition("/")[0] or ".", exist_ok=True)
    try:
        yield aside
        _put_in_place(filesystem, aside, path)
    except BaseException:
        if filesystem.exists(aside):
            filesystem.rm(aside, recursive=True)
        raise


def write_bytes(filesystem: AbstractFileSystem, path: str, content: bytes) -> None:
    """Write a small file that is there as a whole or not at all."""
    if isinstance(filesystem, LocalFileSystem):
        with replacing(filesystem, path) as aside:
            filesystem.pipe_file(aside, content)
    else:  # an object appears when its upload is complete
        filesystem.pipe_file(path, content)


def replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Write a local folder that is there as a whole or not at all.

    Args:
        target: Where it shall be; an earlier one is replaced.
        write: Writes the content into the empty folder it is given.
    """

    with replacing(LocalFileSystem(), str(target)) as aside:
        Path(aside).mkdir(parents=True)
        write(Path(aside))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, ``None`` where there is none."""
    return json.loads(path.read_text()) if path.exists() else None


def write_json(path: Path, content: Any) -> None:
    """Write a local JSON file that is there as a whole or not at all."""
    text = json.dumps(content, indent=2, sort_keys=True)
    write_bytes(LocalFileSystem(), str(path), text.encode())


def _put_in_place(filesystem: AbstractFileSystem, aside: str, path: str) -> None:
    if isinstance(filesystem, LocalFileSystem):
        if Path(path).is_dir():
            shutil.rmtree(path)
        Path(aside).replace(path)
        return
    if filesystem.exists(path):
        # The mark first: from now on, the folder does not count.
        if filesystem.exists(f"{path}/{COMPLETE}"):
            filesystem.rm(f"{path}/{COMPLETE}")
        filesystem.rm(path, recursive=True)
    for file in sorted(filesystem.find(aside), key=lambda file: (file.endswith(COMPLETE), file)):
        filesystem.mv(file, path + file.removeprefix(aside))
