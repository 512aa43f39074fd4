"""What an engine says when it gives up, without the values of persons that it quotes.

Messages about names, syntax, files, memory and rights pass as they are. Of all others only the kind passes,
with the tables of the expression, and how many rows of which column cannot be converted: they are counted.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
from ibis import BaseBackend

# Everything by which Ibis hands an expression or a query to the engine.
_DOORS = ("execute", "raw_sql", "sql", "to_pyarrow", "to_parquet", "create_view", "create_table")
_READERS = ("read_parquet", "read_csv", "read_json")
_UNIQUE = re.compile(r"(?:_[0-9a-f]{32}|_?bucket|_rows)+$")
# Where in a file: the rest of such a message is the line itself.
_LINE = re.compile(r"\b[Ll]ine:? (\d+)")
_NEXT_LINE = "Malformed JSON in file"  # of DuckDB, which has counted the end of the line by then
_TEXT = re.compile(r"\.(csv|tsv|txt)(\.gz)?$", re.I)
_FILE = re.compile(r"""\bfile\s*=\s*(\S+)|\bfile "([^"]+)"|\bfile '([^']+)'""", re.I)

# What DuckDB makes of a KeyboardInterrupt: a RuntimeError, and now and then an error of its own.
_CTRL_C = ("Query interrupted", "KeyboardInterrupt: ")

_GUARDED = "_values_are_kept"  # how a wrapped method is known
# What is being evaluated, for the query that an engine is given in its place.
_EVALUATED: ContextVar[ir.Expr | None] = ContextVar("evaluated", default=None)

Quiet = Callable[[BaseException], str | None]


class EngineError(RuntimeError):
    """An engine has given up on an expression."""


def guard(backend: BaseBackend, kinds: tuple[type[BaseException], ...], harmless: Quiet) -> None:
    """Let every error of a connection be told without values.

    Args:
        backend: The connection; its methods are wrapped, once.
        kinds: The engine's errors.
        harmless: Returns the message of an error that quotes no value, nothing for any other.
    """
    if hasattr(backend.raw_sql, _GUARDED):
        return
    kinds = (*kinds, pa.ArrowException)
    for name in (*_DOORS, *_READERS):
        setattr(backend, name, _guarded(getattr(backend, name), kinds, harmless))
    backend.to_pyarrow_batches = _guarded_batches(backend.to_pyarrow_batches, kinds, harmless)


@contextmanager
def without_values(
    kinds: tuple[type[BaseException], ...], harmless: Quiet, data: Any = None
) -> Iterator[None]:
    """Turn an engine's error into one that quotes no value.

    Args:
        kinds: The engine's errors.
        harmless: See :func:`guard`.
        data: The expression that is evaluated.

    Raises:
        EngineError: In place of an error of these kinds.
        KeyboardInterrupt: If that is what stopped the engine.
    """
    expression = data if isinstance(data, ir.Expr) else _EVALUATED.get()
    stopped: tuple[type[BaseException], ...] = (*kinds, RuntimeError)
    before = _EVALUATED.set(expression)
    try:
        yield
        return
    except stopped as error:
        if str(error).startswith(_CTRL_C):
            raise KeyboardInterrupt from None
        if not isinstance(error, kinds):
            raise
        told = harmless(error) or _tell(error, expression)
    finally:
        _EVALUATED.reset(before)
    raise EngineError(told) from None  # or tracebacks would print the engine's own words


def _guarded(method: Any, kinds: tuple[type[BaseException], ...], harmless: Quiet) -> Any:
    @wraps(method)
    def call(*args: Any, **options: Any) -> Any:
        with without_values(kinds, harmless, args[0] if args else None):
            return method(*args, **options)

    setattr(call, _GUARDED, True)
    return call


def _guarded_batches(method: Any, kinds: tuple[type[BaseException], ...], harmless: Quiet) -> Any:
    @wraps(method)
    def call(expression: ir.Expr, **options: Any) -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            with without_values((*kinds, OSError), harmless, expression):
                yield from reader

        with without_values(kinds, harmless, expression):
            reader = method(expression, **options)
        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    return call


def _tell(error: BaseException, data: ir.Expr | None) -> str:
    """Return what is known of an error whose message may quote values."""
    text, tables = str(error), [] if data is None else _tables(data)
    file, line = _FILE.search(text), _LINE.search(text)
    what = f"{', '.join(tables) or 'a query'}: the engine gave up ({type(error).__name__})"
    name = next(filter(None, file.groups()), "") if file else ""
    if name and line:
        number = int(line[1]) - (_NEXT_LINE in text)
        place = f"at line {number} of {name}"
        return f"{what} {place}. The line may hold a person's values and is not shown: correct it."
    if _TEXT.search(name):
        return f"{what} at {name}: it is no Parquet file; if it is CSV, add file_format: csv to its catalog entry."
    if name:
        return f"{what} at {name}: it is cut, damaged, or no file of its kind. Make it anew."
    counted = "; ".join(_unfit_values(data)) if data is not None else ""
    mend = counted or (
        "Its message may quote values and is not shown: select the table's columns one by one to find "
        "which it is, and TRY_CAST it in the configuration"
    )
    return f"{what}. {mend}."


def _tables(data: ir.Expr) -> list[str]:
    """Return the names of the tables of an expression, as the catalog has them."""
    leaves = data.op().find((ops.PhysicalTable, ops.SQLQueryResult))
    names = (str(getattr(leaf, "name", "")) for leaf in leaves)
    short = (_UNIQUE.sub("", name) for name in names)
    return sorted({name for name in short if name and not name.startswith(("ibis_", "SQL"))})


def _unfit_values(data: ir.Expr) -> Iterator[str]:
    """Yield for each conversion of an expression how many rows have a value that it is not made for."""
    for cast in data.op().find(ops.Cast):
        relations = cast.relations
        if len(relations) != 1 or cast.find((ops.Reduction, ops.Analytic)):
            continue
        table, value = next(iter(relations)).to_expr(), cast.arg.to_expr()
        unfit = value.notnull() & value.try_cast(cast.to).isnull()
        try:
            rows = int(table.filter(unfit).count().to_pyarrow().as_py())
        except (EngineError, ibis.IbisError, NotImplementedError):
            continue
        if rows:
            yield (
                f"Column {value.get_name()!r}: {rows} rows have a value that is no {cast.to}: correct "
                "them, or leave them out with TRY_CAST in the configuration"
            )
