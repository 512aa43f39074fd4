"""An expression over persons as SQL, for any process that has DuckDB, and what it makes of one bucket.

Executors of Spark import this file: Ibis and Kedro, which take long to import, are left out.
"""

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from zipimport import zipimporter

import duckdb
import pyarrow as pa
from fsspec import AbstractFileSystem

from clm_ler.files.atomic import replacing

Connection = duckdb.DuckDBPyConnection
Write = Callable[[Connection, str, str], None]
"""Evaluates SQL on a connection and writes the rows to an address."""


@dataclass(frozen=True)
class Query:
    """SQL in which a view stands for the rows of one bucket of each stored table.

    Attributes:
        sql: In DuckDB's dialect; the variable ``bucket`` has the bucket's number.
        functions: Those of Python's that it calls: name, function, DuckDB's types of the parameters
            and of what it returns.
        small: The tables that it reads as a whole, by name.
    """

    sql: str
    functions: Sequence[tuple[str, Callable[..., pa.Array], list[str], str]]
    small: Mapping[str, pa.Table]


@dataclass(frozen=True)
class Part:
    """One bucket: its number, the SQL of each view, and where what is made of it goes."""

    bucket: int
    views: Mapping[str, str]
    path: str = ""


Do = Callable[[Connection, str, Part], bytes | None]
"""What is done with the SQL of one bucket; it gives bytes, or nothing."""


class BucketError(RuntimeError):
    """What went wrong with one bucket in another process, told without values."""


def show(connection: Connection, part: Part) -> None:
    """Let the views of a connection be the files of one bucket."""
    connection.execute(f"SET VARIABLE bucket = {part.bucket}")
    for name, rows in part.views.items():
        connection.execute(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {rows}')


def do_apart(
    queries: Sequence[Query], settings: Mapping[str, str], secret: str | None, do: Do, part: Part
) -> list[bytes | None]:
    """Do something with each query on a connection of this task's own; return what each gives.

    Args:
        queries: Whose views have the same names.
        settings: DuckDB's.
        secret: The statement that gives DuckDB the credentials of an S3 store, where there is one.
        do: What to do.
        part: The bucket.
    """
    gc.freeze()  # Spark's worker collects after each task: what was imported stays
    try:
        with _connect(settings, secret) as connection:
            show(connection, part)
            made = []
            for query in queries:
                _prepare(connection, query)
                made.append(do(connection, query.sql, part))
            return made
    except Exception as error:
        raise BucketError(f"bucket {part.bucket}: {_message_without_values(error)}") from None
    finally:
        forget_zip_files()


def forget_zip_files() -> None:
    """Make Python forget the finders of zip files on its path; an import makes those that it needs again.

    Spark's worker refreshes all finders before each task, and each of some sixteen reads the whole directory
    of its file: of Spark's own packages and a jar of it, half a second in all.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimporter):
            del sys.path_importer_cache[path]


def _connect(settings: Mapping[str, str], secret: str | None) -> Connection:
    spill = os.environ.get("SPARK_LOCAL_DIRS", ".").partition(",")[0]
    own = {"temp_directory": f"{spill}/duckdb", "preserve_insertion_order": "false", "threads": "1"}
    connection = duckdb.connect(config={**own, **settings})
    if secret:
        from clm_ler.engines.s3 import open_httpfs

        open_httpfs(connection, secret)
    return connection


def _message_without_values(error: Exception) -> str:
    """Return the first line of an error about files, rights or memory; of any other, which may quote a
    person's values, its kind.
    """
    from clm_ler.engines.duckdb_sql import message_without_values

    told = str(error) if isinstance(error, OSError) else message_without_values(error)
    return f"{type(error).__name__} {(told or '').partition(chr(10))[0]}".strip()


def _prepare(connection: Connection, query: Query) -> None:
    for name, rows in query.small.items():
        connection.register(name, rows)
    create: Any = partial(connection.create_function, type="arrow", null_handling="special")
    for call in query.functions:
        create(*call)


def collect(connection: Connection, sql: str, _part: Part) -> bytes:
    """Return the rows as a stream of Arrow's."""
    rows = connection.execute(sql).to_arrow_table()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return sink.getvalue().to_pybytes()


@dataclass(frozen=True)
class WriteFile:
    """Writes the rows of a bucket to its file, which is there as a whole or not at all."""

    write: Write
    filesystem: AbstractFileSystem
    scheme: str

    def __call__(self, connection: Connection, sql: str, part: Part) -> None:
        """Write."""
        with replacing(self.filesystem, part.path) as aside:
            self.write(connection, sql, self.scheme + aside)


@dataclass(frozen=True)
class CopyParquet:
    """Writes rows as a Parquet file, with DuckDB's options, in the order of columns where any are named."""

    options: str
    order: tuple[str, ...] = ()

    def __call__(self, connection: Connection, sql: str, address: str) -> None:
        """Write; nulls come first."""
        if self.order:
            columns = ", ".join(f'"{name}" ASC NULLS FIRST' for name in self.order)
            sql = f"FROM ({sql}) ORDER BY {columns}"
        connection.execute(f"COPY ({sql}) TO '{address}' ({self.options})")
