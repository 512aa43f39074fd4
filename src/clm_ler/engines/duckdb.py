"""DuckDB, the embedded engine."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial, wraps
from typing import Any, ClassVar

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
from ibis.expr.operations.udf import InputType
from sqlglot import exp

from clm_ler.engines.base import Engine
from clm_ler.engines.duckdb_sql import lenient_sql, message_without_values
from clm_ler.engines.errors import guard, without_values
from clm_ler.engines.held import PYTHONS, hold_tables_of_python
from clm_ler.engines.parquet import by_zoned_columns
from clm_ler.engines.plans import row_estimates, size_in_bytes
from clm_ler.engines.s3 import open_httpfs, store_access
from clm_ler.files.digests import unique_name
from clm_ler.files.gzipped import whole
from clm_ler.files.location import is_remote, local_folder

_FETCHES_CODE = ("autoinstall_known_extensions", "autoload_known_extensions")
MOST_CATEGORIES = 65_536  # of a dictionary in a Parquet file
_LARGEST_OBJECT = 64 * 2**20  # bytes of a line of JSON
_LISTS_PER_ROW_GROUP = 8192  # a row group is the work of one thread
# Up to 65,536 distinct tokens of a row group go through a dictionary, times as differences (V2).
_PARQUET = {
    "compression": "zstd",
    "parquet_version": "V2",
    "dictionary_size_limit": MOST_CATEGORIES,
    "string_dictionary_page_size_limit": 8 * 2**20,
}


class DuckDB(Engine):
    """Tables in this process, spilled to disk beyond a memory limit.

    The connection is that of all tables that are made of raw ones. It is the one that ``ibis.FileDataset``
    opens by itself, so that entries of a user's own that name none meet the project's tables there.
    """

    name = "duckdb"
    connection: ClassVar = {"backend": "duckdb", "database": ":memory:"}
    csv_as_text: ClassVar = {"all_varchar": True}
    distributed = False

    @property
    def cluster(self) -> Any:
        """The cluster that works for this connection, where :meth:`work_on` has said so."""
        return getattr(self.backend, "_cluster", None)

    def work_on(self, cluster: Any) -> None:
        """Let a cluster do what is done bucket by bucket."""
        self.backend._cluster = cluster

    def configure(self, memory_limit: str, threads: int, storage: str) -> None:
        """Set the limits, and the folder for what is beyond them.

        DuckDB spills into ``tmp`` below the storage, because spilled rows are person-level data
        too; beside the project's data where the storage is remote.
        """
        size_in_bytes(memory_limit)  # what is none is told better than DuckDB does
        guard(self.backend, (duckdb.Error,), message_without_values)
        hold_tables_of_python(
            self.backend, partial(type(self.backend)._register_in_memory_table, self.backend)
        )
        folder = "data/tmp" if is_remote(storage) else f"{local_folder(storage)}/tmp"
        settings = {"memory_limit": memory_limit, "threads": threads or os.cpu_count()}
        # Nothing relies on it, and without it large tables are written with less memory.
        settings |= dict.fromkeys(("preserve_insertion_order", *_FETCHES_CODE), False)
        if self._setting("temp_directory") != folder:
            settings["temp_directory"] = folder
        for name, value in settings.items():
            self.backend.raw_sql(f"SET {name} = '{value}'")

    def open_store(self, options: Mapping[str, Any]) -> None:
        """Load the ``httpfs`` extension and give it the credentials."""
        access = store_access(options)
        secret = {"TYPE": "s3", "REGION": access.region or "us-east-1"}
        if access.key:
            secret |= {"KEY_ID": access.key, "SECRET": access.secret}
            secret |= {"SESSION_TOKEN": access.token} if access.token else {}
        if access.endpoint.netloc:
            secret |= {"ENDPOINT": access.endpoint.netloc, "URL_STYLE": "path"}
            secret |= {"USE_SSL": str(access.endpoint.scheme == "https").lower()}
        text = ", ".join(f"{name} '{value}'" for name, value in secret.items())
        self.backend._secret = f"CREATE OR REPLACE SECRET clm_s3 ({text})"
        open_httpfs(self.backend.con, self.backend._secret)

    def _dialect(self, query: exp.Expr) -> str:
        return lenient_sql(query)

    def local_time(self, moment: exp.Expr, zone: str) -> exp.Expr:
        """Return SQL for the local time at a moment."""
        local = exp.Anonymous(this="timezone", expressions=[exp.Literal.string(zone), moment])
        local.meta["moment"] = True
        return local

    def with_local_times(self, table: ir.Table, zone: str) -> ir.Table:
        """Return the table with its times that have a zone as local times without one."""
        kinds = table.schema().items()
        zoned = [name for name, kind in kinds if kind.is_timestamp() and kind.timezone]
        return table.mutate({name: _timezone(zone, table[name]) for name in zoned})

    def from_hex(self, digits: ir.StringValue) -> ir.IntegerValue:
        """Return the whole number that at most 15 hexadecimal digits write."""
        return (ibis.literal("0x") + digits).cast("int64")

    def read_parquet(self, paths: Sequence[str], name: str | None = None) -> ir.Table:
        """Read Parquet files as one lazy table."""
        return self.backend.read_parquet(list(paths), table_name=name, hive_partitioning=False)

    def read_mixed_parquet(self, paths: Sequence[str], zone: str) -> ir.Table:
        """Read Parquet files that may differ in the order, number and type of their columns."""
        options = {"hive_partitioning": False, "union_by_name": True}
        tables = [
            self.with_local_times(self.backend.read_parquet(alike, **options), zone)
            for alike in by_zoned_columns(self.backend.con, paths)
        ]
        if len(tables) == 1:
            return tables[0]
        named = {unique_name("alike"): table for table in tables}
        for name, table in named.items():
            self.backend.create_view(name, table)
        return self.backend.sql(" UNION ALL BY NAME ".join(f"SELECT * FROM {n}" for n in named))

    def read_csv(self, paths: Sequence[str], delimiter: str = ",", **given: Any) -> ir.Table:
        """Read CSV files with a header, plain or gzip, as one lazy table of strings."""
        options = {"header": True, "delim": delimiter, "quote": '"', "union_by_name": True}
        # Or DuckDB would find lines that it takes for remarks, and leave them out.
        options |= {"skip": 0, "comment": ""} | self.csv_as_text | given
        return self.backend.read_csv(whole(paths), **options)

    def read_ndjson(self, paths: Sequence[str], schema: ibis.Schema) -> ir.Table:
        """Read files with a JSON object a line, plain or gzip, as one lazy table."""
        to_string = self.backend.compiler.type_mapper.to_string
        columns = {name: to_string(kind) for name, kind in schema.items()}
        layout = {"format": "newline_delimited", "maximum_object_size": _LARGEST_OBJECT}
        return self.backend.read_json(whole(paths), columns=columns, **layout)

    def read_literal_text(
        self, path: str, delimiter: str, names: Sequence[str] | None = None
    ) -> ir.Table:
        """Read delimited text in which quotes and backslashes are ordinary characters."""
        options: dict[str, Any] = {"delim": delimiter, "header": names is None}
        options |= {"nullstr": "", "skip": 0}
        options |= dict.fromkeys(("quote", "escape", "comment"), "")
        options |= {"columns": dict.fromkeys(names, "VARCHAR")} if names else self.csv_as_text
        return self.backend.read_csv(whole([path]), **options)

    def with_categories(self, table: pa.Table, columns: Sequence[str]) -> ir.Table:
        """Return a small table whose texts in some columns cost no more than numbers: as ENUM.

        What they are joined to is sorted and stored by number, in about half the time. What is too
        much for a dictionary in a Parquet file stays text.

        Args:
            table: The rows.
            columns: Those of its columns of text that are to be carried on.
        """
        # A type without any value cannot be sorted by.
        columns = [name for name in columns if table[name].null_count < table.num_rows]
        if not columns or max(len(table[name].unique()) for name in columns) > MOST_CATEGORIES:
            return ibis.memtable(table)
        name = unique_name("categories")
        self.backend.con.register(f"{name}_rows", table)
        for column in columns:
            texts = f'SELECT DISTINCT "{column}" FROM {name}_rows WHERE "{column}" IS NOT NULL'
            self.backend.raw_sql(f"CREATE TYPE {name}_{column} AS ENUM ({texts} ORDER BY ALL)")
        casts = ", ".join(f'"{column}"::{name}_{column} AS "{column}"' for column in columns)
        rows = f"SELECT * REPLACE ({casts}) FROM {name}_rows"
        self.backend.raw_sql(f"CREATE TEMP TABLE {name} AS {rows}")
        self.backend.con.unregister(f"{name}_rows")
        drops = [f"TABLE {name}", *(f"TYPE {name}_{column}" for column in columns)]
        return self.hold(self._typed(name, ibis.schema(table.schema)), drops)

    def materialize(self, name: str, data: ir.Table) -> ir.Table:
        """Evaluate an expression into a temporary table of this name, and return that.

        It is kept in memory, and beyond the memory limit in the spill folder, until :meth:`drop`;
        categories stay what they are.
        """
        with self.telling(data):
            self.backend.raw_sql(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {self.sql_of(data)}')
        return self._typed(name, data.schema())

    def drop(self, name: str) -> None:
        """Drop what :meth:`materialize` has made."""
        self.backend.raw_sql(f'DROP TABLE IF EXISTS "{name}"')

    def map_arrow(
        self,
        table: ir.Table,
        function: Callable[..., pa.Array],
        columns: Sequence[str],
        output: dict[str, dt.DataType],
        digest: str,
    ) -> ir.Table:
        """Return the table with the columns that a vectorised Arrow function makes of some of its own.

        Args:
            table: Any table.
            function: Takes the columns as Arrow arrays, each in one piece, and returns a struct
                array with the fields of ``output``; a cluster's executors are sent it.
            columns: The columns to read.
            output: Names and types of the new columns.
            digest: Of all that the result depends on beside the columns: it names the function, so
                that equal expressions have equal names.
        """
        signature = (tuple(table[name].type() for name in columns), dt.Struct(output))
        # Nulls of one column reach the function as well.
        apply = ibis.udf.scalar.pyarrow(
            _in_one_piece(function), signature=signature, null_handling="special"
        )
        applied = apply(*(table[name] for name in columns))
        # Ibis numbers the functions of a process and has no other way to name one.
        type(applied.op()).__name__ = f"{function.__name__}_{digest}"
        made = table.mutate(map_arrow=applied)
        return made.mutate({name: made.map_arrow[name] for name in output}).drop("map_arrow")

    def let_go(self, kind: str, name: str) -> None:
        """Drop what was kept for a table, if it is there."""
        if kind == PYTHONS:
            self.backend.con.unregister(name)
        else:
            self.backend.raw_sql(f'DROP {kind} IF EXISTS "{name}"')

    def look_up(self, table: ir.Table, column: str, texts: pa.Array) -> ir.Table:
        """Return the table with a column of lists of places in ``texts`` as lists of these texts."""
        places = pa.table({"text": texts, "place": pa.array(range(len(texts)), pa.int64())})
        rows = self.with_categories(places, ["text"])
        listed = rows.agg(texts=rows.text.collect(order_by=rows.place))
        kept = self.materialize(name := unique_name("texts"), listed)
        joined = table.cross_join(self.hold(kept, [f"TABLE {name}"]))
        found = joined[column].map(lambda place: joined.texts[place])
        return joined.mutate({column: found}).drop("texts")

    def functions_of(self, data: ir.Table) -> list[tuple[str, Callable, list[str], str]]:
        """Return the functions of Python's in an expression, as DuckDB's ``create_function`` takes them."""
        kinds = self.backend.compiler.type_mapper
        return [
            (
                type(call).__name__,
                call.__func__,
                [kinds.to_string(argument.dtype) for argument in call.args],
                kinds.to_string(call.dtype),
            )
            for call in data.op().find(ops.ScalarUDF)
            if call.__input_type__ == InputType.PYARROW
        ]

    def settings(self) -> dict[str, str]:
        """Return the settings of connections elsewhere that work for this one."""
        return {"memory_limit": self._setting("memory_limit")}

    @property
    def secret(self) -> str | None:
        """The statement that gives a connection the credentials of the store, if one is open."""
        return getattr(self.backend, "_secret", None)

    def parquet_options(self, data: ir.Table, quick: bool = False) -> str:
        """Return how an expression is written, as DuckDB's ``COPY`` takes it; see :meth:`write_partitioned`."""
        options = {"format": "parquet"} | _parquet_options(data, quick)
        return ", ".join(f"{name.upper()} {value!r}" for name, value in options.items())

    def write_parquet(
        self, data: ir.Table, path: str, order_by: Sequence[str] = (), quick: bool = False
    ) -> None:
        """Evaluate an expression into one file; see :meth:`write_partitioned`."""
        self.backend.to_parquet(_ordered(data, order_by), path, **_parquet_options(data, quick))

    def write_partitioned(
        self,
        data: ir.Table,
        folder: str,
        column: str,
        parts: int,
        order_by: Sequence[str] = (),
        quick: bool = False,
    ) -> None:
        """Evaluate an expression once and write Parquet files ``COLUMN=value/*`` below a folder."""
        options = _parquet_options(data, quick) | {"partition_by": column}
        self.backend.to_parquet(_ordered(data, order_by), folder, **options)

    def bucket_count(self, data: ir.Table, bytes_per_row: int, fixed_bytes: int) -> int:
        """Return how many parts keep the work on one within the memory limit."""
        limit = size_in_bytes(self._setting("memory_limit"))
        room = max(limit - fixed_bytes, limit // 4)
        return max(1, -(-self._row_estimate(data) * bytes_per_row // room))

    def digest_of(self, table: ir.Table) -> str:
        """Return a digest of a table's rows in any order."""
        rows = self.sql_of(table)
        query = f"SELECT count(*), sum(hash(rows)::HUGEINT) FROM ({rows}) AS rows"
        # All of it: DuckDB cannot replace a Python function while a result is still being read.
        with self.telling(table):
            count, total = self.backend.raw_sql(query).fetchall()[0]
        return f"{count}-{total or 0:x}"

    def _row_estimate(self, data: ir.Table) -> int:
        """Return the most rows that a step of the plan is expected to give."""
        explained = self.backend.raw_sql(f"EXPLAIN (FORMAT json) {self.sql_of(data)}")
        return max(row_estimates(json.loads(explained.fetchone()[1])))

    def telling(self, data: ir.Table) -> AbstractContextManager[None]:
        """Tell errors of what is done with the connection itself as those of its methods are told."""
        return without_values((duckdb.Error, pa.ArrowException), message_without_values, data)

    def _setting(self, name: str) -> str:
        # On a cursor of its own: threads that share the connection would take each other's answers.
        with self.backend.con.cursor() as cursor:
            return str(cursor.execute(f"SELECT current_setting('{name}')").fetchone()[0])

    def _typed(self, name: str, schema: ibis.Schema) -> ir.Table:
        """Return a table by name; Ibis, asked for its types, would parse all categories."""
        return ops.DatabaseTable(name=name, schema=schema, source=self.backend).to_expr()


@ibis.udf.scalar.builtin(name="timezone")
def _timezone(zone: str, moment: dt.Timestamp(timezone="UTC")) -> dt.timestamp:  # type: ignore[valid-type]
    """DuckDB's own function: the local time at a moment."""
    raise NotImplementedError


def _ordered(data: ir.Table, names: Sequence[str]) -> ir.Table:
    return data.order_by([ibis.asc(name, nulls_first=True) for name in names]) if names else data


def _parquet_options(data: ir.Table, quick: bool) -> dict[str, Any]:
    lists = any(kind.is_array() for kind in data.schema().types)
    options = _PARQUET | ({"row_group_size": _LISTS_PER_ROW_GROUP} if lists else {})
    return options | ({"compression": "uncompressed"} if quick else {})


def _in_one_piece(function: Callable[..., pa.Array]) -> Callable[..., pa.Array]:
    """Let a function of arrays take the chunked ones that DuckDB hands over."""

    @wraps(function)
    def apply(*columns: pa.ChunkedArray) -> pa.Array:
        return function(*(column.combine_chunks() for column in columns))

    return apply
