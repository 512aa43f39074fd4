"""Kedro's datasets of one file, which is there as a whole or not at all."""

from collections.abc import Callable
from json import loads
from pathlib import PurePosixPath
from typing import Any

import ibis.expr.types as ir
from fsspec.implementations.local import LocalFileSystem
from kedro_datasets import ibis as tables
from kedro_datasets import json, pandas, plotly
from kedro_datasets._typing import TablePreview
from pandas import DataFrame

from clm_ler.engines import engine_of
from clm_ler.files.atomic import replacing
from clm_ler.files.location import dataset_location, is_remote
from clm_ler.tokens import FEWEST_PERSONS


def json_of(rows: DataFrame) -> dict[str, Any]:
    """Return rows as kedro-viz shows them: columns, index and data, of what JSON knows."""
    shown: dict[str, Any] = loads(rows.to_json(orient="split", date_format="iso"))
    return shown


def _save_whole(dataset: Any, save: Callable[[Any], None], data: Any) -> None:
    """Save under another name, and rename."""
    if is_remote(dataset_location(dataset) or ""):  # an object appears when its upload is complete
        save(data)
        return
    path = dataset._filepath
    with replacing(LocalFileSystem(), str(path)) as aside:
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


PERSONS = {"person_id", "own_id", "sample_id", "subject_id"}
# What one person alone may have: shown where it is known of how many a row is.
RARE = {"code", "unit", "token", "source_code", "day"}
SHOWN_ROWS = 100


class TableDataset(tables.FileDataset):
    """A small table: one Parquet file."""

    def load(self) -> ir.Table:
        """Return the table, for which DuckDB keeps a view as long as somebody holds it."""
        path = self._fs_prefix + str(self._get_load_path())
        table = engine_of(self.connection).read_parquet([path], self._table_name)
        return engine_of(table).hold(table, [f"VIEW {table.get_name()}"])

    def preview(self) -> TablePreview:
        """Return the first rows for kedro-viz; none that are, or may be, of single persons."""
        if not self.exists():
            return TablePreview({})
        table = self.load()
        if "persons" in table.columns:
            table = table.filter(table.persons >= FEWEST_PERSONS)
        hidden = PERSONS if "persons" in table.columns else PERSONS | RARE
        rows = 0 if hidden & {*table.columns} else SHOWN_ROWS
        return TablePreview(json_of(table.limit(rows).to_pandas()))

    def save(self, data: Any) -> None:
        """Write the file."""
        _save_whole(self, super().save, data)
