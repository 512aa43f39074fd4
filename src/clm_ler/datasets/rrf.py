"""A file of a UMLS release (Rich Release Format) as a catalog entry."""

import gzip
import posixpath
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO

import fsspec
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from kedro.io import DatasetError
from kedro_datasets.ibis import FileDataset

from clm_ler.engines import engine_of
from clm_ler.files.atomic import writing

# MRFILES.RRF says which columns every file has; its own have to be known to read it.
MRFILES_COLUMNS = ("FIL", "DES", "FMT", "CLS", "RWS", "BTS")
ROWS_PER_WRITE = 100_000


class RRFDataset(FileDataset):
    """Load and save one RRF file: ``a|b|c|`` lines without header, quotes or escapes, in UTF-8.

    Column names come from ``MRFILES.RRF`` in the same folder. Where the file is not there and its
    gzip copy is (``MRCONSO.RRF.gz``), that one is read.

    ```yaml
    umls_conso:
      type: clm_ler.datasets.rrf.RRFDataset
      filepath: data/01_raw/umls/MRCONSO.RRF
      columns: [CUI, SAB, CODE]
      connection: ${_connection}
    ```
    """

    def __init__(
        self,
        *,
        filepath: str,
        columns: list[str] | None = None,
        connection: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Describe the file.

        Args:
            filepath: A local path or URL; compressed where it ends in ``.gz``.
            columns: The columns to read, all where not given.
            connection: The Ibis connection that reads the file.
            fs_args: Passed on to the fsspec file system.
            metadata: Free-form; ignored here.
        """
        super().__init__(filepath, "csv", connection=connection, fs_args=fs_args, metadata=metadata)
        self._files, self._path = fsspec.core.url_to_fs(filepath, **(fs_args or {}))
        self._columns = columns

    def load(self) -> ir.Table:
        """Return the wanted columns, all strings, lazily; an empty field is null."""
        names = self._column_names()
        wanted = self._columns or names
        if absent := sorted(set(wanted) - set(names)):
            raise DatasetError(f"{self._path} has no column {absent}; MRFILES.RRF lists {names}")
        path = self._fs_prefix + self._plain_or_gzip(self._path)
        # The pipe at the end of each line makes one empty column more.
        return (
            engine_of(self.connection)
            .read_literal_text(path, "|", [*names, "line_end"])
            .select(wanted)
        )

    def save(self, data: pa.Table | pd.DataFrame) -> None:
        """Write the table's columns in their order; a value with a pipe or line end is an error."""
        table = data if isinstance(data, pa.Table) else pa.Table.from_pandas(data, None, False)
        name = posixpath.basename(self._path)
        with writing(self._files, self._path) as file, _compressed(file, name) as stream:
            for batch in table.to_batches(ROWS_PER_WRITE):
                stream.write(_lines(batch, name))

    def _column_names(self) -> list[str]:
        name = posixpath.basename(self._path).removesuffix(".gz")
        if name == "MRFILES.RRF":
            return list(MRFILES_COLUMNS)
        listing = self._plain_or_gzip(posixpath.join(posixpath.dirname(self._path), "MRFILES.RRF"))
        with self._files.open(listing, "rb", compression="infer") as stream:
            rows = [line.decode().split("|") for line in stream]
        for row in rows:
            if row[MRFILES_COLUMNS.index("FIL")] == name:
                return row[MRFILES_COLUMNS.index("FMT")].split(",")
        raise DatasetError(f"{listing} does not list {name}, so its columns are not known")

    def _plain_or_gzip(self, path: str) -> str:
        for candidate in (path, f"{path}.gz"):
            if self._files.exists(candidate):
                return candidate
        raise DatasetError(f"There is neither {path} nor {path}.gz")

    def _exists(self) -> bool:
        return any(self._files.exists(path) for path in (self._path, f"{self._path}.gz"))


def _compressed(file: BinaryIO, name: str) -> AbstractContextManager[Any]:
    return gzip.open(file, "wb") if name.endswith(".gz") else nullcontext(file)


def _lines(batch: pa.RecordBatch, name: str) -> bytes:
    """Return the rows as RRF text; a null is an empty field."""
    fields = [pc.fill_null(column.cast(pa.string()), "") for column in batch.columns]
    for column, field in zip(batch.schema.names, fields, strict=True):
        if unfit := pc.sum(pc.match_substring_regex(field, r"[|\r\n]")).as_py():
            raise DatasetError(f"{name}: {unfit} values of {column} hold a pipe or a line end")
    lines = pc.binary_join_element_wise(*fields, "\n", "|")
    return "".join(lines.to_pylist()).encode()
