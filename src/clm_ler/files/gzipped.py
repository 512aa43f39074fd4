"""Whether gzip files are whole, and known as gzip: DuckDB reads one that was cut as if it ended there."""

import gzip
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from clm_ler.files.location import is_remote

_PIECE = 2**20  # bytes


def check_ending(path: str) -> None:
    """Refuse a gzip file that engines would read as plain text, as its name ends in ``.GZ``.

    Raises:
        ValueError: If it does.
    """
    if path.lower().endswith(".gz") and not path.endswith(".gz"):
        raise ValueError(f"{path}: engines know gzip by .gz in small letters: rename it.")


def whole(paths: Sequence[str]) -> list[str]:
    """Return the paths, once all local gzip files among them were read to their end.

    Nothing shorter tells: what stands at the end of a file that was cut may be any number. A file is read
    again only when its size or time has changed.

    Raises:
        ValueError: If one was cut, or is damaged.
    """
    local = (path.removeprefix("file://") for path in paths if not is_remote(path))
    packed = [Path(path) for path in local if path.endswith(".gz")]
    with ThreadPoolExecutor() as pool:
        list(pool.map(_check, packed))
    return list(paths)


def _check(path: Path) -> None:
    state = path.stat()
    _read_to_end(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _read_to_end(path: Path, size: int, changed: int) -> None:
    try:
        with gzip.open(path) as stream:
            while stream.read(_PIECE):
                pass
    except EOFError as error:
        raise ValueError(
            f"{path} ends in the middle of its data: it was cut. Copy it anew."
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged, or no gzip file. Copy it anew.") from error
