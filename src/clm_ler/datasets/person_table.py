"""A person-level table as a directory of Parquet files by person bucket."""

import hashlib
import json
import logging
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from fsspec.utils import get_protocol
from ibis import BaseBackend
from kedro.io import DatasetError
from kedro_datasets.ibis import FileDataset

from clm_ler.engines import Engine, engine_of

logger = logging.getLogger(__name__)

_PRIME = 2**31 - 1
_MULTIPLIER = 1_226_874_159
# Of working memory, see docs/preprocessing.md: what grows with a bucket, and what does not (buffers).
_BYTES_PER_ROW, _BYTES_ANYWAY = 224, 128 * 2**20


def person_bucket(person_id: ir.IntegerValue, buckets: int) -> ir.IntegerValue:
    """Return a person's bucket: one step of the Lehmer generator, modulo a power of two.

    The same on every engine. Bucket ``b`` of ``k`` is the union of ``b`` and ``b + k`` of ``2k``,
    so that tables with different numbers of buckets still align.
    """
    return (person_id.cast("int64") % _PRIME * _MULTIPLIER % _PRIME).abs() % buckets


@dataclass(frozen=True)
class _Buckets:
    """The files of a stored table: one tuple of addresses for each bucket.

    Attributes:
        files: The addresses.
        named_by_digest: Each file has the name of what it was made from, so that its name tells
            its rows; otherwise of the time it was written, and never has others.
    """

    files: tuple[tuple[str, ...], ...]
    named_by_digest: bool

    def read(self, backend: BaseBackend, leaf: ops.DatabaseTable, bucket: int, of: int) -> ir.Table:
        """Return the rows of one bucket out of ``of``, which is at least the table's own number."""
        files = self.files[bucket % len(self.files)]
        if not files:
            return leaf.to_expr().limit(0)
        table = engine_of(backend).read_parquet(files, f"{leaf.name}_bucket")
        if of == len(self.files):
            return table
        return table.filter(person_bucket(table.person_id, of) == bucket)


_STORED: dict[str, _Buckets] = {}  # by name of the view that `load` opened
_DIGESTS: dict[tuple[Any, ...], str] = {}  # of rows that are read more than once


class PersonTableDataset(FileDataset):
    """Parquet files by person bucket, so that memory is bounded whatever the number of persons.

    ``load`` gives the whole table, lazily. ``save`` takes an expression over other stored person
    tables that looks at one person at a time, and evaluates it on DuckDB bucket by bucket: the
    node that made the expression knows nothing of it. Tables without buckets (units, percentiles)
    are read whole each time. An expression over raw tables is evaluated once and partitioned.

    Readers follow a manifest that is written last: they see the old table or the new one. A bucket
    that the same expression has already written from the same rows is kept, so that a run that was
    killed goes on where it stopped.
    """

    MANIFEST: ClassVar[str] = "_manifest.json"
    SUFFIX: ClassVar[str] = ".parquet"
    PERSON: ClassVar[str] = "person_id"
    ORDER: ClassVar[tuple[str, ...]] = (
        "person_id",
        "time",
    )  # a table of events takes half the space in it

    def __init__(
        self, *, filepath: str, from_raw: bool = False, transient: bool = False, **kwargs: Any
    ) -> None:
        """Describe the directory.

        Args:
            filepath: A local folder or an address such as ``s3://bucket/sequences``.
            from_raw: The saved expression also reads raw tables, which have no buckets:
                evaluate it whole, once. DuckDB's joins and partitioned writes spill to disk.
            transient: The table is of use to this run only: DuckDB writes it in the order it comes
                in and without compression, which is quicker and takes several times the space.
            kwargs: As for ``ibis.FileDataset``.
        """
        super().__init__(filepath=filepath, **kwargs)
        self._from_raw = from_raw
        self._transient = transient
        self._path = self._fs_prefix + str(self._filepath)
        self._files = fsspec.filesystem(get_protocol(self._path))

    def load(self) -> ir.Table:
        """Return the whole table."""
        stored = self._stored()
        name = f"person_table_{uuid.uuid4().hex}"
        _STORED[name] = stored
        return self._engine.read_parquet([file for files in stored.files for file in files], name)

    def _stored(self) -> _Buckets:
        """Return the files that the manifest lists."""
        if not self._exists():
            raise DatasetError(f"{self._path} has no {self.MANIFEST}: it was never fully written.")
        buckets = json.loads(self._files.cat_file(f"{self._path}/{self.MANIFEST}"))["files"]
        by_digest = all(name.startswith("bucket=") for names in buckets for name in names)
        files = tuple(tuple(f"{self._path}/{name}" for name in names) for names in buckets)
        return _Buckets(files, by_digest)

    def save(self, data: ir.Table) -> None:
        """Write the table; a reader sees it when it is complete."""
        started = time.monotonic()
        stored = {
            leaf: _STORED[leaf.name]
            for leaf in data.op().find(ops.DatabaseTable)
            if leaf.name in _STORED
        }
        self._files.makedirs(self._path, exist_ok=True)
        if self._engine.distributed or self._from_raw or not stored:
            files = self._partition(data)
        else:
            files = self._evaluate_by_bucket(data, stored)
        self._publish(files)
        logger.info("%s: written in %.1f s", self._name, time.monotonic() - started)

    @property
    def _engine(self) -> Engine:
        return engine_of(self.connection)

    @property
    def _name(self) -> str:
        return self._path.rpartition("/")[2]

    def _partition(self, data: ir.Table) -> list[list[str]]:
        """Evaluate the expression once and write each row to the bucket of its person."""
        buckets = _power_of_two(self._engine.bucket_count(data, _BYTES_PER_ROW, _BYTES_ANYWAY))
        target = uuid.uuid4().hex
        order = [name for name in self.ORDER if name in data.columns and not self._transient]
        if buckets == 1 and not self._engine.distributed:
            ordered = data.order_by(order) if order else data
            self._write_aside(ordered, f"{target}/all{self.SUFFIX}")
            return [[f"{target}/all{self.SUFFIX}"]]
        rows = data.mutate(bucket=person_bucket(data[self.PERSON], buckets))
        folder = f"{self._path}/{target}"
        self._engine.write_partitioned(rows, folder, "bucket", buckets, order, self._transient)
        return self._partitioned_files(data, target, buckets)

    def _partitioned_files(self, data: ir.Table, target: str, buckets: int) -> list[list[str]]:
        files = [
            [
                f"{target}/bucket={bucket}/{Path(file).name}"
                for file in sorted(
                    self._files.glob(f"{self._path}/{target}/bucket={bucket}/*.parquet")
                )
            ]
            for bucket in range(buckets)
        ]
        if not any(files):  # a table without rows still has columns
            files[0] = [f"{target}/empty.parquet"]
            _write_empty(data, f"{self._path}/{files[0][0]}", self._files)
        return files

    def _evaluate_by_bucket(
        self, data: ir.Table, stored: dict[ops.DatabaseTable, _Buckets]
    ) -> list[list[str]]:
        """Evaluate the expression for the persons of one bucket after the other."""
        buckets = max(len(table.files) for table in stored.values())
        text = _canonical_sql(data)
        whole = [leaf for leaf in _leaves(data) if leaf not in stored]
        whole_content = [self._engine.digest_of(leaf.to_expr()) for leaf in whole]
        files, started = [], time.monotonic()
        for bucket in range(buckets):
            parts = {
                leaf: table.read(self.connection, leaf, bucket, buckets)
                for leaf, table in stored.items()
            }
            content = [
                self._bucket_content(table, bucket, buckets, parts[leaf])
                for leaf, table in stored.items()
            ]
            key = hashlib.sha256(repr((text, content, whole_content)).encode()).hexdigest()[:32]
            file = f"bucket={bucket}/{key}{self.SUFFIX}"
            if not self._files.exists(f"{self._path}/{file}"):
                swapped = data.op().replace({leaf: part.op() for leaf, part in parts.items()})
                self._write_aside(swapped.to_expr(), file)
            files.append([file])
            elapsed = time.monotonic() - started
            left = elapsed / (bucket + 1) * (buckets - bucket - 1)
            logger.info(
                "%s: bucket %d of %d, about %.0f s left", self._name, bucket + 1, buckets, left
            )
        return files

    def _write_aside(self, data: ir.Table, file: str) -> None:
        target = f"{self._path}/{file}"
        self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
        if self._fs_prefix:  # an object appears when its upload is complete
            self._write_bucket(data, target)
            return
        self._write_bucket(data, f"{target}.part")
        Path(f"{target}.part").replace(target)

    def _write_bucket(self, data: ir.Table, path: str) -> None:
        self._engine.write_parquet(data, path, self._transient)

    def _bucket_content(
        self, table: _Buckets, bucket: int, of: int, part: ir.Table
    ) -> tuple[Any, ...]:
        """Return what tells the rows of a bucket from any others."""
        files = table.files[bucket % len(table.files)]
        place = (bucket, of)
        if table.named_by_digest:
            return (*(file.rpartition("/")[2] for file in files), *place)
        if (files, place) not in _DIGESTS:
            _DIGESTS[files, place] = self._engine.digest_of(part)
        return (_DIGESTS[files, place], *place)

    def _publish(self, files: list[list[str]]) -> None:
        """Replace the manifest, then remove what it no longer lists."""
        manifest = f"{self._path}/{self.MANIFEST}"
        text = json.dumps({"buckets": len(files), "files": files}, indent=1).encode()
        if self._fs_prefix:
            self._files.pipe_file(manifest, text)
        else:
            aside = Path(f"{manifest}.{uuid.uuid4().hex}")
            aside.write_bytes(text)
            aside.replace(manifest)
        root = self._files._strip_protocol(self._path)
        listed = {f"{root}/{name}" for names in files for name in names}
        for file in self._files.find(root):
            if file not in listed and not file.endswith(self.MANIFEST):
                self._files.rm_file(file)

    def _exists(self) -> bool:
        return bool(self._files.exists(f"{self._path}/{self.MANIFEST}"))


def _write_empty(data: ir.Table, path: str, files: fsspec.AbstractFileSystem) -> None:
    import pyarrow.parquet as pq

    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    with files.open(path, "wb") as stream:
        pq.write_table(data.schema().to_pyarrow().empty_table(), stream)


def _leaves(data: ir.Table) -> tuple[ops.PhysicalTable, ...]:
    return data.op().find(ops.PhysicalTable)


def _canonical_sql(data: ir.Table) -> str:
    """Return the SQL of an expression without the random names of its tables."""
    unnamed = {
        leaf: ops.UnboundTable(name=f"t{number}", schema=leaf.schema)
        for number, leaf in enumerate(_leaves(data))
    }
    return ibis.to_sql(data.op().replace(unnamed).to_expr(), dialect="duckdb")


def _power_of_two(number: int) -> int:
    """Return the smallest power of two that is not less than ``number``."""
    return 1 << max(number - 1, 0).bit_length()
