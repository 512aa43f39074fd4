"""Encoded sequences as Arrow files by person bucket, which training maps into memory."""

from collections.abc import Iterable
from typing import Any, ClassVar

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clm_ler.datasets.person_table import PersonTableDataset
from clm_ler.files.arrow import map_files
from clm_ler.files.digests import unique_name
from clm_ler.storage.buckets import Files

LAST_DAY = int(np.iinfo(np.uint16).max)  # 179 years: only broken dates are beyond it
ROWS_PER_BATCH = 20_000  # bounds the memory of writing
SCHEMA = pa.schema(
    {
        "person_id": pa.int64(),
        "split": pa.string(),
        "input_ids": pa.list_(pa.int32()),
        "token_type_ids": pa.list_(pa.uint8()),
        "position_ids": pa.list_(pa.uint16()),
        "birth_to_start": pa.int32(),
    }
)


class EncodedSequencesDataset(PersonTableDataset):
    """Uncompressed Arrow IPC files, 7 bytes a token, evaluated and named like a person table.

    ``save`` takes the Ibis table of ``encode_sequences``. ``load`` gives a ``pyarrow.Table`` whose
    columns lie in the files: memory-mapped where the storage is local, read where it is remote.
    Rows are in the order of ``person_id`` within a file, so that a run can be repeated exactly.
    """

    SUFFIX: ClassVar[str] = ".arrow"

    def load(self) -> pa.Table:
        """Return the whole table; no token is read yet where the storage is local."""
        paths = self._stored().addresses()
        if paths and not self._fs_prefix:
            return map_files(paths)
        streams = (self._folder.filesystem.open(path, "rb") for path in paths)
        tables = [pa.ipc.open_file(stream).read_all() for stream in streams]
        return pa.concat_tables([SCHEMA.empty_table(), *tables])

    def _write(self, data: ir.Table, path: str) -> None:
        ordered = data.order_by("person_id")
        self._write_batches(
            self.connection.to_pyarrow_batches(ordered, chunk_size=ROWS_PER_BATCH), path
        )

    def _partition(self, data: ir.Table) -> Files:
        """Rewrite the Parquet files that an engine has partitioned, one bucket at a time."""
        target, files = unique_name("rows"), super()._partition(data)
        self._folder.filesystem.makedirs(f"{self._folder.path}/{target}")
        written = [f"{target}/{bucket}{self.SUFFIX}" for bucket in range(len(files))]
        for names, name in zip(files, written, strict=True):
            self._rewrite(names, name)
        return [[name] for name in written]

    def _rewrite(self, names: list[str], target: str) -> None:
        tables = []
        for name in names:
            with self._folder.filesystem.open(f"{self._folder.path}/{name}", "rb") as stream:
                tables.append(pq.read_table(stream).select(SCHEMA.names))
        table = pa.concat_tables(tables).sort_by("person_id") if tables else SCHEMA.empty_table()
        self._write_batches(table.to_batches(ROWS_PER_BATCH), f"{self._folder.path}/{target}")

    def _write_batches(self, batches: Iterable[pa.RecordBatch], path: str) -> None:
        filesystem = self._folder.filesystem
        with filesystem.open(path, "wb") as stream, pa.ipc.new_file(stream, SCHEMA) as writer:
            for batch in batches:
                writer.write_batch(_narrow(batch))


def _narrow(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch in the types of the file; a day beyond ``LAST_DAY`` counts as that day."""
    days = batch["position_ids"]
    clipped: Any = pc.min_element_wise(days.flatten(), pa.scalar(LAST_DAY, days.type.value_type))
    offsets = pc.subtract(days.offsets, days.offsets[0])
    place = batch.schema.get_field_index("position_ids")
    narrow = batch.set_column(place, "position_ids", pa.ListArray.from_arrays(offsets, clipped))
    return narrow.select(SCHEMA.names).cast(SCHEMA)
