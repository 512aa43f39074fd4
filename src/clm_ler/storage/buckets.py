"""Tables on disk by person bucket: which bucket a person is in, and which files a bucket has."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from weakref import WeakKeyDictionary

import fsspec
import ibis.expr.operations as ops
import ibis.expr.types as ir
from fsspec import AbstractFileSystem

from clm_ler.engines import Engine, origin
from clm_ler.files.atomic import write_bytes
from clm_ler.files.digests import unique_name

MANIFEST = "_manifest.json"
Files = list[list[str]]  # of each bucket, by their paths below the folder
_PRIME = 2**31 - 1
_MULTIPLIER = 1_226_874_159


def person_bucket(person_id: ir.IntegerValue, buckets: int) -> ir.IntegerValue:
    """Return a person's bucket: one step of the Lehmer generator, modulo a power of two.

    The same on every engine; that of no person is 0. Bucket ``b`` of ``k`` is the union of ``b`` and
    ``b + k`` of ``2k``, so that tables with different numbers of buckets still align.
    """
    number = (person_id.cast("int64") % _PRIME * _MULTIPLIER % _PRIME).abs() % buckets
    return number.fill_null(0)


@dataclass(frozen=True, eq=False)
class Buckets:
    """A stored table: the addresses of the files of each bucket.

    Attributes:
        name: The table's name, for messages.
        files: The addresses.
        digests: Of the rows of buckets, as far as they are known, by number and number of buckets.
    """

    name: str
    files: tuple[tuple[str, ...], ...]
    digests: dict[tuple[int, int], str]

    def open(self, engine: Engine) -> ir.Table:
        """Return the whole table, lazily; :func:`stored_tables` finds it in what is made of it."""
        files = [file for files in self.files for file in files]
        table = engine.read_parquet(files, unique_name(self.name))
        _OPEN[table.op()] = self
        return table

    def read(self, engine: Engine, view: str, bucket: int, of: int) -> ir.Table:
        """Return the rows of one bucket out of ``of``, which is at least the table's own number.

        Args:
            engine: Reads the files.
            view: The name of a view of the whole table.
            bucket: The number of the bucket.
            of: The number of buckets, a power of two.
        """
        files = self.files[bucket % len(self.files)]
        if not files:
            return engine.backend.table(view).limit(0)
        table = engine.read_parquet(files, f"{view}_bucket")
        if of == len(self.files):
            return table
        return table.filter(person_bucket(table.person_id, of) == bucket)

    def digest(self, engine: Engine, part: ir.Table, bucket: int, of: int) -> str:
        """Return what tells the rows of one bucket, ``part``, from any others.

        A file that is named by what it was made of says it by its name. Others are read for it once:
        they have the name of the moment they were written at, and never get other rows.
        """
        paths = [PurePosixPath(file) for file in self.files[bucket % len(self.files)]]
        if all(path.parent.name.startswith("bucket=") for path in paths):
            return f"{bucket} of {of}: {' '.join(path.stem for path in paths)}"
        if (bucket, of) not in self.digests:
            self.digests[bucket, of] = engine.digest_of(part)
        return self.digests[bucket, of]


# Which tables of expressions are stored by person bucket, as long as an expression has them.
_OPEN: WeakKeyDictionary[ops.Relation, Buckets] = WeakKeyDictionary()


def stored_tables(expression: ir.Table) -> dict[ops.Relation, Buckets]:
    """Return the tables of an expression that are stored by person bucket, by their place in it."""
    found = {}
    for leaf in expression.op().find(ops.DatabaseTable):
        if (made_of := origin(leaf)) is not None:
            found |= stored_tables(made_of)
        elif leaf in _OPEN:
            found[leaf] = _OPEN[leaf]
    return found
