"""Expressions to files by person bucket: one bucket after the other, here or on a cluster, or all at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from clm_ler.engines.base import Engine
from clm_ler.engines.duckdb import DuckDB
from clm_ler.files.digests import digest, unique_name
from clm_ler.files.progress import Progress
from clm_ler.storage.buckets import VIEW, BucketFolder, Buckets, Files, person_bucket
from clm_ler.storage.worker import Do, Part, Query, Write, WriteFile, collect, do_apart, show

VERSION = 1  # of what a bucket's file holds beside what its expression says
# Of working memory, see docs/preprocessing.md: what grows with a bucket, and what does not (buffers).
BYTES_PER_ROW, FIXED_BYTES = 224, 128 * 2**20
Stored = Mapping[ops.Relation, Buckets]  # tables of an expression by their place in it


def evaluate_by_bucket(
    data: ir.Table, stored: Stored, engine: DuckDB, folder: BucketFolder, suffix: str, write: Write
) -> Files:
    """Evaluate an expression for the persons of one bucket after the other.

    A bucket that the same expression has already written from the same rows is kept, if its file is whole.

    Args:
        data: The expression, which looks at one person at a time.
        stored: Its tables that are stored by person bucket; all others are read as a whole.
        engine: Evaluates it.
        folder: Where the files go.
        suffix: What their names end in.
        write: Writes the rows of one bucket into a file.
    """
    content = [VERSION, _canonical_sql(data), *_whole_content(data, stored, engine)]
    there = folder.names()
    files, parts = [], []
    for part in _parts(stored):
        rows = _row_digests(stored, engine, part.bucket)
        file = f"bucket={part.bucket}/{digest(*content, *rows)}{suffix}"
        files.append([file])
        if file not in there or folder.is_cut(file):
            parts.append(replace(part, path=f"{folder.path}/{file}"))
    progress = Progress(folder.name, len(files), "buckets", done=len(files) - len(parts))
    do = WriteFile(write, folder.filesystem, folder.address(""))
    for _nothing in do_by_bucket([data], stored, engine, do, parts):
        progress.step()
    return files


def collect_by_bucket(data: Sequence[ir.Table], stored: Stored, engine: DuckDB) -> list[pa.Table]:
    """Return the rows of expressions, each evaluated for the persons of each bucket."""
    streams = do_by_bucket(data, stored, engine, collect, _parts(stored))
    by_bucket = [[pa.ipc.open_stream(one).read_all() for one in part] for part in streams]
    kinds = [table.schema().to_pyarrow() for table in data]
    return [
        pa.concat_tables([rows.cast(kind) for rows in parts])
        for kind, parts in zip(kinds, zip(*by_bucket, strict=True), strict=True)
    ]


def do_by_bucket(
    data: Sequence[ir.Table], stored: Stored, engine: DuckDB, do: Do, parts: Sequence[Part]
) -> Iterator[list[Any]]:
    """Do something with the SQL of each expression for each bucket: here, or on a cluster.

    Args:
        data: The expressions, which look at one person at a time.
        stored: Their tables that are stored by person bucket.
        engine: Evaluates them.
        do: What to do.
        parts: The buckets.

    Yields:
        What each expression gives, bucket by bucket in any order.
    """
    swapped = [_with_views(table, stored) for table in data]
    if engine.cluster is None:
        texts = [engine.sql_of(table) for table in swapped]
        for part in parts:
            show(engine.backend.con, part)
            made = []
            for table, text in zip(swapped, texts, strict=True):
                with engine.telling(table):
                    made.append(do(engine.backend.con, text, part))
            yield made
    else:
        queries = [_query(table, engine) for table in swapped]
        yield from engine.cluster.each(
            partial(do_apart, queries, engine.settings(), engine.secret, do), parts
        )


def _with_views(data: ir.Table, stored: Stored) -> ir.Table:
    """Return the expression with a view of one bucket in the place of each stored table."""
    of, views = _number(stored), {}
    for leaf, table in stored.items():
        view = ops.DatabaseTable(name=_view(leaf), schema=leaf.schema, source=leaf.source)
        rows = view.to_expr()
        if len(table.files) < of:
            rows = rows.filter(person_bucket(rows.person_id, of) == _variable("bucket"))
        views[leaf] = rows.op()
    return data.op().replace(views).to_expr()


def _query(data: ir.Table, engine: DuckDB) -> Query:
    """Return all that another process needs to evaluate an expression over views."""
    whole = [leaf for leaf in _leaves(data) if not leaf.name.endswith(VIEW)]
    names = {leaf: unique_name("whole") for leaf in whole}
    small = {name: engine.backend.to_pyarrow(leaf.to_expr()) for leaf, name in names.items()}
    tables = {
        leaf: ops.DatabaseTable(name=name, schema=leaf.schema, source=engine.backend)
        for leaf, name in names.items()
    }
    return Query(
        engine.sql_of(data.op().replace(tables).to_expr()), engine.functions_of(data), small
    )


def _parts(stored: Stored) -> list[Part]:
    """Return the buckets of stored tables; one of none where there are no tables."""
    return [
        Part(bucket, {_view(leaf): table.source(bucket) for leaf, table in stored.items()})
        for bucket in range(_number(stored))
    ]


def _number(stored: Stored) -> int:
    return max((len(table.files) for table in stored.values()), default=1)


def _row_digests(stored: Stored, engine: DuckDB, bucket: int) -> list[str]:
    return [table.digest(engine, leaf, bucket, _number(stored)) for leaf, table in stored.items()]


def _view(leaf: Any) -> str:
    """Return the name of the view that stands for the rows of one bucket of a stored table."""
    return f"{leaf.name}{VIEW}"


@ibis.udf.scalar.builtin(name="getvariable")
def _variable(of: str) -> int:
    """DuckDB's own function: the value of a variable."""
    raise NotImplementedError


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
        quick: See :meth:`Engine.write_partitioned`.
    """
    buckets = _power_of_two(engine.bucket_count(data, BYTES_PER_ROW, FIXED_BYTES))
    target = unique_name("rows")
    place = f"{folder.path}/{target}"
    if buckets == 1 and isinstance(engine, DuckDB):
        folder.filesystem.makedirs(place)
        engine.write_parquet(data, folder.address(f"{place}/all.parquet"), order_by, quick)
        return [[f"{target}/all.parquet"]]
    folder.filesystem.makedirs(folder.path, exist_ok=True)
    rows = data.mutate(bucket=person_bucket(data[person], buckets))
    engine.write_partitioned(rows, folder.address(place), "bucket", buckets, order_by, quick)
    return _partitioned_files(data, folder, target, buckets)


def _partitioned_files(data: ir.Table, folder: BucketFolder, target: str, buckets: int) -> Files:
    files: Files = [[] for _bucket in range(buckets)]
    for name in sorted(folder.names(target)):
        if name.endswith(".parquet"):
            files[int(name.rpartition("bucket=")[2].partition("/")[0])].append(name)
    if not any(files):  # a table without rows still has columns
        files[0] = [f"{target}/empty.parquet"]
        folder.filesystem.makedirs(f"{folder.path}/{target}", exist_ok=True)
        with folder.filesystem.open(f"{folder.path}/{files[0][0]}", "wb") as stream:
            pq.write_table(data.schema().to_pyarrow().empty_table(), stream)
    return files


def _leaves(data: ir.Table) -> Sequence[Any]:
    return data.op().find((ops.PhysicalTable, ops.SQLQueryResult))


def _whole_content(data: ir.Table, stored: Stored, engine: DuckDB) -> list[str]:
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
