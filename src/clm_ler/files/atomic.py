"""The one way that files and folders are written: aside, and put in place when they are whole.

A reader sees what was there before or what is there now, never a part. Where a folder lies in an object
store, which renames nothing, its objects are put in place one by one, a last empty one (``_SUCCESS``)
at the end: without it the folder does not count. A writer that was killed leaves ``.NAME.part`` behind,
which the next one of the same name replaces, and :func:`sweep` removes. Local files are on the disk,
not only in its cache, before they take their names.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

COMPLETE = "_SUCCESS"  # the mark that Spark leaves too


@contextmanager
def replacing(filesystem: AbstractFileSystem, path: str) -> Iterator[str]:
    """Give a name to write a file or a folder under; when the block ends, it takes the path's place.

    If the block fails, what it has written is removed and what was there before stays.

    Args:
        filesystem: Where the path lies.
        path: Without the scheme of a URL.
    """
    aside = _hidden(path, ".part")
    filesystem.makedirs(path.rpartition("/")[0] or ".", exist_ok=True)
    remove(filesystem, aside)
    try:
        yield aside
        _put_in_place(filesystem, aside, path)
    except BaseException:
        remove(filesystem, aside)
        raise


@contextmanager
def writing(filesystem: AbstractFileSystem, path: str) -> Iterator[BinaryIO]:
    """Give a stream into a file that is there as a whole when the block ends, or not at all."""
    with replacing(filesystem, path) as aside, filesystem.open(aside, "wb") as stream:
        yield stream


def write_bytes(filesystem: AbstractFileSystem, path: str, content: bytes) -> None:
    """Write a small file that is there as a whole or not at all."""
    if isinstance(filesystem, LocalFileSystem):
        with writing(filesystem, path) as stream:
            stream.write(content)
    else:  # an object appears when its upload is complete
        filesystem.pipe_file(path, content)


def sync(path: str | Path) -> None:
    """Wait until a local file, or a folder with all that is in it, is on the disk."""
    for folder, _folders, files in os.walk(path):
        for name in (*(os.path.join(folder, file) for file in files), folder):
            _sync(name)
    if not os.path.isdir(path):
        _sync(path)


def sweep(root: Path) -> list[Path]:
    """Remove what killed writers have left below a local folder, and return what it was.

    A folder that was just being replaced is there again as it was before. Nobody may write meanwhile.
    """
    left = []
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            whole, ending = Path(folder, name[1:].rpartition(".")[0]), name.rpartition(".")[2]
            if not name.startswith(".") or ending not in ("part", "old"):
                continue
            left.append(Path(folder, name))
            if ending == "old" and not whole.exists():
                left[-1].rename(whole)
            else:
                remove(LocalFileSystem(), str(left[-1]))
        folders[:] = [name for name in folders if Path(folder, name).exists()]
    return left


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder of the system's, which is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Write a local folder that is there as a whole or not at all.

    Args:
        target: Where it shall be; an earlier one is replaced.
        write: Writes the content into the empty folder it is given.
    """
    with replacing(LocalFileSystem(), str(target)) as aside:
        Path(aside).mkdir()
        write(Path(aside))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file, ``None`` where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write_json(path: Path, content: Any) -> None:
    """Write a local JSON file that is there as a whole or not at all."""
    text = json.dumps(content, indent=2, sort_keys=True)
    write_bytes(LocalFileSystem(), str(path), text.encode())


def remove(filesystem: AbstractFileSystem, path: str) -> None:
    """Remove a file or a folder where there is one; of a folder, the mark that it is whole first."""
    if filesystem.exists(f"{path}/{COMPLETE}"):
        filesystem.rm_file(f"{path}/{COMPLETE}")
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def _hidden(path: str, ending: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}{ending}"


def _put_in_place(filesystem: AbstractFileSystem, aside: str, path: str) -> None:
    if isinstance(filesystem, LocalFileSystem):
        sync(aside)
        _rename(Path(aside), Path(path))
        _sync(Path(path).parent)
        return
    remove(filesystem, path)
    filesystem.invalidate_cache()  # an engine may have written, not this file system
    if not (files := filesystem.find(aside)):
        raise FileNotFoundError(f"Nothing was written to {aside}.")
    for file in sorted(files, key=lambda file: (file.endswith(COMPLETE), file)):
        filesystem.mv(file, path + file.removeprefix(aside))


def _rename(aside: Path, target: Path) -> None:
    """Rename a local file or folder; a folder that was there before is moved away first."""
    if not (target.is_dir() or (aside.is_dir() and target.exists())):
        aside.rename(target)
        return
    old = Path(_hidden(str(target), ".old"))
    remove(LocalFileSystem(), str(old))
    target.rename(old)
    try:
        aside.rename(target)
    except BaseException:
        old.rename(target)
        raise
    remove(LocalFileSystem(), str(old))


def _sync(path: str | Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
