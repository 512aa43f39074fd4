"""Where things lie: paths and URLs."""

from typing import Any

from clm_ler.files.digests import digest

WORKSPACES = "data/tmp/work"


def dataset_location(dataset: Any) -> str | None:
    """Return the path or URL of a catalog entry, None where it has none (memory, a database table).

    An optional one lies where the dataset lies that it wraps.
    """
    dataset = getattr(dataset, "wrapped", dataset)
    path = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
    if path is None:
        return None
    protocol = getattr(dataset, "_protocol", None) or getattr(dataset, "_fs_prefix", None) or ""
    protocol = str(protocol).removesuffix("://")
    return str(path) if "://" in str(path) or not protocol else f"{protocol}://{path}"


def address(place: str, path: str) -> str:
    """Return a path of the file system of a place as an engine takes it: with the place's scheme, if it has one."""
    scheme, separator, _ = place.partition("://")
    return f"{scheme}://{path}" if separator else path


def is_remote(place: str) -> bool:
    """Return whether a place is a URL, not a path of this machine."""
    return "://" in place and not place.startswith("file://")


def local_folder(place: str) -> str:
    """Return the local folder that stands for a place: itself, or one of its own where it is remote.

    For what has to be local although the storage is not, such as checkpoints.
    """
    if is_remote(place):
        return f"{WORKSPACES}/{digest(place)}"
    return place.removeprefix("file://")


def below(folder: str | None, path: str) -> str | None:
    """Return a path below a folder, None where no folder is named."""
    return None if folder is None else f"{folder}/{path}"
