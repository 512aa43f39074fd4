"""Temporary tables of DuckDB that live as long as somebody holds them."""

import weakref
from collections.abc import Sequence

import ibis.expr.types as ir
from ibis import BaseBackend


def held(backend: BaseBackend, table: ir.Table, types: Sequence[str] = ()) -> ir.Table:
    """Return a temporary table that is dropped when nobody holds it any more.

    Not at that moment, when a result may just be read, which a statement would end, but with the next such
    table.

    Args:
        backend: The connection.
        table: The table, by its name.
        types: The columns that have a type of their own, ``NAME_COLUMN``.
    """
    unused: list[tuple[str, Sequence[str]]] = vars(backend).setdefault("_unused", [])
    while unused:
        name, columns = unused.pop()
        backend.raw_sql(f'DROP TABLE IF EXISTS "{name}"')
        for column in columns:
            backend.raw_sql(f'DROP TYPE IF EXISTS "{name}_{column}"')
    weakref.finalize(table.op(), unused.append, (table.get_name(), types))
    return table
