"""Spark, the engine for data that is beyond one machine."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, ClassVar

import fsspec
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis import BaseBackend
from sqlglot import exp

from clm_ler.engines.base import Engine
from clm_ler.engines.errors import EngineError, guard, without_values
from clm_ler.engines.held import hold_tables_of_python
from clm_ler.engines.spark_sql import lenient_sql
from clm_ler.files.digests import unique_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BUCKETS = "spark.clm_ler.buckets"
BYTES_PER_BUCKET = 64 * 2**20  # of the largest raw table, as it lies there: some 2 million events
UNKNOWN_BYTES = 2**60  # Spark takes what it knows nothing of to be larger than anything
MOST_BUCKETS = 2**14  # where nobody knows how large a table is
_WORD = 2**32 - 1


class Spark(Engine):
    """Tables on a cluster, or on the cores of this machine."""

    name = "pyspark"
    connection: ClassVar = {"backend": "pyspark"}
    csv_as_text: ClassVar = {"inferSchema": False}
    distributed = True

    def configure(self, memory_limit: str, threads: int, storage: str) -> None:
        """Make expressions mean what they mean on DuckDB; memory and cores are set at the start."""
        # What cannot be read becomes null, as on DuckDB, and is counted.
        self._session.conf.set("spark.sql.ansi.enabled", "false")
        self._session.conf.set("spark.sql.session.timeZone", "UTC")  # of a session that was there
        # Dates before 1582 are written as the days they are; what is no birth is counted later.
        self._session.conf.set("spark.sql.parquet.datetimeRebaseModeInWrite", "CORRECTED")
        self._session.conf.set("spark.sql.legacy.timeParserPolicy", "CORRECTED")
        self._session.conf.set("spark.sql.legacy.sizeOfNull", "false")
        guard(self.backend, _errors(), _without_values)
        hold_tables_of_python(self.backend, partial(_hand_over, self.backend))

    def open_store(self, options: Mapping[str, Any]) -> None:
        """Give the credentials among the options to ``s3a://``; others come from Spark's own settings."""
        hadoop = self._session.sparkContext._jsc.hadoopConfiguration()
        names = {"key": "access.key", "secret": "secret.key", "token": "session.token"}
        for name, theirs in (names | {"endpoint_url": "endpoint"}).items():
            if value := options.get(name):
                hadoop.set(f"fs.s3a.{theirs}", value)

    def _dialect(self, query: exp.Expr) -> str:
        return lenient_sql(query)

    def local_time(self, moment: exp.Expr, zone: str) -> exp.Expr:
        """Return SQL for the local time at a moment; the session's own zone is UTC."""
        name = "from_utc_timestamp"
        return exp.Anonymous(this=name, expressions=[moment, exp.Literal.string(zone)])

    def with_local_times(self, table: ir.Table, zone: str) -> ir.Table:
        """Return the table with its times that have a zone as local times without one."""
        if zone == "UTC":
            return table
        zoned = _zoned_columns(self._frame(table))
        return table.mutate({name: _from_utc_timestamp(table[name], zone) for name in zoned})

    def as_local(self, table: ir.Table) -> ir.Table:
        """Return a table whose times are local already: what Spark's SQL casts has a zone else."""
        frame = self._frame(table)
        zoned = _zoned_columns(frame)
        if not zoned:
            return table
        local = {name: frame[name].cast("timestamp_ntz") for name in zoned}
        return self._view(frame.withColumns(local))

    def from_hex(self, digits: ir.StringValue) -> ir.IntegerValue:
        """Return the whole number that at most 15 hexadecimal digits write."""
        return _conv(digits, 16, 10).cast("int64")

    def read_parquet(self, paths: Sequence[str], name: str | None = None) -> ir.Table:
        """Read Parquet files as one lazy table."""
        return self._view(self._session.read.parquet(*paths), name)

    def read_mixed_parquet(self, paths: Sequence[str], zone: str) -> ir.Table:
        """Read Parquet files that may differ in the order, number and type of their columns."""
        frames = [_with_local_times(self._session.read.parquet(path), zone) for path in paths]
        return self._view(_one_frame(frames))

    def read_csv(self, paths: Sequence[str], delimiter: str = ",", **given: Any) -> ir.Table:
        """Read CSV files with a header, plain or gzip, as one lazy table of strings."""
        options: dict[str, Any] = {"header": True, "escape": '"', "multiLine": True}
        options |= {"sep": delimiter, "mode": "FAILFAST"}
        name = given.pop("table_name", None)
        read = partial(self._session.read.csv, **options | self.csv_as_text | given)
        return self._view(_one_frame([read(path) for path in paths]), name)

    def read_ndjson(self, paths: Sequence[str], schema: ibis.Schema) -> ir.Table:
        """Read files with a JSON object a line, plain or gzip, as one lazy table."""
        from ibis.backends.pyspark.datatypes import PySparkSchema
        from pyspark.sql import functions as f

        bad = "_not_json"
        kinds = PySparkSchema.from_ibis(schema).add(bad, "string")
        reader = self._session.read.schema(kinds).option("columnNameOfCorruptRecord", bad)
        frame = reader.json(list(paths)).withColumn("_file", f.input_file_name())
        found = frame.cache().filter(f.col(bad).isNotNull()).groupBy("_file").count().first()
        frame.unpersist()
        if found:
            raise ValueError(_no_json(found["_file"], found["count"]))
        return self._view(frame.drop(bad, "_file"))

    def read_literal_text(
        self, path: str, delimiter: str, names: Sequence[str] | None = None
    ) -> ir.Table:
        """Read delimited text in which quotes and backslashes are ordinary characters."""
        options: dict[str, Any] = {"sep": delimiter, "lineSep": "\n", "quote": "", "escape": ""}
        options |= {"header": names is None, "mode": "FAILFAST"} | self.csv_as_text
        if names:
            options["schema"] = ", ".join(f"`{name}` string" for name in names)
        return self._view(self._session.read.csv(path, **options))

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
        from pyspark.sql import functions as f

        frame = self._zoneless_frame(data)
        keys = f.array(*(f.lit(key) for key in _even_keys(parts)))
        frame = frame.repartition(parts, f.get(keys, frame[column].cast("int")))
        # Spark sorts by the column anyway.
        frame = frame.sortWithinPartitions(column, *order_by)
        with without_values(_errors(), _without_values, data):
            frame.write.partitionBy(column).parquet(folder, compression="zstd")

    def each(
        self, do: Callable[[Any], list[bytes | None]], parts: Sequence[Any]
    ) -> Iterator[list[bytes | None]]:
        """Call a function with each part in a task of its own on the executors; yield what each gives.

        A failed task is done again, by Spark's own rule.
        """
        if parts:  # without a data frame: planning one costs more than a small bucket
            tasks = self._session.sparkContext.parallelize(parts, len(parts))
            try:
                made = tasks.map(do).collect()
            except _errors() as error:
                raise EngineError(_of_tasks(str(error))) from None
            yield from made

    def bucket_count(self, data: ir.Table, bytes_per_row: int, fixed_bytes: int) -> int:
        """Return the number that is set, else one by the size of the tables that are read.

        At least as many as there are cores, so that all have work.
        """
        if given := int(self._session.conf.get(BUCKETS, "0")):
            return given
        leaves = self._frame(data)._jdf.queryExecution().optimizedPlan().collectLeaves()
        sizes = (leaves.apply(number).stats().sizeInBytes() for number in range(leaves.size()))
        known = (size for text in sizes if (size := int(str(text))) < UNKNOWN_BYTES)
        wanted = sum(known) // BYTES_PER_BUCKET
        cores = self._session.sparkContext.defaultParallelism
        return min(max(cores, wanted), MOST_BUCKETS)

    @property
    def _session(self) -> Any:
        return self.backend._session

    def _frame(self, data: ir.Table) -> "DataFrame":
        return self._session.sql(self.sql_of(data))

    def _zoneless_frame(self, data: ir.Table) -> "DataFrame":
        """Return the rows with times as DuckDB writes them: without a time zone."""
        frame, schema = self._frame(data), data.schema()
        times = [name for name, kind in schema.items() if kind.is_timestamp() and not kind.timezone]
        return frame.withColumns({name: frame[name].cast("timestamp_ntz") for name in times})

    def _view(self, frame: "DataFrame", name: str | None = None) -> ir.Table:
        name = name or unique_name("view")
        frame.createOrReplaceTempView(name)
        return self.hold(self.backend.table(name), [f"VIEW {name}"])

    def let_go(self, kind: str, name: str) -> None:
        """Drop a view, if it is there: nothing else is kept for a table."""
        self._session.catalog.dropTempView(name)


def _errors() -> tuple[type[BaseException], ...]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return PySparkException, Py4JError


def _without_values(error: BaseException) -> str | None:
    """Return the message of an error about names and types; any other may quote a value."""
    from pyspark.errors import AnalysisException, ParseException

    return str(error) if isinstance(error, AnalysisException | ParseException) else None


def _of_tasks(text: str) -> str:
    """Return why tasks of Python's have failed, of what Spark says of it, in a line without values."""
    for reason in (r"BucketError: (.*)", r"(No module named .*)", r"(ExecutorLostFailure .*)"):
        if found := re.search(reason, text):
            return f"On the executors: {found[1]}"
    return "A task has failed on the executors: their logs say why."


def _no_json(file: str, count: int) -> str:
    """Return where the first of a file's lines that are no JSON is."""
    with fsspec.open(file.replace("s3a://", "s3://"), "rb", compression="infer") as lines:
        bad = next((at for at, line in enumerate(lines, 1) if not _is_json(line)), None)
    first = f", line {bad} first" if bad else ""
    return f"{file}: {count} lines are no JSON{first}. Export it anew, or mend them."


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line or "null")
    except ValueError:
        return not line.strip()
    return True


def _zoned_columns(frame: "DataFrame") -> list[str]:
    from pyspark.sql.types import TimestampType

    return [
        field.name for field in frame.schema.fields if isinstance(field.dataType, TimestampType)
    ]


def _with_local_times(frame: "DataFrame", zone: str) -> "DataFrame":
    from pyspark.sql import functions as f

    local = {
        name: f.from_utc_timestamp(name, zone).cast("timestamp_ntz")
        for name in _zoned_columns(frame)
    }
    return frame.withColumns(local)


def _one_frame(frames: list["DataFrame"]) -> "DataFrame":
    """Return the rows of frames whose columns have the same names, in any order and of any type."""
    first = frames[0]
    if all(frame.schema == first.schema for frame in frames[1:]):
        return reduce(lambda one, other: one.union(other), frames)
    kinds: dict[str, set[str]] = {}
    for frame in frames:
        for name, kind in frame.dtypes:
            kinds.setdefault(name, set()).add(kind)
    mixed = [name for name, found in kinds.items() if len(found) > 1]
    texts = [
        frame.withColumns(
            {name: frame[name].cast("string") for name in mixed if name in frame.columns}
        )
        for frame in frames
    ]
    return reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), texts)


def _even_keys(parts: int) -> list[int]:
    """Return for each part the number that Spark's hash sends there: every task has one part.

    Spark hashes what it partitions by, with Murmur3 (x86, 32 bits, seed 42), and small numbers collide.
    """
    keys: dict[int, int] = {}
    number = 0
    while len(keys) < parts:
        keys.setdefault(_murmur3(number) % parts, number)
        number += 1
    return [keys[part] for part in range(parts)]


def _murmur3(number: int) -> int:
    """Return Spark's hash of an ``int``, as a number without sign.

    >>> _murmur3(0) == 933211791
    True
    """

    def rotated(word: int, by: int) -> int:
        return (word << by | word >> 32 - by) & _WORD

    mixed = rotated(number * 0xCC9E2D51 & _WORD, 15) * 0x1B873593 & _WORD
    mixed = rotated(42 ^ mixed, 13) * 5 + 0xE6546B64 & _WORD
    mixed ^= 4  # bytes
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & _WORD
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & _WORD
    return mixed ^ mixed >> 16


@ibis.udf.scalar.builtin(name="conv")
def _conv(digits: str, from_base: int, to_base: int) -> str:
    """Spark's own function: a number's digits in another base."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="from_utc_timestamp")
def _from_utc_timestamp(moment: dt.timestamp, zone: str) -> dt.timestamp:
    """Spark's own function: the local time at a moment."""
    raise NotImplementedError


def _hand_over(backend: BaseBackend, table: ops.InMemoryTable) -> None:
    """Give Spark a table of Python's as the Arrow table that it is.

    Ibis goes through pandas, as Spark before 4.0 needed it; lists are lost on that way.
    """
    from ibis.backends.pyspark.datatypes import PySparkSchema

    rows = table.data.to_pyarrow(table.schema)
    frame = backend._session.createDataFrame(rows, schema=PySparkSchema.from_ibis(table.schema))
    frame.createOrReplaceTempView(table.name)
