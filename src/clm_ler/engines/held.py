"""What an engine keeps for a table, as long as somebody holds the table."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis import BaseBackend

PYTHONS = "PYTHON"  # what is dropped is a view of a table of Python's


def held(
    backend: BaseBackend,
    drop: Callable[[str, str], None],
    table: ir.Table,
    drops: Sequence[str],
    needs: Sequence[Any] = (),
) -> ir.Table:
    """Return a table by name; when nobody holds it any more, what it stands for is dropped.

    Not at that moment, when a result may just be read, which a statement would end, but with the next
    such table.

    Args:
        backend: The connection, which remembers what is to be dropped.
        drop: Drops something, by kind and name.
        table: The table.
        drops: What to drop then, such as ``TABLE name``.
        needs: What has to be held as long, because the table knows it by name only.
    """
    unused = _unused(backend)
    while unused:
        kind, _, name = unused.pop(0).partition(" ")
        drop(kind, name)
    weakref.finalize(table.op(), lambda _needs: unused.extend(drops), needs)
    return table


def hold_tables_of_python(
    backend: BaseBackend, register: Callable[[ops.InMemoryTable], None]
) -> None:
    """Let the views of Python's tables be dropped as well; Ibis keeps them, rows and all, to the end.

    Args:
        backend: The connection, of which this is asked at least once.
        register: Makes such a view.
    """
    unused = _unused(backend)

    def registered(table: ops.InMemoryTable) -> None:
        drop = f"{PYTHONS} {table.name}"
        unused[:] = [one for one in unused if one != drop]  # of an equal one, which is gone
        register(table)
        weakref.finalize(table, unused.append, drop)

    backend._register_in_memory_table = registered


def _unused(backend: BaseBackend) -> list[str]:
    unused: list[str] = vars(backend).setdefault("_unused", [])
    return unused
