"""What all engines do alike and Ibis does not."""

import sys
from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

LARGEST = sys.float_info.max


_BLANKS = r" \t\r\n"
# Also spaces that do not break a line, as spreadsheets have them, and a mark of the byte order.
ALL_BLANKS = _BLANKS + r"\x{A0}\x{202F}\x{FEFF}"


def trim(text: ir.StringValue, blanks: str = _BLANKS) -> ir.StringValue:
    """Return text without spaces, tabs and line ends around it; ``ALL_BLANKS`` takes a tenth longer.

    Not ``strip()``: Spark reads Ibis's form feed and vertical tab as the letters f and v, and would
    strip those too.
    """
    return text.re_replace(f"^[{blanks}]+|[{blanks}]+$", "")


def upper(text: ir.StringValue) -> ir.StringValue:
    """Return text with the letters a to z as A to Z; all others stay, because engines differ on them.

    ``ß`` is ``ẞ`` to DuckDB and ``SS`` to Spark.
    """
    return text.translate(ascii_lowercase, ascii_uppercase)


def finite(number: ir.FloatingValue) -> ir.FloatingValue:
    """Return the number, null where it is infinite or none (NaN)."""
    return ibis.cases((number.between(-LARGEST, LARGEST), number))


def small_table(rows: list[dict[str, Any]], schema: ibis.Schema) -> ir.Table:
    """Return rows made in Python as a table in which what is missing is null."""
    return ibis.memtable(pa.Table.from_pylist(rows, schema=schema.to_pyarrow()), schema=schema)


def or_empty(table: ir.Table | None, columns: Sequence[str]) -> ir.Table:
    """Return the table, or one of texts without rows where there is none."""
    if table is not None:
        return table
    return ibis.memtable([], schema=dict.fromkeys(columns, "string"))


def row_count(table: ir.Table) -> int:
    """Return the number of rows."""
    return int(table.count().to_pyarrow().as_py())


def counts_of(table: ir.Table) -> dict[str, int]:
    """Return the counts in a table of one row, by column; 0 for null."""
    (row,) = table.to_pyarrow().to_pylist()
    return {name: int(count or 0) for name, count in row.items()}


def count_repeated(table: ir.Table, *columns: str) -> int:
    """Return how many values of a key are in several rows: a join by it would multiply rows."""
    known = [table[column].notnull() for column in columns]
    rows = table.filter(known).group_by(columns).agg(rows=ibis._.count())
    return row_count(rows.filter(rows.rows > 1))


def sum_int64(numbers: ir.IntegerColumn) -> ir.IntegerScalar:
    """Return the sum of whole numbers as int64.

    DuckDB adds them up in 128 bits, which Parquet can only hold as floating point; Ibis takes
    the sum for int64 already and would leave out a direct cast.
    """
    return numbers.sum().cast("float64").cast("int64")
