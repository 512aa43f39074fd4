"""Types of operands in SQL of users, as far as they are known before a query is run.

Where a type is known, a cast is written for that type alone. A column's type is put into its node (``.type``)
by who has the table.
"""

import ibis.expr.datatypes as dt
from ibis.backends.sql.datatypes import SqlglotType
from sqlglot import exp

_TEXTS = (
    exp.RegexpExtract,
    exp.RegexpReplace,
    exp.Substring,
    exp.Trim,
    exp.Replace,
    exp.Lower,
    exp.Upper,
)


def set_type(node: exp.Expr, kind: dt.DataType) -> None:
    """Say that an operand is a text, a number, true or false, a date or a time."""
    if kind.is_string() or kind.is_numeric() or kind.is_boolean() or kind.is_temporal():
        node.type = SqlglotType.from_ibis(kind)


def known_type(operand: exp.Expr) -> exp.DataType | None:
    """Return the type that an operand surely has, nothing where it is not known."""
    node = operand.unnest()
    if isinstance(node, exp.Cast):
        return node.to
    if node.type is not None:
        return node.type
    if isinstance(node, _TEXTS) or (isinstance(node, exp.Literal) and node.is_string):
        return exp.DataType.build("text")
    if isinstance(node, exp.Case):
        made = [branch.args["true"] for branch in node.args["ifs"]]
        kinds = [known_type(one) for one in (*made, node.args.get("default")) if one is not None]
        return kinds[0] if all(kind == kinds[0] for kind in kinds) else None
    return None


def is_text(kind: exp.DataType) -> bool:
    """Return whether a type is a text."""
    return kind.is_type(*exp.DataType.TEXT_TYPES)
