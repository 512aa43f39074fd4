"""What an engine keeps for a table, as long as somebody holds the table."""

import weakref
from collections.abc import Callable

import ibis.expr.operations as ops
from ibis import BaseBackend

PYTHONS = "PYTHON"  # what is dropped is a view of a table of Python's


def hold_tables_of_python(
    backend: BaseBackend, register: Callable[[ops.InMemoryTable], None]
) -> None:
    """Let the views of Python's tables be dropped as well; Ibis keeps them, rows and all, to the end.

    Args:
        backend: The connection, of which this is asked at least once.
        register: Makes such a view.
    """
    unused = unused_of(backend)

    def registered(table: ops.InMemoryTable) -> None:
        drop = f"{PYTHONS} {table.name}"
        unused[:] = [one for one in unused if one != drop]  # of an equal one, which is gone
        register(table)
        weakref.finalize(table, unused.append, drop)

    backend._register_in_memory_table = registered


def unused_of(backend: BaseBackend) -> list[str]:
    """Return what a connection keeps for tables that nobody holds any more, each as ``KIND name``."""
    unused: list[str] = vars(backend).setdefault("_unused", [])
    return unused
