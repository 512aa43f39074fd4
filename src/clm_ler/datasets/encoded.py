"""Encoded sequences as Arrow files by person bucket, which training maps into memory."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import ibis.expr.types as ir
import pyarrow as pa
from ibis.expr.operations import Relation
from kedro.io import DatasetError

from clm_ler.datasets.person_table import PersonTableDataset
from clm_ler.files.arrow import map_files
from clm_ler.storage.buckets import Buckets
from clm_ler.storage.encoded import SCHEMA, write_encoded
from clm_ler.storage.worker import Write


class EncodedSequencesDataset(PersonTableDataset):
    """Uncompressed Arrow IPC files, 7 bytes a token, evaluated and named like a person table.

    ``save`` takes the Ibis table of ``encode_sequences``. ``load`` gives a ``pyarrow.Table`` whose
    columns lie in the files: memory-mapped where the storage is local, read where it is remote.
    Rows are in the order of ``person_id`` within a file, so that a run can be repeated exactly.
    """

    SUFFIX: ClassVar[str] = ".arrow"
    LEVEL: ClassVar[int] = logging.DEBUG  # rows are not counted, and the pipeline tells its seconds

    def load(self) -> pa.Table:
        """Return the whole table; no token is read yet where the storage is local."""
        paths = self._stored().addresses()
        try:
            if paths and not self._fs_prefix:
                return map_files(paths)
            streams = (self._folder.filesystem.open(path, "rb") for path in paths)
            tables = [pa.ipc.open_file(stream).read_all() for stream in streams]
        except (FileNotFoundError, pa.ArrowInvalid) as broken:
            raise DatasetError(
                f"{self._folder.name}: a file is missing or broken ({broken}). Run the pipeline that "
                "writes it again: it keeps the files that are whole."
            ) from broken
        return pa.concat_tables([SCHEMA.empty_table(), *tables])

    def _size(self) -> str:
        return "written"  # to count the rows, all would have to be read where they are remote

    def _is_by_bucket(self, data: ir.Table, stored: Mapping[Relation, Buckets]) -> bool:
        """Return true: a table of no stored ones is in one bucket."""
        return super()._is_by_bucket(data, stored) or True

    def _writer(self, data: ir.Table) -> Write:
        return partial(write_encoded, filesystem=self._folder.filesystem)
