"""What the project asks of a table engine beside what Ibis does alike on all of them."""

import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import ibis
import ibis.expr.types as ir
from ibis import BaseBackend
from sqlglot import exp

from clm_ler.engines.held import unused_of
from clm_ler.engines.sql_functions import alike


class Engine(ABC):
    """A table engine on one open Ibis connection."""

    name: ClassVar[str]
    """The value of ``engine`` in the configuration."""
    connection: ClassVar[dict[str, str]]
    """The Ibis connection that reads raw tables, as catalog entries take it."""
    csv_as_text: ClassVar[dict[str, bool]]
    """What Ibis' ``read_csv`` needs to guess no types."""
    distributed: ClassVar[bool]
    """Whether one expression over all persons is cut into tasks that fit in memory by the engine itself."""

    def __init__(self, backend: BaseBackend) -> None:
        """Take an open connection of this engine."""
        self.backend = backend

    @abstractmethod
    def configure(self, memory_limit: str, threads: int, storage: str) -> None:
        """Set what the connection may use.

        Args:
            memory_limit: What an embedded engine may use, such as ``4GB``; a distributed one has its
                own setting when it starts.
            threads: The threads of an embedded engine; 0 means all cores.
            storage: Where everything derived goes, and what does not fit in memory with it.
        """

    @abstractmethod
    def open_store(self, options: Mapping[str, Any]) -> None:
        """Let the connection read and write ``s3://`` addresses; nothing is asked of the store yet.

        Args:
            options: As fsspec's S3 file system takes them: ``key``, ``secret``, ``token``,
                ``endpoint_url``, ``profile``, ``client_kwargs``. What is not given comes from where
                AWS tools look for it.
        """

    def sql(self, query: exp.Expr) -> str:
        """Return a query in the engine's dialect; what cannot be parsed becomes null."""
        query = alike(query.copy())
        for time in query.find_all(exp.StrToTime):
            time.set("safe", True)
        for cast in query.find_all(exp.Cast):
            if cast.to.is_type("timestamptz") and not cast.meta.get("moment"):
                # Spark's TIMESTAMP, as sqlglot sees it
                cast.set("to", exp.DataType.build("timestamp"))
        return self._dialect(query)

    @abstractmethod
    def _dialect(self, query: exp.Expr) -> str: ...

    @abstractmethod
    def local_time(self, moment: exp.Expr, zone: str) -> exp.Expr:
        """Return SQL for the local time, without a zone, at a moment, which is a time with one."""

    @abstractmethod
    def with_local_times(self, table: ir.Table, zone: str) -> ir.Table:
        """Return the table with its times that have a zone as local times without one."""

    def as_local(self, table: ir.Table) -> ir.Table:
        """Return a table whose times are local already, whatever type the engine has given them."""
        return table

    @abstractmethod
    def from_hex(self, digits: ir.StringValue) -> ir.IntegerValue:
        """Return the whole number that at most 15 hexadecimal digits write, null for null."""

    @abstractmethod
    def read_parquet(self, paths: Sequence[str], name: str | None = None) -> ir.Table:
        """Read Parquet files as one lazy table.

        Args:
            paths: The files.
            name: What the table is called.
        """

    @abstractmethod
    def read_mixed_parquet(self, paths: Sequence[str], zone: str) -> ir.Table:
        """Read Parquet files that may differ in the order, number and type of their columns.

        Args:
            paths: The files; each is looked at.
            zone: Local time, as which times with a zone are read in whichever file they are.
        """

    def hold(self, table: ir.Table, drops: Sequence[str], needs: Sequence[Any] = ()) -> ir.Table:
        """Return a table by name, and let go of what is kept for it when nobody holds it.

        Not at that moment, when a result may just be read, which a statement would end, but with the next
        such table.

        Args:
            table: The table.
            drops: What to drop then, such as ``VIEW name``.
            needs: What has to be held as long, because the table knows it by name only.
        """
        unused = unused_of(self.backend)
        while unused:
            kind, _, name = unused.pop(0).partition(" ")
            self.let_go(kind, name)
        weakref.finalize(table.op(), lambda _needs: unused.extend(drops), needs)
        return table

    @abstractmethod
    def let_go(self, kind: str, name: str) -> None:
        """Drop what was kept for a table, if it is there.

        Args:
            kind: ``VIEW``, ``TABLE``, ``TYPE``, or ``PYTHON``, the view of a table of Python's.
            name: What it is called.
        """

    @abstractmethod
    def read_csv(self, paths: Sequence[str], delimiter: str = ",", **given: Any) -> ir.Table:
        """Read CSV files with a header, plain or gzip, as one lazy table of strings.

        Their columns may stand in any order, and be absent in some. No type is guessed, because engines
        guess differently, and no line is left out. An empty field is null.

        Args:
            paths: The files.
            delimiter: What stands between two fields.
            given: Options of the engine's own reader, and ``table_name``; they come first.
        """

    @abstractmethod
    def read_ndjson(self, paths: Sequence[str], schema: ibis.Schema) -> ir.Table:
        """Read files with a JSON object a line, plain or gzip, as one lazy table.

        What an object lacks is null, what the schema lacks is left out, and a line that is no JSON is
        an error.
        """

    @abstractmethod
    def read_literal_text(
        self, path: str, delimiter: str, names: Sequence[str] | None = None
    ) -> ir.Table:
        """Read delimited text in which quotes and backslashes are ordinary characters.

        Args:
            path: A plain or gzip file, lines ending in LF or CR LF.
            delimiter: What stands between two fields.
            names: The columns; none where the first line names them.

        Returns:
            A lazy table of strings; an empty field is null.
        """

    @abstractmethod
    def write_partitioned(
        self,
        data: ir.Table,
        folder: str,
        column: str,
        parts: int,
        order_by: Sequence[str] = (),
        quick: bool = False,
    ) -> None:
        """Evaluate an expression once and write Parquet files ``COLUMN=value/*`` below a folder.

        Args:
            data: The expression.
            folder: A local path or URL, where nothing lies yet.
            column: The number of the part that a row belongs to; it is not in the files.
            parts: How many values it has: 0 to ``parts - 1``. A part without rows has no folder.
            order_by: The order of the rows in each file, nulls first.
            quick: The table is of use to this run only: DuckDB does not compress it, which is
                quicker and takes several times the space.
        """

    @abstractmethod
    def bucket_count(self, data: ir.Table, bytes_per_row: int, fixed_bytes: int) -> int:
        """Return into how many parts, at least, the rows of an expression go to be worked on one by one.

        Args:
            data: The expression.
            bytes_per_row: Working memory that grows with a part.
            fixed_bytes: Working memory that is needed for a part of any size.
        """

    def sql_of(self, data: ir.Table) -> str:
        """Return an expression's SQL; the engine is given the tables and functions of Python's first."""
        self.backend._run_pre_execute_hooks(data)
        return self.backend.compile(data)
