"""A person-level table as a directory of Parquet files by person bucket."""

import logging
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import ibis.expr.types as ir
from ibis.expr.operations import Relation
from kedro.io import DatasetError
from kedro_datasets.ibis import FileDataset

from clm_ler.engines import engine_of
from clm_ler.engines.duckdb import DuckDB
from clm_ler.engines.portable import row_count
from clm_ler.storage.buckets import MANIFEST, BucketFolder, Buckets, Files, stored_tables
from clm_ler.storage.evaluate import evaluate_by_bucket, partition
from clm_ler.storage.person_wise import NotPersonWise, refuse
from clm_ler.storage.worker import CopyParquet, Write

logger = logging.getLogger(__name__)


class PersonTableDataset(FileDataset):
    """Parquet files by person bucket, so that memory is bounded whatever the number of persons.

    ``load`` gives the whole table, lazily. ``save`` takes an expression over other stored person
    tables that looks at one person at a time (any other is refused), and evaluates it on DuckDB
    bucket by bucket: the node that made the expression knows nothing of it. Tables without buckets
    (units, percentiles) are read whole each time. What raw tables give is evaluated as a whole.

    Readers follow a manifest that is written last: they see the old table or the new one. A bucket
    that the same expression has already written from the same rows is kept, so that a run that was
    killed goes on where it stopped.
    """

    SUFFIX: ClassVar[str] = ".parquet"
    LEVEL: ClassVar[int] = logging.INFO  # of the line that says how large it is
    PERSON: ClassVar[str] = "person_id"
    ORDER: ClassVar[tuple[str, ...]] = ("person_id", "time")  # halves the space of events

    def __init__(
        self, *, filepath: str, from_raw: bool = False, transient: bool = False, **kwargs: Any
    ) -> None:
        """Describe the directory.

        Args:
            filepath: A local folder or an address such as ``s3://bucket/sequences``.
            from_raw: The saved expression also reads raw tables, which have no buckets, or looks at
                several persons at once: evaluate it whole, once. DuckDB's joins and partitioned
                writes spill to disk.
            transient: The table is of use to this run only: DuckDB writes it in the order it comes
                in and without compression, which is quicker and takes several times the space.
            kwargs: As for ``ibis.FileDataset``.
        """
        super().__init__(filepath=filepath, **kwargs)
        self._from_raw = from_raw
        self._transient = transient
        self._folder = BucketFolder(self._fs_prefix + str(self._filepath), **self._fs_args)

    def load(self) -> Any:
        """Return the whole table."""
        return self._stored().open(self._engine)

    def save(self, data: ir.Table) -> None:
        """Write the table; a reader sees it when it is complete.

        Raises:
            NotPersonWise: If the expression looks at several persons at once.
        """
        started, stored = time.monotonic(), stored_tables(data)
        if self._is_by_bucket(data, stored):
            place = self._engine, self._folder, self.SUFFIX, self._writer(data)
            files = evaluate_by_bucket(data, stored, *place)
        else:
            files = self._partition(data)
        self._folder.publish(files)
        if not self._transient:
            told = self._folder.name, self._size(), time.monotonic() - started
            logger.log(self.LEVEL, "%s: %s in %.1f s", *told)

    def _size(self) -> str:
        return f"{row_count(self.load()):,} rows"

    def _is_by_bucket(self, data: ir.Table, stored: Mapping[Relation, Buckets]) -> bool:
        """Return whether to evaluate by bucket; on a cluster raw rows are in buckets, too."""
        if self._from_raw and self._engine.cluster is None:
            return False
        try:
            refuse(data, {leaf: table.name for leaf, table in stored.items()})
        except NotPersonWise:
            if not self._from_raw:
                raise
            return False
        return bool(stored)

    @property
    def _engine(self) -> DuckDB:
        return DuckDB(self.connection)

    def _stored(self) -> Buckets:
        if not self._exists():
            place = self._folder.address(self._folder.path)
            raise DatasetError(f"{place} has no {MANIFEST}: it was never fully written.")
        return self._folder.stored()

    def _writer(self, data: ir.Table) -> Write:
        """Return what writes the rows of one bucket to a file."""
        return CopyParquet(self._engine.parquet_options(data, self._transient))

    def _partition(self, data: ir.Table) -> Files:
        order = [name for name in self.ORDER if name in data.columns and not self._transient]
        backends, _unnamed = data._find_backends()
        # Raw tables may be of another engine than the stored ones.
        engine = engine_of(backends[0]) if backends else self._engine
        return partition(data, engine, self._folder, self.PERSON, order, self._transient)

    def _exists(self) -> bool:
        return self._folder.exists()
