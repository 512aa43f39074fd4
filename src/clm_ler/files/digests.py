"""One way to name content: the same content has the same digest in every process and on every machine.

Whoever keeps results under a digest puts a version of his own among the parts, and raises it by hand
when the code makes other results of the same input.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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


def unique_name(prefix: str) -> str:
    """Return a name that nothing else has, for a view or a file."""
    return f"{prefix}_{uuid.uuid4().hex}"


def json_sha256(content: Any) -> str:
    """Return the SHA-256 of content as JSON.

    Saved models carry these digests of their vocabulary: they must never change.
    """
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def viz_id(text: str) -> str:
    """Return the digest by which kedro-viz knows a node or a dataset that is written so."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:8]


def _update(state: Any, part: Any) -> None:
    """Add a part, with its kind and size in front, so that no two lists of parts read the same."""
    if isinstance(part, pa.ChunkedArray | pa.Array):
        _update_with_column(state, part)
    elif isinstance(part, np.ndarray) and part.dtype != object:
        _frame(state, f"array {part.dtype.str} {part.shape}", _bytes_of(part))
    elif isinstance(part, bytes | bytearray | memoryview):
        _frame(state, "bytes", part)
    elif isinstance(part, Mapping):
        _update_with_items(state, "mapping", sorted(part.items(), key=repr))
    elif isinstance(part, list | tuple):
        _update_with_items(state, "list", part)
    elif part is None or isinstance(part, str | int | float | bool):
        _frame(state, type(part).__name__, str(part).encode())
    else:
        raise TypeError(f"No digest of a {type(part).__name__} is known.")


def _update_with_items(state: Any, kind: str, items: Sequence[Any]) -> None:
    _frame(state, f"{kind} {len(items)}", b"")
    for item in items:
        _update(state, item)


def _update_with_column(state: Any, column: pa.ChunkedArray | pa.Array) -> None:
    """Add the values of a column: where nulls are, how long lists and texts are, and plain values.

    Each of these runs through all chunks before the next one, so that chunks leave no trace.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    kind = column.type
    _frame(state, f"column {kind} {len(column)} {column.null_count}", b"")
    if column.null_count:
        _update_with_arrays(state, (chunk.is_null() for chunk in chunks))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        _update_with_arrays(state, (_lengths(pc.list_value_length(chunk)) for chunk in chunks))
        values = [chunk.flatten() for chunk in chunks]
        _update_with_column(state, pa.chunked_array(values, kind.value_type))
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        _update_with_arrays(state, (_lengths(pc.binary_length(chunk)) for chunk in chunks))
        for chunk in chunks:
            state.update(_text_of(chunk))
    elif pa.types.is_primitive(kind):
        _update_with_arrays(state, (_numbers(chunk) for chunk in chunks))
    else:
        raise TypeError(f"No digest of a column of {kind} is known.")


def _update_with_arrays(state: Any, arrays: Iterable[pa.Array]) -> None:
    for array in arrays:
        state.update(_bytes_of(array.to_numpy(zero_copy_only=False)))


def _lengths(lengths: pa.Array) -> pa.Array:
    return lengths.fill_null(0).cast(pa.int64())


def _numbers(chunk: pa.Array) -> pa.Array:
    """Return the values as numbers or booleans, nulls as 0."""
    if pa.types.is_temporal(chunk.type):
        chunk = chunk.cast(pa.int32() if chunk.type.bit_width == 32 else pa.int64())
    return chunk.fill_null(pa.scalar(0).cast(chunk.type))


def _text_of(chunk: pa.Array) -> memoryview:
    """Return the bytes of all texts of a column in a row."""
    texts = chunk.fill_null("").cast(pa.large_binary())
    _valid, places, content = texts.buffers()
    offsets = np.frombuffer(places, np.int64, len(texts) + 1, 8 * texts.offset)
    return memoryview(content or b"")[offsets[0] : offsets[-1]]


def _bytes_of(array: np.ndarray) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _frame(state: Any, kind: str, content: Any) -> None:
    size = memoryview(content).nbytes
    state.update(f"{kind} {size}:".encode())
    state.update(content)
