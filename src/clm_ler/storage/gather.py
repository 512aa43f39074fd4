"""Sums over persons on a cluster: each bucket's own, then those of all.

Nodes ask for small tables (codes, counts, units) of expressions over persons. Where a cluster works for a
connection, what is asked of it is made of two steps: aggregates, and distinct rows, of the persons of each
bucket, which :mod:`clm_ler.storage.evaluate` has done there, and the rest here, of what they give.
"""

from collections.abc import Iterator
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from clm_ler.engines.duckdb import DuckDB
from clm_ler.engines.portable import sum_int64
from clm_ler.storage.buckets import stored_tables
from clm_ler.storage.evaluate import collect_by_bucket
from clm_ler.storage.person_wise import Rows, sums_over_persons

_SUMMED = (ops.Sum, ops.Count, ops.CountStar, ops.CountDistinct)


def let_work(engine: DuckDB, cluster: Any) -> None:
    """Let a cluster do what a connection is asked of stored tables of persons; ``None``: no longer."""
    backend = engine.backend
    backend.__dict__.pop("compile", None)
    engine.work_on(cluster)
    if cluster is None:
        return
    compile_here = backend.compile

    def compile_rest(expression: ir.Expr, /, **options: Any) -> str:
        return compile_here(gathered(expression.as_table(), engine), **options)

    backend.compile = compile_rest


def gathered(data: ir.Table, engine: DuckDB) -> ir.Table:
    """Return an expression with sums over persons in place of what they are made of."""
    while cuts := dict(_cuts(data)):
        stored = {
            leaf: table for cut in cuts for leaf, table in stored_tables(cut.to_expr()).items()
        }
        found = collect_by_bucket([_of_bucket(cut) for cut in cuts], stored, engine)
        wholes = {}
        for cut, rows in zip(cuts, found, strict=True):
            whole = _of_all(cut, ibis.memtable(rows))
            engine.backend._run_pre_execute_hooks(whole)
            wholes[cut] = whole.op()
        data = data.op().replace(wholes).to_expr()
    return data


def _cuts(data: ir.Table) -> Iterator[tuple[ops.Relation, Rows]]:
    """Yield the lowest parts of an expression that are sums over the persons of all buckets."""
    names = {leaf: table.name for leaf, table in stored_tables(data).items()}
    found = sums_over_persons(data, names, _can_be_summed) if names else {}
    for cut, rows in found.items():
        if not any(other in found for other in cut.find(ops.Relation) if other != cut):
            yield cut, rows


def _reductions(cut: ops.Aggregate) -> list[Any]:
    values = (value.find(ops.Reduction, filter=ops.Value) for value in cut.metrics.values())
    return list(dict.fromkeys(one for found in values for one in found))


def _can_be_summed(cut: ops.Relation, rows: Rows) -> bool:
    """Return whether what each bucket gives can be put together; numbers of persons can."""
    if isinstance(cut, ops.Distinct):
        return True
    values = [*cut.groups.values(), *cut.metrics.values()]
    if any(value.find(ops.WindowFunction, filter=ops.Value) for value in values):
        return False
    return all(
        isinstance(one, (ops.Sum, ops.Count, ops.CountStar, ops.Min, ops.Max))
        or (isinstance(one, ops.CountDistinct) and _is_person(one.arg, rows))
        for one in _reductions(cut)
    )


def _is_person(value: ops.Value, rows: Rows) -> bool:
    return isinstance(value, ops.Field) and value.name in rows.columns


def _of_bucket(cut: Any) -> ir.Table:
    """Return what the persons of one bucket give: each reduction as a column."""
    if isinstance(cut, ops.Distinct):
        return cut.to_expr()
    parts = {f"part_{number}": one for number, one in enumerate(_reductions(cut))}
    return ops.Aggregate(cut.parent, cut.groups, parts).to_expr()


def _of_all(cut: Any, rows: ir.Table) -> ir.Table:
    """Return what all persons give, of the rows of all buckets."""
    if isinstance(cut, ops.Distinct):
        return rows.distinct()
    merged = {}
    for number, one in enumerate(_reductions(cut)):
        column = rows[f"part_{number}"]
        if isinstance(one, _SUMMED):
            merged[one] = (sum_int64(column) if one.dtype.is_integer() else column.sum()).op()
        else:
            merged[one] = (column.min() if isinstance(one, ops.Min) else column.max()).op()
    metrics = {name: value.replace(merged) for name, value in cut.metrics.items()}
    groups = {name: rows[name].op() for name in cut.groups}
    return ops.Aggregate(rows.op(), groups, metrics).to_expr()
