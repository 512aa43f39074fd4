import numpy as np
import pyarrow as pa
import pytest

from clm_ler.files.arrow import (
    map_files,
    mapped_files,
    ragged_arange,
    ragged_count_until,
    ragged_offsets,
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        table = pa.table({"n": list(range(10_000 * number, 10_000 * (number + 1)))})
        with (
            pa.OSFile(f"{number}.arrow", "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as file,
        ):
            file.write_table(table)
    return ["0.arrow", "1.arrow"]


def test_files_are_mapped_and_not_read(files):
    before = pa.total_allocated_bytes()
    table = map_files(files)
    assert pa.total_allocated_bytes() - before < 10_000
    assert table["n"].to_pylist() == list(range(20_000))


def test_another_process_can_map_them_from_any_folder(files, tmp_path, monkeypatch):
    table = map_files(files)
    monkeypatch.chdir("/")
    assert mapped_files(table) == [str(tmp_path / name) for name in files]
    assert mapped_files(table.filter(pa.array([True, False] * 10_000))) == mapped_files(table)


def test_other_tables_lie_in_no_file():
    assert mapped_files(pa.table({"n": [1]})) is None


def test_offsets_of_ragged_rows():
    assert ragged_offsets(np.array([2, 0, 3])).tolist() == [0, 2, 2, 5]
    assert ragged_offsets(np.array([], np.int32)).tolist() == [0]


def test_places_in_ragged_rows():
    assert ragged_arange(np.array([0, 2, 2, 5])).tolist() == [0, 1, 0, 1, 2]
    assert ragged_arange(np.array([0])).tolist() == []


def test_values_of_a_ragged_row_are_counted_up_to_a_limit():
    values, offsets = np.array([1, 3, 3, 7, 2]), np.array([0, 4, 4, 5], np.int32)
    rows, limits = np.array([0, 0, 0, 0, 1, 2, 2]), np.array([0, 3, 6, 9, 9, 1, 2])
    assert ragged_count_until(values, offsets, rows, limits).tolist() == [0, 3, 3, 4, 0, 0, 1]
