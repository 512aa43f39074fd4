"""Expressions to files by person bucket: one bucket after the other, or all at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow.parquet as pq

from clm_ler.engines import Engine
from clm_ler.files.atomic import replacing
from clm_ler.files.digests import digest, unique_name
from clm_ler.files.progress import Progress
from clm_ler.storage.buckets import BucketFolder, Buckets, Files, person_bucket

VERSION = 1  # of what a bucket's file holds beside what its expression says
# Of working memory, see docs/preprocessing.md: what grows with a bucket, and what does not (buffers).
BYTES_PER_ROW, FIXED_BYTES = 224, 128 * 2**20
Stored = Mapping[ops.Relation, Buckets]  # tables of an expression by their place in it
Write = Callable[[ir.Table, str], None]  # of the rows of one bucket to a path


def evaluate_by_bucket(
    data: ir.Table, stored: Stored, engine: Engine, folder: BucketFolder, suffix: str, write: Write
) -> Files:
    """Evaluate an expression for the persons of one bucket after the other.

    A bucket that the same expression has already written from the same rows is kept.

    Args:
        data: The expression, which looks at one person at a time.
        stored: Its tables that are stored by person bucket; all others are read as a whole.
        engine: Evaluates it.
        folder: Where the files go.
        suffix: What their names end in.
        write: Evaluates the expression of one bucket into a file.
    """
    buckets = max(len(table.files) for table in stored.values())
    content = [VERSION, _canonical_sql(data), *_whole_content(data, stored, engine)]
    progress = Progress(folder.name, buckets, "buckets")
    files = []
    for bucket in range(buckets):
        place = (bucket, buckets)
        parts = {leaf: table.read(engine, leaf, *place) for leaf, table in stored.items()}
        rows = [table.digest(engine, parts[leaf], *place) for leaf, table in stored.items()]
        file = f"bucket={bucket}/{digest(*content, *rows)}{suffix}"
        if not folder.filesystem.exists(f"{folder.path}/{file}"):
            swapped = data.op().replace({leaf: part.op() for leaf, part in parts.items()})
            with replacing(folder.filesystem, f"{folder.path}/{file}") as aside:
                write(swapped.to_expr(), aside)
        files.append([file])
        progress.step()
    return files


def partition(
    data: ir.Table,
    engine: Engine,
    folder: BucketFolder,
    person: str,
    order_by: Sequence[str],
    quick: bool = False,
) -> Files:
    """Evaluate an expression as a whole and write each row to the bucket of its person, as Parquet.

    Args:
        data: The expression.
        engine: Evaluates it.
        folder: Where the files go.
        person: The column of the person's id.
        order_by: The order of the rows in each file.
        quick: See :meth:`Engine.write_parquet`.
    """
    buckets = _power_of_two(engine.bucket_count(data, BYTES_PER_ROW, FIXED_BYTES))
    target = unique_name("rows")
    place = f"{folder.path}/{target}"
    if buckets == 1 and not engine.distributed:
        folder.filesystem.makedirs(place)
        order = [ibis.asc(name, nulls_first=True) for name in order_by]
        ordered = data.order_by(order) if order else data
        engine.write_parquet(ordered, folder.address(f"{place}/all.parquet"), quick)
        return [[f"{target}/all.parquet"]]
    folder.filesystem.makedirs(folder.path, exist_ok=True)
    rows = data.mutate(bucket=person_bucket(data[person], buckets))
    engine.write_partitioned(rows, folder.address(place), "bucket", buckets, order_by, quick)
    return _partitioned_files(data, folder, target, buckets)


def _partitioned_files(data: ir.Table, folder: BucketFolder, target: str, buckets: int) -> Files:
    files = [
        sorted(
            path.removeprefix(f"{folder.path}/")
            for path in folder.filesystem.glob(f"{folder.path}/{target}/bucket={bucket}/*.parquet")
        )
        for bucket in range(buckets)
    ]
    if not any(files):  # a table without rows still has columns
        files[0] = [f"{target}/empty.parquet"]
        folder.filesystem.makedirs(f"{folder.path}/{target}", exist_ok=True)
        with folder.filesystem.open(f"{folder.path}/{files[0][0]}", "wb") as stream:
            pq.write_table(data.schema().to_pyarrow().empty_table(), stream)
    return files


def _leaves(data: ir.Table) -> Sequence[Any]:
    return data.op().find((ops.PhysicalTable, ops.SQLQueryResult))


def _whole_content(data: ir.Table, stored: Stored, engine: Engine) -> list[str]:
    """Return what tells the rows of the tables that are read as a whole from any others."""
    return [engine.digest_of(leaf.to_expr()) for leaf in _leaves(data) if leaf not in stored]


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
