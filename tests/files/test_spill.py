import mmap

import numpy as np
import pytest
import scipy.sparse as sp

from clm_ler.files.spill import spill


def draw(rows, seed):
    return sp.random(rows, 30, 0.2, format="csr", dtype=np.float32, random_state=seed)


def lies_in_a_file(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


def test_parts_are_one_matrix_that_lies_in_a_file(tmp_path):
    parts = [draw(50, 0), draw(0, 1), draw(20, 2)]
    found = spill(parts, tmp_path / "work")
    expected = sp.vstack(parts, format="csr")
    assert (found[[69, 3, 3]] != expected[[69, 3, 3]]).nnz == 0
    assert lies_in_a_file(found.data) and lies_in_a_file(found.indices)
    assert not list((tmp_path / "work").iterdir())


@pytest.mark.parametrize("rows", [0, 4])
def test_nothing_is_a_matrix_too(tmp_path, rows):
    found = spill([sp.csr_matrix((rows, 7), dtype=np.float32)], tmp_path)
    assert found.shape == (rows, 7) and found.nnz == 0
