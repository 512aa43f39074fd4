"""Where the table engines differ, and nowhere else."""

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial, wraps
from typing import Any
from urllib.parse import urlsplit

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
from ibis import BaseBackend

MOST_CATEGORIES = 65_536  # of a dictionary in a Parquet file
_NO_TEXT = "\ue000"  # of Unicode's private use area


def connection(engine: str) -> dict[str, Any]:
    """Return the Ibis connection of an engine, as catalog entries take it.

    DuckDB's is the one that ``ibis.FileDataset`` opens by itself, so that entries of a user's own
    that name none meet the project's tables in the same place.

    Args:
        engine: ``duckdb`` or ``pyspark``.

    Raises:
        ValueError: If the engine is none of the two.
    """
    if engine == "pyspark":
        return {"backend": "pyspark"}
    if engine != "duckdb":
        raise ValueError(f"engine must be 'duckdb' or 'pyspark', not {engine!r}")
    return {"backend": "duckdb", "database": ":memory:"}


def configure(backend: BaseBackend, memory_limit: str, threads: int, storage: str) -> None:
    """Set what a connection may use.

    Args:
        backend: The connection.
        memory_limit: What DuckDB may use, such as ``4GB``; Spark takes its own from ``spark.yml``.
        threads: DuckDB's threads; 0 means all cores.
        storage: Where everything derived goes. DuckDB spills into ``tmp`` below it, because spilled
            rows are person-level data too; beside the project's data where the storage is remote.
    """
    if backend.name == "pyspark":
        # What cannot be read becomes null, as on DuckDB, and is counted.
        backend._session.conf.set("spark.sql.ansi.enabled", "false")
        backend._register_in_memory_table = partial(_hand_over, backend)
        return
    # Arrow's own allocator gives the memory of each large column back to the system, to ask for it
    # again with the next one.
    pa.set_memory_pool(pa.system_memory_pool())
    folder = "data/tmp" if "://" in storage else f"{storage}/tmp"
    backend.raw_sql(f"SET memory_limit = '{memory_limit}'")
    backend.raw_sql(f"SET threads = {threads or os.cpu_count()}")
    # Nothing relies on it, and without it large tables are written with less memory.
    backend.raw_sql("SET preserve_insertion_order = false")
    if backend.raw_sql("SELECT current_setting('temp_directory')").fetchone()[0] != folder:
        backend.raw_sql(f"SET temp_directory = '{folder}'")


def _hand_over(backend: BaseBackend, table: ops.InMemoryTable) -> None:
    """Give Spark a table of Python's as the Arrow table that it is.

    Ibis goes through pandas, as Spark before 4.0 needed it; lists are lost on that way.
    """
    from ibis.backends.pyspark.datatypes import PySparkSchema

    rows = table.data.to_pyarrow(table.schema)
    frame = backend._session.createDataFrame(rows, schema=PySparkSchema.from_ibis(table.schema))
    frame.createOrReplaceTempView(table.name)


def save_args(engine: str) -> dict[str, Any]:
    """Return what ``ibis.FileDataset`` needs to replace an earlier table on an engine."""
    return {"mode": "overwrite"} if engine == "pyspark" else {}


def trim(text: ir.StringValue) -> ir.StringValue:
    """Return text without spaces, tabs and line ends around it.

    Not ``strip()``: Spark reads Ibis's form feed and vertical tab as the letters f and v, and would
    strip those too.
    """
    return text.re_replace("^[ \t\r\n]+|[ \t\r\n]+$", "")


def small_table(rows: list[dict[str, Any]], schema: ibis.Schema) -> ir.Table:
    """Return rows made in Python as a table in which what is missing is null in every engine.

    Spark is handed such tables through pandas, where a missing number is NaN, and a missing text
    becomes the word: it travels as a character that no text has.
    """
    texts = [name for name, kind in schema.items() if kind.is_string()]
    numbers = [name for name, kind in schema.items() if kind.is_floating()]
    marked = [row | {name: _NO_TEXT for name in texts if row.get(name) is None} for row in rows]
    table = ibis.memtable(pa.Table.from_pylist(marked, schema=schema.to_pyarrow()), schema=schema)
    nulls = {name: ibis.cases((~table[name].isnan(), table[name])) for name in numbers}
    return table.mutate(nulls | {name: table[name].nullif(_NO_TEXT) for name in texts})


def with_categories(table: pa.Table, columns: Sequence[str], like: ir.Table) -> ir.Table:
    """Return a small table whose texts in some columns cost an engine no more than numbers.

    DuckDB takes them as ENUM: what they are joined to is sorted and stored by number, in about half
    the time. Spark has no such type. What is too much for a dictionary in a Parquet file stays
    text.

    Args:
        table: The rows.
        columns: Those of its columns of text that are to be carried on.
        like: A table of the engine that is to hold the rows.
    """
    backend = like.get_backend()
    counts = (len(table[name].unique()) for name in columns)
    if backend.name != "duckdb" or not table.num_rows or max(counts) > MOST_CATEGORIES:
        return ibis.memtable(table)
    name = f"categories_{uuid.uuid4().hex}"
    backend.con.register(f"{name}_rows", table)
    for column in columns:
        texts = f'SELECT DISTINCT "{column}" FROM {name}_rows WHERE "{column}" IS NOT NULL'
        backend.raw_sql(f"CREATE TYPE {name}_{column} AS ENUM ({texts} ORDER BY ALL)")
    casts = ", ".join(f'"{column}"::{name}_{column} AS "{column}"' for column in columns)
    backend.raw_sql(f"CREATE TEMP TABLE {name} AS SELECT * REPLACE ({casts}) FROM {name}_rows")
    backend.con.unregister(f"{name}_rows")
    return _typed(backend, name, ibis.schema(table.schema))


def hold(backend: BaseBackend, name: str, data: ir.Table) -> ir.Table:
    """Evaluate an expression into a temporary table of DuckDB, and return that.

    It lies in memory, and beyond the memory limit in the spill folder, until :func:`let_go`.
    Categories stay what they are. Spark evaluates an expression at each use: it is returned as it is.
    """
    if backend.name == "pyspark":
        return data
    backend._run_pre_execute_hooks(data)
    backend.raw_sql(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {backend.compile(data)}')
    return _typed(backend, name, data.schema())


def let_go(backend: BaseBackend, name: str) -> None:
    """Drop what :func:`hold` has made; on Spark it has made nothing."""
    if backend.name != "pyspark":
        backend.raw_sql(f'DROP TABLE IF EXISTS "{name}"')


def _typed(backend: BaseBackend, name: str, schema: ibis.Schema) -> ir.Table:
    """Return a table of DuckDB's by name; Ibis, asked for its types, would parse all categories."""
    return ops.DatabaseTable(name=name, schema=schema, source=backend).to_expr()


def map_arrow(
    table: ir.Table,
    function: Callable[..., pa.Array],
    columns: Sequence[str],
    output: dict[str, dt.DataType],
    digest: str,
) -> ir.Table:
    """Return the table with the columns that a vectorised Arrow function makes of some of its own.

    Args:
        table: Any table.
        function: Takes the columns as Arrow arrays, each in one piece, and returns a struct array
            with the fields of ``output``; on Spark it is sent to the executors.
        columns: The columns to read.
        output: Names and types of the new columns.
        digest: Of all that the result depends on beside the columns: it names the function, so
            that the same expression can be told from another.
    """
    if table.get_backend().name != "pyspark":
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

    def append(batch: pa.RecordBatch) -> list[pa.Array]:
        made = function(*(batch[name] for name in columns))
        return [*batch.columns, *(made.field(name) for name in output)]

    return _map_on_spark(table, append, ibis.schema(dict(table.schema()) | output))


def _in_one_piece(function: Callable[..., pa.Array]) -> Callable[..., pa.Array]:
    """Let a function of arrays take the chunked ones that DuckDB hands over."""

    @wraps(function)
    def apply(*columns: pa.ChunkedArray) -> pa.Array:
        return function(*(column.combine_chunks() for column in columns))

    return apply


def look_up(table: ir.Table, column: str, texts: pa.Array) -> ir.Table:
    """Return the table with a column of lists of places in ``texts`` replaced by lists of the texts.

    DuckDB takes the texts as categories, see :func:`with_categories`.
    """
    if table.get_backend().name != "pyspark":
        rows = pa.table({"text": texts, "place": pa.array(range(len(texts)), pa.int64())})
        rows = with_categories(rows, ["text"], like=table)
        name = f"texts_{uuid.uuid4().hex}"
        listed = rows.agg(texts=rows.text.collect(order_by=rows.place))
        listed = hold(table.get_backend(), name, listed)
        joined = table.cross_join(listed)
        return joined.mutate({column: joined[column].map(lambda place: joined.texts[place])}).drop(
            "texts"
        )

    def replace(batch: pa.RecordBatch) -> list[pa.Array]:
        places = batch[column]
        lists = pa.ListArray.from_arrays(places.offsets, texts.take(places.values))
        return [lists if name == column else batch[name] for name in batch.schema.names]

    kinds = dict(table.schema()) | {column: dt.Array(dt.string)}
    return _map_on_spark(table, replace, ibis.schema(kinds))


def _map_on_spark(
    table: ir.Table, function: Callable[[pa.RecordBatch], list[pa.Array]], schema: ibis.Schema
) -> ir.Table:
    """Return what a function makes of each batch of rows, evaluated on the executors.

    Spark 4.0 calls its "Arrow" functions row by row; only mapInArrow hands over whole columns.
    """
    from ibis.backends.pyspark.datatypes import PySparkSchema

    backend, arrow = table.get_backend(), schema.to_pyarrow()
    backend._run_pre_execute_hooks(table)
    frame = backend._session.sql(backend.compile(table))

    def apply_to_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.RecordBatch.from_arrays(function(batch), arrow.names).cast(arrow)

    name = f"map_arrow_{uuid.uuid4().hex}"
    frame.mapInArrow(apply_to_batches, PySparkSchema.from_ibis(schema)).createOrReplaceTempView(
        name
    )
    return backend.table(name)


def whole_sum(numbers: ir.IntegerColumn) -> ir.IntegerScalar:
    """Return the sum of whole numbers as int64.

    DuckDB adds them up in 128 bits, which Parquet can only hold as floating point; Ibis takes
    the sum for int64 already and would leave out a direct cast.
    """
    return numbers.sum().cast("float64").cast("int64")


def read_parquet(backend: BaseBackend, paths: list[str]) -> ir.Table:
    """Read Parquet files of one layout as one lazy table."""
    if backend.name == "duckdb":
        return backend.read_parquet(paths, hive_partitioning=False)
    name = f"parquet_{uuid.uuid4().hex}"
    backend._session.read.parquet(*paths).createOrReplaceTempView(name)
    return backend.table(name)


def read_csv(backend: BaseBackend, paths: list[str]) -> ir.Table:
    """Read CSV files with a header, plain or gzip, as one lazy table of strings.

    No type is guessed, because engines guess differently. An empty field is null.
    """
    if backend.name == "duckdb":
        return backend.read_csv(paths, header=True, all_varchar=True, delim=",", quote='"')
    name = f"csv_{uuid.uuid4().hex}"
    options = {"header": True, "inferSchema": False, "escape": '"', "multiLine": True}
    backend._session.read.csv(paths, **options).createOrReplaceTempView(name)
    return backend.table(name)


def read_literal_text(
    backend: BaseBackend, path: str, delimiter: str, names: list[str] | None = None
) -> ir.Table:
    """Read delimited text in which quotes and backslashes are ordinary characters.

    Args:
        backend: The Ibis connection.
        path: A plain or gzip file, lines ending in LF or CR LF.
        delimiter: What stands between two fields.
        names: The columns; none where the first line names them.

    Returns:
        A lazy table of strings; an empty field is null.
    """
    header = names is None
    if backend.name == "pyspark":
        options: dict[str, Any] = {"sep": delimiter, "lineSep": "\n", "quote": "", "escape": ""}
        if names:
            options["schema"] = ", ".join(f"`{name}` string" for name in names)
        options |= {"header": header, "inferSchema": False, "mode": "FAILFAST"}
    else:
        options = {"delim": delimiter, "quote": "", "escape": "", "comment": "", "header": header}
        options |= {"nullstr": ""}
        if names:
            options["columns"] = dict.fromkeys(names, "VARCHAR")
        else:
            options["all_varchar"] = True
    return backend.read_csv(path, **options)


def open_s3(backend: BaseBackend) -> None:
    """Let DuckDB read and write ``s3://`` addresses with the credentials that AWS tools find.

    The ``httpfs`` extension is taken from its package where that is installed, so that no
    network but the store's is needed; DuckDB fetches it by itself elsewhere.
    """
    from botocore.session import Session

    session = Session()
    with suppress(ImportError):
        from duckdb_extensions import import_extension

        import_extension("httpfs", con=backend.con)
    backend.raw_sql("LOAD httpfs")
    endpoint = urlsplit(
        os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    )
    secret = {"TYPE": "s3", "REGION": session.get_config_variable("region") or "us-east-1"}
    if credentials := session.get_credentials():
        frozen = credentials.get_frozen_credentials()
        secret |= {"KEY_ID": frozen.access_key, "SECRET": frozen.secret_key}
        secret |= {"SESSION_TOKEN": frozen.token} if frozen.token else {}
    if endpoint.netloc:
        secret |= {"ENDPOINT": endpoint.netloc, "URL_STYLE": "path"}
        secret |= {"USE_SSL": str(endpoint.scheme == "https").lower()}
    options = ", ".join(f"{name} '{value}'" for name, value in secret.items())
    backend.raw_sql(f"CREATE OR REPLACE SECRET clm_s3 ({options})")
