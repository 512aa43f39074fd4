"""Kedro's datasets of one file, which is there as a whole or not at all."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import fsspec
from kedro_datasets import ibis, json, pandas, plotly

from clm_ler.files.atomic import replacing


def _save_whole(dataset: Any, save: Callable[[Any], None], data: Any) -> None:
    """Save under another name, and rename."""
    path = dataset._filepath
    prefix = getattr(dataset, "_fs_prefix", "") or f"{getattr(dataset, '_protocol', 'file')}://"
    filesystem, place = fsspec.url_to_fs(f"{prefix}{path}")
    if "file" not in str(filesystem.protocol):  # an object appears when its upload is complete
        save(data)
        return
    with replacing(filesystem, place) as aside:
        dataset._filepath = PurePosixPath(aside)
        try:
            save(data)
        finally:
            dataset._filepath = path


class JSONDataset(json.JSONDataset):
    """A JSON file."""

    def save(self, data: Any) -> None:
        """Write the file."""
        _save_whole(self, super().save, data)


class FigureDataset(plotly.JSONDataset):
    """A plotly figure."""

    def save(self, data: Any) -> None:
        """Write the file."""
        _save_whole(self, super().save, data)


class CSVDataset(pandas.CSVDataset):
    """A CSV file of a pandas table."""

    def save(self, data: Any) -> None:
        """Write the file."""
        _save_whole(self, super().save, data)


class TableDataset(ibis.FileDataset):
    """A small table: one Parquet file by DuckDB, a folder by Spark."""

    def save(self, data: Any) -> None:
        """Write the file."""
        _save_whole(self, super().save, data)
