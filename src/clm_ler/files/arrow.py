"""Arrow files that are mapped into memory, and lists as flat values with offsets."""

import json
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MAPPED_FILES = b"mapped_files"


def map_files(paths: Sequence[str]) -> pa.Table:
    """Return the rows of local Arrow files, memory-mapped.

    The schema's metadata name the files, so that another process can map them too (`mapped_files`)
    instead of being sent what is in them.
    """
    tables = [pa.ipc.open_file(pa.memory_map(path)).read_all() for path in paths]
    files = json.dumps([os.path.abspath(path) for path in paths])
    return pa.concat_tables(tables).replace_schema_metadata({MAPPED_FILES: files})


def mapped_files(table: pa.Table) -> list[str] | None:
    """Return the files that `map_files` has made the table of, ``None`` for any other table."""
    files = (table.schema.metadata or {}).get(MAPPED_FILES)
    return None if files is None else json.loads(files)


def evenly_spaced(size: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most so many of the numbers below ``size``, spread evenly, ascending."""
    return np.linspace(0, size - 1, min(size, most)).astype(np.int64)


def ragged_offsets(lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return where each ragged row starts and the last one ends, int64 [n + 1]."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def ragged_arange(offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return 0, 1, 2 ... anew for each ragged row, [t]."""
    return np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def ragged_count_until(
    values: npt.NDArray[np.integer],
    offsets: npt.NDArray[np.integer],
    rows: npt.NDArray[np.integer],
    limits: npt.NDArray[np.integer],
) -> npt.NDArray[np.int64]:
    """Return how many values of a ragged row are not above a limit, int64 [limits], by bisection.

    Args:
        values: Of all rows, ascending within each.
        offsets: Where each row starts and the last one ends.
        rows: The row that each limit is for.
        limits: In any order.
    """
    first = np.asarray(offsets, np.int64)[rows]
    low, high = first.copy(), np.asarray(offsets, np.int64)[rows + 1]
    while (searched := np.flatnonzero(low < high)).size:
        middle = (low[searched] + high[searched]) // 2
        above = values[middle] > limits[searched]
        high[searched[above]] = middle[above]
        low[searched[~above]] = middle[~above] + 1
    return low - first
