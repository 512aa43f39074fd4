"""Whether an expression looks at one person at a time.

Only then do the rows that it makes of the persons of each bucket, put together, equal those that it makes
of all persons. The rules are strict: what they do not know, they refuse.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir

Column = tuple[ops.Relation, str]
# Which rows a join keeps that match nothing, or one of several: of the left side only.
_LEFT_ONLY = frozenset({"left", "any_left", "asof", "semi", "anti"})
_INNER = frozenset({"inner", "any_inner"})


class NotPersonWise(ValueError):
    """An expression that looks at several persons at once."""


@dataclass(frozen=True)
class Rows:
    """Rows that each belong to one person.

    Attributes:
        tables: The names of the stored tables that they come from.
        columns: Those of their columns that hold the person's id, in every row.
    """

    tables: frozenset[str]
    columns: frozenset[str]


Found = Mapping[
    Any, Rows | None
]  # rows of each part of an expression; None: the same for all buckets


def refuse(expression: ir.Table, tables: Mapping[ops.Relation, str]) -> None:
    """Stop at an expression that does not look at one person at a time.

    Args:
        expression: What is to be evaluated bucket by bucket.
        tables: The names of the tables that are stored by person bucket, by their place in the
            expression. All others are read as a whole with each bucket.

    Raises:
        NotPersonWise: With the operation and the tables.
    """
    _follow(expression.op(), tables)


def sums_over_persons(
    expression: ir.Table,
    tables: Mapping[ops.Relation, str],
    can_be_summed: Callable[[Any, Rows], bool],
) -> dict[ops.Relation, Rows]:
    """Return the aggregates and distinct rows over several persons, and the rows they are made of.

    Below them, all looks at one person at a time. What is made of rows of several persons in another
    way, and all above it, is left out.

    Args:
        expression: Any.
        tables: The names of the tables that are stored by person bucket.
        can_be_summed: Whether what each bucket gives of an aggregate can be put together.
    """
    sums: dict[ops.Relation, Rows] = {}
    others: set[ops.Relation] = set()

    def find(node: Any, found: Found, **_: Any) -> Rows | None:
        if node in tables:
            return Rows(frozenset({tables[node]}), frozenset({"person_id"}))
        if not isinstance(node, ops.Relation) or not others.isdisjoint(node.find(ops.Relation)):
            return None
        try:
            return _rows(node, found)
        except NotPersonWise:
            rows = found[node.parent] if isinstance(node, ops.Aggregate | ops.Distinct) else None
            if rows and can_be_summed(node, rows):
                sums[node] = rows
            else:
                others.add(node)
            return None

    expression.op().map(find)
    return sums


def _follow(top: ops.Relation, tables: Mapping[ops.Relation, str]) -> Rows | None:
    def find(node: Any, found: Found, **_: Any) -> Rows | None:
        if node in tables:
            return Rows(frozenset({tables[node]}), frozenset({"person_id"}))
        return _rows(node, found) if isinstance(node, ops.Relation) else None

    return top.map(find)[top]


def _rows(node: ops.Relation, found: Found) -> Rows | None:
    """Return the rows of a relation from those of what it is made of."""
    values = [child for child in node.__children__ if isinstance(child, ops.Value)]
    for subquery in _within(values, ops.Subquery):
        if (rows := found[subquery.rel]) is not None:
            raise _refusal("a subquery", rows)
    rows = next((found[part] for part in _parts(node) if found[part] is not None), None)
    if rows is None:
        return None
    if isinstance(node, ops.JoinChain):
        return _join(node, found)
    if isinstance(node, ops.Set):
        return _set(node, found[node.left], found[node.right])
    if (rule := _RULES.get(type(node))) is None:
        raise _refusal(_NAMES.get(type(node), type(node).__name__), rows)
    return rule(node, rows)


def _parts(node: ops.Relation) -> list[ops.Relation]:
    if isinstance(node, ops.JoinChain):
        return [node.first, *(link.table for link in node.rest)]
    return [child for child in node.__children__ if isinstance(child, ops.Relation)]


def _same(node: Any, rows: Rows) -> Rows:
    _check_values(node.__children__, rows, _columns(node.parent, rows))
    return rows


def _project(node: ops.Project, rows: Rows) -> Rows:
    columns = _columns(node.parent, rows)
    _check_values(node.values.values(), rows, columns)
    return _named(node.values, rows, columns)


def _aggregate(node: ops.Aggregate, rows: Rows) -> Rows:
    columns = _columns(node.parent, rows)
    _check_values(node.groups.values(), rows, columns)
    _check_windows(node.metrics.values(), rows, columns)
    made = _named(node.groups, rows, columns)
    if not made.columns:
        raise _refusal("an aggregate", rows)
    return made


def _distinct(node: ops.Distinct, rows: Rows) -> Rows:
    if not rows.columns:
        raise _refusal("the distinct rows", rows)
    return rows


def _fill_null(node: ops.FillNull, rows: Rows) -> Rows:
    filled = node.replacements
    names = set(filled) if isinstance(filled, Mapping) else set(node.schema)
    return replace(rows, columns=rows.columns - names)


def _drop_columns(node: ops.DropColumns, rows: Rows) -> Rows:
    return replace(rows, columns=rows.columns - node.columns_to_drop)


def _unnest(node: ops.TableUnnest, rows: Rows) -> Rows:
    _check_values([node.column], rows, _columns(node.parent, rows))
    return replace(rows, columns=rows.columns - {node.column_name, node.offset})


_RULES: Mapping[type, Callable[[Any, Rows], Rows]] = {
    ops.Project: _project,
    ops.Filter: _same,
    ops.Sort: _same,
    ops.DropNull: _same,
    ops.SelfReference: _same,
    ops.JoinReference: _same,
    ops.FillNull: _fill_null,
    ops.DropColumns: _drop_columns,
    ops.TableUnnest: _unnest,
    ops.Distinct: _distinct,
    ops.Aggregate: _aggregate,
}
_NAMES = {
    ops.Limit: "a limit",
    ops.Sample: "a sample",
    ops.AliasedRelation: "SQL text",
    ops.SQLStringView: "SQL text",
}


def _set(node: ops.Set, left: Rows | None, right: Rows | None) -> Rows:
    """Return the rows of a union, an intersection or a difference."""
    sides = [side for side in (left, right) if side is not None]
    rows = Rows(
        frozenset().union(*(side.tables for side in sides)),
        frozenset.intersection(*(side.columns for side in sides)),
    )
    name = type(node).__name__.lower()
    if left is None or (right is None and isinstance(node, ops.Union)):
        # The other side's rows would come again with each bucket.
        raise _refusal(f"the {name} with a table that has no buckets", rows)
    if not rows.columns and (node.distinct or not isinstance(node, ops.Union)):
        raise _refusal(f"the {name}", rows)
    return rows


@dataclass(frozen=True)
class _Joined:
    """The tables of a join so far: which ones have buckets, and which columns hold the person's id."""

    tables: frozenset[str]
    columns: frozenset[Column]


def _join(node: ops.JoinChain, found: Found) -> Rows:
    joined = _side(node.first, found)
    for link in node.rest:
        joined = _link(link, joined, _side(link.table, found))
    rows = Rows(joined.tables, frozenset())
    values = [*node.values.values(), *(value for link in node.rest for value in link.predicates)]
    _check_values(values, rows, joined.columns)
    return _named(node.values, rows, joined.columns)


def _side(table: ops.Reference, found: Found) -> _Joined:
    rows = found[table]
    if rows is None:
        return _Joined(frozenset(), frozenset())
    return _Joined(rows.tables, _columns(table, rows))


def _link(link: ops.JoinLink, left: _Joined, right: _Joined) -> _Joined:
    """Return a join with one more table."""
    how, tables = link.how, left.tables | right.tables
    equal = list(_equalities(link.predicates))
    both = left.columns | right.columns
    with_left = {b for a, b in equal if a in left.columns} | left.columns
    with_right = {b for a, b in equal if a in right.columns} | right.columns
    keyed = any(a in left.columns and b in right.columns for a, b in equal)
    if left.tables and right.tables:
        keeps = dict.fromkeys(_LEFT_ONLY, left.columns) | dict.fromkeys(_INNER, both)
        keeps |= {"right": right.columns, "outer": frozenset()}
        allowed = keyed and how in keeps
    elif left.tables:
        keeps = dict.fromkeys(_LEFT_ONLY | {"cross"}, left.columns)
        keeps |= dict.fromkeys(_INNER, frozenset(with_left))
        allowed = how in keeps
    elif right.tables:
        keeps = {"cross": right.columns, "right": right.columns}
        keeps |= {"inner": frozenset(with_right), "semi": frozenset(with_right - right.columns)}
        allowed = how in keeps and (how != "semi" or bool(keeps["semi"]))
    else:
        return left
    if not allowed:
        raise _refusal(f"the {how} join", Rows(tables, frozenset()))
    return _Joined(tables, keeps[how])


def _equalities(predicates: Iterable[ops.Value]) -> Iterable[tuple[Column, Column]]:
    """Yield the pairs of columns that are equal, in either order."""
    for predicate in predicates:
        if isinstance(predicate, ops.Equals | ops.IdenticalTo):
            a, b = _column(predicate.left), _column(predicate.right)
            if a and b:
                yield a, b
                yield b, a


def _check_values(values: Iterable[Any], rows: Rows, columns: frozenset[Column]) -> None:
    """Refuse values that are made of several rows, unless these are of one person."""
    values = [value for value in values if isinstance(value, ops.Value)]
    keyed = _check_windows(values, rows, columns)
    if set(_within(values, (ops.Reduction, ops.Analytic))) - keyed:
        raise _refusal("a value of several rows", rows)


def _check_windows(
    values: Iterable[ops.Value], rows: Rows, columns: frozenset[Column]
) -> set[ops.Value]:
    """Return the functions over windows; refuse a window of several persons."""
    windows = _within(values, ops.WindowFunction)
    for window in windows:
        if not any(_column(value) in columns for value in window.group_by):
            raise _refusal("a window", rows)
    return {window.func for window in windows}


def _within(values: Iterable[ops.Value], kind: Any) -> list[Any]:
    return [part for value in values for part in value.find(kind, filter=ops.Value)]


def _named(values: Mapping[str, Any], rows: Rows, columns: frozenset[Column]) -> Rows:
    """Return the rows with the columns that still hold the person's id, under their new names."""
    names = frozenset(name for name, value in values.items() if _column(value) in columns)
    return replace(rows, columns=names)


def _columns(table: ops.Relation, rows: Rows) -> frozenset[Column]:
    return frozenset((table, name) for name in rows.columns)


def _column(value: Any) -> Column | None:
    """Return the column that a value is: itself, or as a wider whole number."""
    while isinstance(value, ops.Cast) and value.to.is_int64() and value.arg.dtype.is_integer():
        value = value.arg
    return (value.rel, value.name) if isinstance(value, ops.Field) else None


def _refusal(what: str, rows: Rows) -> NotPersonWise:
    return NotPersonWise(
        f"{what} of {', '.join(sorted(rows.tables))} looks at several persons at once, and a table "
        "by person bucket is made of the persons of one bucket after the other. Group, join or "
        "number rows by person_id too; or say `from_raw: true` in the catalog entry, and the "
        "expression is evaluated as a whole."
    )
