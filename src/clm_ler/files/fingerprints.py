"""What tells one state of a file or a folder from another, at little cost."""

import posixpath
from typing import Any

import fsspec

from clm_ler.files.digests import digest

SMALL = 2**20  # bytes: such a file's content counts, of a larger one the size
FEW = 100  # files; of more, none is read


def fingerprint(place: str) -> dict[str, Any] | None:
    """Return number of files, bytes and a digest of a file or folder, None where there is nothing.

    The digest is that of names and sizes, and of the content of small files. The files of a table by
    person bucket have new names when they hold other rows, so that it is one of content there, too.
    """
    filesystem, path = fsspec.core.url_to_fs(place)
    sizes = _sizes(place)
    if not sizes:
        return None
    read = [name for name, size in sizes.items() if size <= SMALL and len(sizes) <= FEW]
    names = [posixpath.relpath(name, posixpath.dirname(path)) for name in sizes]
    content = [filesystem.cat_file(name) for name in read]
    return {
        "files": len(sizes),
        "bytes": sum(sizes.values()),
        "digest": digest(names, list(sizes.values()), content),
    }


def size_of(place: str) -> int:
    """Return the bytes of a file or folder."""
    return sum(_sizes(place).values())


def _sizes(place: str) -> dict[str, int]:
    """Return the bytes of each file of a place, by path."""
    filesystem, path = fsspec.core.url_to_fs(place)
    found = filesystem.find(path, detail=True)
    return {name: int(about["size"]) for name, about in sorted(found.items())}
