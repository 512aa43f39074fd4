"""Sparse matrices that are larger than memory should hold: their numbers lie in a file."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from clm_ler.files.arrow import ragged_offsets


def spill(parts: Iterable[sp.csr_matrix], folder: Path) -> sp.csr_matrix:
    """Return matrices under one another, memory-mapped: what is read of it is all that is in memory.

    Args:
        parts: At least one; float32, of equal width.
        folder: A local folder. The files have no name there and vanish with the matrix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryFile(dir=folder) as columns,
        tempfile.TemporaryFile(dir=folder) as values,
    ):
        lengths, width = [], 0
        for part in parts:
            part.indices.astype(np.int32).tofile(columns)
            part.data.astype(np.float32).tofile(values)
            lengths.append(np.diff(part.indptr))
            width = part.shape[1]
        offsets = ragged_offsets(np.concatenate(lengths))
        if not offsets[-1]:  # an empty file cannot be mapped
            return sp.csr_matrix((len(offsets) - 1, width), dtype=np.float32)
        columns.flush()
        values.flush()
        mapped = (
            np.memmap(values, np.float32, "r"),
            np.memmap(columns, np.int32, "r"),
            offsets.astype(np.int32),
        )
        return sp.csr_matrix(mapped, shape=(len(offsets) - 1, width), copy=False)
