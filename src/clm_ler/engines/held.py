"""What DuckDB keeps for a table, as long as somebody holds the table."""

import weakref
from collections.abc import Sequence

import ibis.expr.types as ir

from clm_ler.engines.base import Engine


def held(engine: Engine, table: ir.Table, drops: Sequence[str]) -> ir.Table:
    """Return a table by name; when nobody holds it any more, what it stands for is dropped.

    Not at that moment, when a result may just be read, which a statement would end, but with the next
    such table.

    Args:
        engine: The engine; its connection remembers what is to be dropped.
        table: The table.
        drops: What to drop then, such as ``TABLE name``.
    """
    backend = engine.backend
    unused: list[str] = vars(backend).setdefault("_unused", [])
    while unused:
        kind, _, name = unused.pop(0).partition(" ")
        backend.raw_sql(f'DROP {kind} IF EXISTS "{name}"')
    weakref.finalize(table.op(), unused.extend, drops)
    return table
