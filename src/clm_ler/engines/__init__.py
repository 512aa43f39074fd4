"""The one place where table engines differ: who needs to know asks :func:`engine_of` a table."""

import ibis
import ibis.expr.types as ir
from ibis import BaseBackend

from clm_ler.engines.base import Engine
from clm_ler.engines.duckdb import DuckDB
from clm_ler.engines.spark import Spark

__all__ = ["Engine", "embedded", "engine", "engine_of"]

_ENGINES: dict[str, type[Engine]] = {kind.name: kind for kind in (DuckDB, Spark)}


def engine(name: str) -> type[Engine]:
    """Return an engine by its name in the configuration, for what needs no open connection.

    Raises:
        ValueError: If there is no such engine.
    """
    if name not in _ENGINES:
        raise ValueError(f"engine must be {' or '.join(map(repr, _ENGINES))}, not {name!r}")
    return _ENGINES[name]


def engine_of(place: ir.Expr | BaseBackend) -> Engine:
    """Return the engine of a table or of an open connection."""
    backend = place if isinstance(place, BaseBackend) else ibis.get_backend(place)
    return engine(backend.name)(backend)


def embedded(table: ir.Table) -> DuckDB:
    """Return the engine of what is made of stored tables: DuckDB, whether or not a cluster works for it."""
    return DuckDB(ibis.get_backend(table))
