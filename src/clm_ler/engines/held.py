"""What DuckDB keeps for a table, as long as somebody holds the table."""

import weakref
from collections.abc import Sequence
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir

from clm_ler.engines.base import Engine

_PYTHONS = "PYTHON"  # what is dropped is a view of a table of Python's


def held(
    engine: Engine, table: ir.Table, drops: Sequence[str], needs: Sequence[Any] = ()
) -> ir.Table:
    """Return a table by name; when nobody holds it any more, what it stands for is dropped.

    Not at that moment, when a result may just be read, which a statement would end, but with the next
    such table.

    Args:
        engine: The engine; its connection remembers what is to be dropped.
        table: The table.
        drops: What to drop then, such as ``TABLE name``.
        needs: What has to be held as long, because the table knows it by name only.
    """
    backend, unused = engine.backend, _unused(engine)
    while unused:
        kind, _, name = unused.pop(0).partition(" ")
        if kind == _PYTHONS:
            backend.con.unregister(name)
        else:
            backend.raw_sql(f'DROP {kind} IF EXISTS "{name}"')
    weakref.finalize(table.op(), lambda _needs: unused.extend(drops), needs)
    return table


def hold_tables_of_python(engine: Engine) -> None:
    """Let DuckDB drop its views of Python's tables as well; Ibis keeps them, rows and all, to the end."""
    backend, unused = engine.backend, _unused(engine)
    register = backend._register_in_memory_table
    if hasattr(register, "_held"):
        return

    def registered(table: ops.InMemoryTable) -> None:
        drop = f"{_PYTHONS} {table.name}"
        unused[:] = [one for one in unused if one != drop]  # of an equal one, which is gone
        register(table)
        weakref.finalize(table, unused.append, drop)

    registered._held = True  # type: ignore[attr-defined]
    backend._register_in_memory_table = registered


def _unused(engine: Engine) -> list[str]:
    unused: list[str] = vars(engine.backend).setdefault("_unused", [])
    return unused
