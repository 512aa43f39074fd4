from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.cells import CellsDataset


def dataset(path: Path) -> CellsDataset:
    return CellsDataset(filepath=str(path / "cells"), connection={"backend": "duckdb"})


def cell(value: int, calls: list[int]) -> Callable[[], pa.Table]:
    def compute() -> pa.Table:
        calls.append(value)
        return pa.table({"value": [value]})

    return compute


def test_a_finished_cell_is_not_computed_again(tmp_path: Path) -> None:
    calls: list[int] = []
    cells = {f"cell-{value}": cell(value, calls) for value in range(5)}
    dataset(tmp_path).save(cells)
    dataset(tmp_path).save(cells | {"cell-5": cell(5, calls)})
    assert sorted(calls) == [0, 1, 2, 3, 4, 5]
    assert sorted(dataset(tmp_path).load().to_pandas()["value"]) == [0, 1, 2, 3, 4, 5]


def test_cells_of_another_experiment_disappear(tmp_path: Path) -> None:
    dataset(tmp_path).save({"old": cell(1, [])})
    dataset(tmp_path).save({"new": cell(2, [])})
    assert dataset(tmp_path).load().to_pandas()["value"].tolist() == [2]
    assert {path.name for path in (tmp_path / "cells").iterdir()} == {
        "new.parquet",
        CellsDataset.MANIFEST,
    }


def test_what_was_done_before_a_failure_is_kept(tmp_path: Path) -> None:
    calls: list[int] = []

    def fail() -> pa.Table:
        raise RuntimeError("out of luck")

    with pytest.raises(DatasetError, match="out of luck"):
        dataset(tmp_path).save({"a": cell(1, calls), "b": fail})
    with pytest.raises(DatasetError, match="never fully written"):
        dataset(tmp_path).load()
    dataset(tmp_path).save({"a": cell(1, calls), "b": cell(2, calls)})
    assert calls.count(2) == 1
    assert sorted(dataset(tmp_path).load().to_pandas()["value"]) == [1, 2]


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no cell"):
        dataset(tmp_path).save({})
