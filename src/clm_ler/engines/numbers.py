"""How texts are compared with numbers and cast to them.

Engines differ: beside a 3, Spark reads the text 3.7 as 3, and DuckDB stops at the first text that is no number.
Here a text beside a number is read as a floating-point number, and is null if it is none. A CAST to a whole
number cuts off the decimals, those of a text too; Spark would give null for such a text, and DuckDB would round.
A text is cast to any other kind of number if it has only digits, a point and an exponent, and is null otherwise.
"""

from sqlglot import exp

from clm_ler.engines.dates import KindOf

_COMPARISONS = (
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.In, exp.Between),
)

WHOLE_KINDS = ("tinyint", "smallint", "int", "bigint")
DECIMAL_KINDS = ("double", "float", "decimal")
# What a text has to be to become one of the others: engines read more, 1d or 1_000, each in its own way.
NUMBER = "^ *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)? *$"
WHOLE_NUMBER = "^ *([+-]?[0-9]+)([.][0-9]*)? *$"  # the first group, of a text


def compare_numbers(query: exp.Expr, kind_of: KindOf, name: str) -> exp.Expr:
    """Return SQL in which texts that stand beside numbers in a comparison are read as numbers.

    Args:
        query: An expression, parsed as Spark's.
        kind_of: Gives the type of an operand, null where it cannot be known.
        name: The table's name, for messages.

    Raises:
        ValueError: If a date stands beside a number.
    """
    for node in query.find_all(*_COMPARISONS):
        operands = list(node.iter_expressions())
        if any(part.is_string for part in operands):
            continue
        kinds = [_kind(part, kind_of) for part in operands]
        if {"number", "date"} <= {*kinds}:
            raise ValueError(
                f"{name}: {node.sql('spark')} compares a date with a number: write it as text, '2018-01-01'"
            )
        if "number" in kinds:
            for part, kind in zip(operands, kinds, strict=True):
                if kind == "text":
                    number = exp.DataType.build("double")
                    part.replace(exp.TryCast(this=part.copy(), to=number))
    return query


def _kind(operand: exp.Expr, kind_of: KindOf) -> str:
    if isinstance(operand.unnest(), exp.Literal | exp.Neg):
        return "number"
    kind = kind_of(operand)
    if kind is None:
        return ""
    if kind.is_date() or kind.is_timestamp():
        return "date"
    return "text" if kind.is_string() else "number" if kind.is_numeric() else ""
