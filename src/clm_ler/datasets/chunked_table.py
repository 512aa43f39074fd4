"""A table that is written chunk after chunk and read back as an Ibis table."""

from itertools import chain

import fsspec
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from kedro.io import DatasetError
from kedro_datasets.ibis import FileDataset

from clm_ler.engines import engine_of
from clm_ler.files.atomic import COMPLETE, replacing


class ChunkedTableDataset(FileDataset):
    """A stream of record batches, saved without ever being held in memory.

    ``save`` takes a ``pyarrow.RecordBatchReader`` (or a ``pyarrow.Table``) and writes each batch as
    it comes: ``parquet`` into a directory with a file per batch, ``csv`` into one file. The result
    is written aside and put in place when it is complete. ``load`` gives an Ibis table; the columns
    of a CSV file are all text, because its reader must not guess types that differ by engine.
    """

    def load(self) -> ir.Table:
        """Return the stored table, for which DuckDB keeps a view as long as somebody holds it."""
        table = self._read()
        return engine_of(table).hold(table, [f"VIEW {table.get_name()}"])

    def _read(self) -> ir.Table:
        path, engine = self._fs_prefix + str(self._get_load_path()), engine_of(self.connection)
        if self._file_format == "parquet":
            filesystem, folder = fsspec.core.url_to_fs(path, **self._fs_args)
            if not filesystem.exists(f"{folder}/{COMPLETE}"):
                raise DatasetError(f"{path} has no {COMPLETE}: it was never fully written.")
            # Spark looks in a folder by itself, and is troubled by a pattern.
            return engine.read_parquet([path if engine.distributed else f"{path}/*.parquet"])
        # A folder called a=b adds no column.
        options = {} if engine.distributed else {"hive_partitioning": False}
        options |= engine.csv_as_text | self._load_args
        return self.connection.read_csv(path, **options)

    def save(self, data: pa.RecordBatchReader | pa.Table) -> None:
        """Write every batch, then replace what was there before."""
        batches = data.to_reader() if isinstance(data, pa.Table) else data
        write = _write_parquet if self._file_format == "parquet" else _write_csv
        target = self._fs_prefix + str(self._get_save_path())
        filesystem, path = fsspec.core.url_to_fs(target, **self._fs_args)
        with replacing(filesystem, path) as aside:
            write(batches, filesystem, aside)


def _write_parquet(
    batches: pa.RecordBatchReader, filesystem: AbstractFileSystem, path: str
) -> None:
    filesystem.makedirs(path)
    # A stream without batches is an empty table, and has a schema all the same.
    none = pa.RecordBatch.from_pylist([], batches.schema)
    for number, batch in enumerate(chain([next(batches, none)], batches)):
        with filesystem.open(f"{path}/part-{number:06d}.parquet", "wb") as file:
            pq.write_table(pa.Table.from_batches([batch]), file, compression="zstd")
    filesystem.touch(f"{path}/{COMPLETE}")


def _write_csv(batches: pa.RecordBatchReader, filesystem: AbstractFileSystem, path: str) -> None:
    options = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
    with (
        filesystem.open(path, "wb") as file,
        pyarrow.csv.CSVWriter(file, batches.schema, write_options=options) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
