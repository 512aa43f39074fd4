"""A table made of many independently computed parts, each of which is computed once."""

import json
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import fsspec
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import DatasetError
from kedro_datasets.ibis import FileDataset

from clm_ler.engines import engine_of
from clm_ler.files.atomic import write_bytes, writing
from clm_ler.files.parallel import do_side_by_side
from clm_ler.files.progress import Progress

logger = logging.getLogger(__name__)

Cells = Mapping[str, Callable[[], pa.Table]]


class CellsDataset(FileDataset):
    """One Parquet file for each cell of an experiment; loads as one Ibis table.

    ``save`` takes a function for each cell and calls those whose file does not exist yet, on all
    cores, so that a run that was killed goes on where it stopped. The name of a cell must therefore
    change when its content would: it carries a digest of all that the content depends on. Readers
    follow a manifest that is written last; files of other cells are removed.
    """

    MANIFEST: ClassVar[str] = "_manifest.json"

    def __init__(self, *, filepath: str, **kwargs: Any) -> None:
        """Describe the directory.

        Args:
            filepath: A local folder or an address such as ``s3://bucket/predictions``.
            kwargs: As for ``ibis.FileDataset``.
        """
        super().__init__(filepath=filepath, **kwargs)
        self._path = self._fs_prefix + str(self._filepath)
        self._files, self._folder = fsspec.url_to_fs(self._path, **self._fs_args)

    def load(self) -> ir.Table:
        """Return the rows of all cells."""
        if not self._exists():
            raise DatasetError(f"{self._path} has no {self.MANIFEST}: it was never fully written.")
        names = json.loads(self._files.cat_file(f"{self._folder}/{self.MANIFEST}"))
        paths = [f"{self._path}/{name}.parquet" for name in names]
        return engine_of(self.connection).read_parquet(paths)

    def save(self, data: Cells) -> None:
        """Compute and write the missing cells."""
        if not data:
            raise DatasetError(f"There is no cell to write to {self._path}.")
        self._files.makedirs(self._folder, exist_ok=True)
        # A bucket has no empty folders, so there may be nothing to list.
        present = {
            path.rpartition("/")[2] for path in self._files.glob(f"{self._folder}/*.parquet")
        }
        missing = [name for name in data if f"{name}.parquet" not in present]
        if len(missing) < len(data):
            logger.info(
                "%s: %d of %d cells are there", self._name, len(data) - len(missing), len(data)
            )
        self._compute({name: data[name] for name in missing})
        self._publish(sorted(data))

    @property
    def _name(self) -> str:
        return self._path.rpartition("/")[2]

    def _compute(self, cells: Cells) -> None:
        jobs = [partial(self._write, *cell) for cell in cells.items()]
        do_side_by_side(jobs, Progress(self._name, len(cells), "cells"))

    def _write(self, name: str, compute: Callable[[], pa.Table]) -> None:
        table = compute()
        with writing(self._files, f"{self._folder}/{name}.parquet") as stream:
            pq.write_table(table, stream, compression="zstd")

    def _publish(self, names: list[str]) -> None:
        write_bytes(self._files, f"{self._folder}/{self.MANIFEST}", json.dumps(names).encode())
        listed = {f"{name}.parquet" for name in names} | {self.MANIFEST}
        for path in self._files.ls(self._folder, detail=False):
            if path.rpartition("/")[2] not in listed:
                self._files.rm_file(path)

    def _exists(self) -> bool:
        return bool(self._files.exists(f"{self._folder}/{self.MANIFEST}"))
