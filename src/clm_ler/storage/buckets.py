"""Tables on disk by person bucket: which bucket a person is in, and which files a bucket has."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from weakref import WeakKeyDictionary

import fsspec
import ibis.expr.operations as ops
import ibis.expr.types as ir
from fsspec.implementations.local import LocalFileSystem

from clm_ler.engines import Engine
from clm_ler.engines.duckdb import DuckDB
from clm_ler.files.atomic import sync, write_bytes
from clm_ler.files.digests import unique_name
from clm_ler.files.location import address, is_remote

VIEW = "_bucket"  # behind the name of a table: the rows of one bucket
_ROWS = "_rows"  # those of some of its files
MANIFEST = "_manifest.json"
_ENDINGS = (b"PAR1", b"ARROW1")  # of files of Parquet and of Arrow
Files = list[list[str]]  # of each bucket, by their paths below the folder
_PRIME = 2**31 - 1
_MULTIPLIER = 1_226_874_159


def person_bucket(person_id: ir.IntegerValue, buckets: int) -> ir.IntegerValue:
    """Return a person's bucket: one step of the Lehmer generator, modulo a power of two.

    The same on every engine; rows of no person are in bucket 0. Bucket ``b`` of ``k`` is the union of
    ``b`` and ``b + k`` of ``2k``, so that tables with different numbers of buckets still align.
    """
    number = (person_id.cast("int64") % _PRIME * _MULTIPLIER % _PRIME).abs() % buckets
    return number.fill_null(0)


@dataclass(frozen=True)
class Buckets:
    """A stored table: the addresses of the files of each bucket.

    Attributes:
        name: The table's name, for messages.
        files: The addresses.
        named_by_digest: Each file has the name of what it was made of, so that its name tells its
            rows; otherwise of the moment it was written at, and never has others.
        digests: Of the rows of buckets, by number and number of buckets, as far as they are known.
    """

    name: str
    files: tuple[tuple[str, ...], ...]
    named_by_digest: bool
    digests: dict[tuple[int, int], str] = field(default_factory=dict, compare=False)

    def addresses(self) -> list[str]:
        """Return the addresses of all files."""
        return [file for files in self.files for file in files]

    def open(self, engine: Engine) -> ir.Table:
        """Return the whole table, lazily; :func:`stored_tables` finds it in what is made of it."""
        name = unique_name(self.name)
        table = engine.read_parquet(self.addresses(), name)
        _OPEN[table.op()] = self
        drops = [f"VIEW {name}{ending}" for ending in ("", VIEW, _ROWS)]
        return engine.hold(table, drops)

    def source(self, bucket: int) -> str:
        """Return SQL of DuckDB's for the files that have the rows of a bucket, also of a larger number."""
        files = self.files[bucket % len(self.files)]
        if not files:  # any file has the columns
            return f"{_rows_of(self.addresses()[:1])} LIMIT 0"
        return _rows_of(files)

    def digest(self, engine: DuckDB, leaf: Any, bucket: int, of: int) -> str:
        """Return what tells the rows of one bucket out of ``of`` from any others.

        Args:
            engine: Reads the files.
            leaf: The whole table, as it stands in an expression.
            bucket: The number of the bucket.
            of: The number of buckets, a power of two.
        """
        files = self.files[bucket % len(self.files)]
        # A cluster's tables are too large to be read for this; none has the names of another.
        if self.named_by_digest or engine.cluster or not files:
            names = (PurePosixPath(file).name for file in files)
            return f"{bucket} of {of}: {' '.join(names)}"
        if (bucket, of) not in self.digests:
            rows = engine.read_parquet(files, f"{leaf.name}{_ROWS}")
            part = rows.filter(person_bucket(rows.person_id, of) == bucket)
            self.digests[bucket, of] = engine.digest_of(part)
        return self.digests[bucket, of]


def _rows_of(files: Sequence[str]) -> str:
    """Return SQL of DuckDB's for the rows of files, whatever letters their names have."""
    names = ", ".join("'{}'".format(file.replace("'", "''")) for file in files)
    return f"FROM read_parquet([{names}], hive_partitioning = false)"


# Which tables of expressions are stored by person bucket, as long as an expression has them.
_OPEN: WeakKeyDictionary[ops.Relation, Buckets] = WeakKeyDictionary()


def stored_tables(expression: ir.Table) -> dict[ops.Relation, Buckets]:
    """Return the tables of an expression that are stored by person bucket, by their place in it."""
    found: dict[ops.Relation, Buckets] = {}
    for leaf in expression.op().find(ops.DatabaseTable):
        if leaf in _OPEN:
            found[leaf] = _OPEN[leaf]
    return found


class BucketFolder:
    """A folder of files by person bucket. Readers follow its manifest, which is written last."""

    def __init__(self, place: str, **options: Any) -> None:
        """Describe the folder.

        Args:
            place: A local path or URL.
            options: Of fsspec's file system.
        """
        self.filesystem, self.path = fsspec.url_to_fs(place, **options)
        self.name = PurePosixPath(self.path).name
        self._place = place
        self._last: Buckets | None = None

    def address(self, path: str) -> str:
        """Return a path of the file system as an engine takes it."""
        return address(self._place, path)

    def names(self, folder: str = "") -> set[str]:
        """Return the files below the folder, or one within it, by their paths below the folder."""
        self.filesystem.invalidate_cache()  # an engine may have written, not this file system
        found = self.filesystem.find(f"{self.path}/{folder}".rstrip("/"))
        return {path.removeprefix(f"{self.path}/") for path in found}

    def is_cut(self, name: str) -> bool:
        """Return whether a Parquet or Arrow file lacks its end, as a copy that broke off does.

        A store holds whole objects only.
        """
        if is_remote(self._place):
            return False
        return not self.filesystem.tail(f"{self.path}/{name}", 6).endswith(_ENDINGS)

    def exists(self) -> bool:
        """Return whether a table was fully written here."""
        return bool(self.filesystem.exists(f"{self.path}/{MANIFEST}"))

    def stored(self) -> Buckets:
        """Return the table that the manifest lists."""
        listed = json.loads(self.filesystem.cat_file(f"{self.path}/{MANIFEST}"))["files"]
        by_digest = all(name.startswith("bucket=") for names in listed for name in names)
        files = tuple(tuple(self.address(f"{self.path}/{n}") for n in names) for names in listed)
        found = Buckets(self.name, files, by_digest)
        if found != self._last:  # else its digests are known
            self._last = found
        return self._last

    def publish(self, files: Files) -> None:
        """Replace the manifest once its files are on the disk, then remove what it no longer lists."""
        if isinstance(self.filesystem, LocalFileSystem):
            sync(self.path)
        text = json.dumps({"buckets": len(files), "files": files}, indent=1)
        write_bytes(self.filesystem, f"{self.path}/{MANIFEST}", text.encode())
        listed = {name for names in files for name in names} | {MANIFEST}
        if old := sorted(self.names() - listed):
            self.filesystem.rm([f"{self.path}/{name}" for name in old])
