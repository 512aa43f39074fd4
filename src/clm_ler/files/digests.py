"""One way to name content: the same content has the same digest in every process and on every machine.

Whoever keeps results under a digest puts a version of his own among the parts, and raises it by hand
when the code makes other results of the same input.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

LENGTH = 32  # hexadecimal digits, 128 bits


def digest(*parts: Any) -> str:
    """Return the digest of texts, bytes, numbers, arrays, Arrow columns, and lists and mappings of these.

    How an Arrow column is cut into chunks makes no difference, and neither does the order of a mapping.

    >>> digest("a", 1) == digest("a", 1), digest("a", "b") == digest("ab")
    (True, False)
    """
    state = hashlib.sha256()
    for part in parts:
        _update(state, part)
    return state.hexdigest()[:LENGTH]


def json_sha256(content: Any) -> str:
    """Return the SHA-256 of content as JSON.

    Saved models carry these digests of their vocabulary: they must never change.
    """
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _update(state: Any, part: Any) -> None:
    """Add a part, with its kind and size in front, so that no two lists of parts read the same."""
    if isinstance(part, pa.ChunkedArray | pa.Array):
        _update_with_column(state, part)
    elif isinstance(part, np.ndarray):
        _frame(state, f"array {part.dtype.str} {part.shape}", np.ascontiguousarray(part).data)
    elif isinstance(part, bytes | bytearray | memoryview):
        _frame(state, "bytes", part)
    elif isinstance(part, Mapping):
        _update_with_items(state, "mapping", sorted(part.items(), key=lambda item: str(item[0])))
    elif isinstance(part, list | tuple):
        _update_with_items(state, "list", part)
    elif part is None or isinstance(part, str | int | float | bool):
        _frame(state, type(part).__name__, str(part).encode())
    else:
        raise TypeError(f"No digest of a {type(part).__name__} is known.")


def _update_with_items(state: Any, kind: str, items: Iterable[Any]) -> None:
    items = list(items)
    _frame(state, f"{kind} {len(items)}", b"")
    for item in items:
        _update(state, item)


def _update_with_column(state: Any, column: pa.ChunkedArray | pa.Array) -> None:
    """Add the values of a column: numbers and times by their bytes, texts by their lengths and bytes."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    _frame(state, f"column {column.type} {len(column)} {column.null_count}", b"")
    for chunk in chunks:
        for values in _plain_arrays(chunk):
            state.update(np.ascontiguousarray(values).data)


def _plain_arrays(chunk: pa.Array) -> Iterable[np.ndarray]:
    import pyarrow.compute as pc

    if chunk.null_count:
        yield chunk.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_list(chunk.type) or pa.types.is_large_list(chunk.type):
        yield pc.list_value_length(chunk).fill_null(0).to_numpy(zero_copy_only=False)
        yield from _plain_arrays(chunk.flatten())
    elif pa.types.is_string(chunk.type) or pa.types.is_large_string(chunk.type):
        yield pc.binary_length(chunk).fill_null(0).to_numpy(zero_copy_only=False)
        yield np.frombuffer("".join(chunk.fill_null("").to_pylist()).encode(), np.uint8)
    elif pa.types.is_temporal(chunk.type):
        width = pa.int32() if chunk.type.bit_width == 32 else pa.int64()
        yield chunk.cast(width).fill_null(0).to_numpy(zero_copy_only=False)
    else:
        zero = pa.scalar(0).cast(chunk.type)
        yield chunk.fill_null(zero).to_numpy(zero_copy_only=False)


def _frame(state: Any, kind: str, content: Any) -> None:
    size = memoryview(content).nbytes
    state.update(f"{kind} {size}:".encode())
    state.update(content)
