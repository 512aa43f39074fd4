"""Spark's SQL in which a value that cannot be converted becomes null, written as DuckDB writes it."""

import sqlglot
from sqlglot import exp

from clm_ler.engines.known_types import is_text, known_type
from clm_ler.engines.numbers import DECIMAL_KINDS, NUMBER, WHOLE_KINDS, WHOLE_NUMBER
from clm_ler.engines.patterns import for_java, is_separator
from clm_ler.engines.sql_functions import PATTERNS
from clm_ler.engines.syntax import replace_each

# How a text becomes a number; other values are cast as they are.
_WHOLE = (
    f"TRY_CAST(regexp_extract(CAST({{x}} AS STRING), r'{for_java(WHOLE_NUMBER)}', 1) AS {{to}})"
)
_DECIMAL = f"CASE WHEN CAST({{x}} AS STRING) RLIKE r'{for_java(NUMBER)}' THEN TRY_CAST({{x}} AS {{to}}) END"
# Java's 1.5E7 is 15000000.0, 5.0E-4 is 0.0005, 1.0E22 is 1e+22, 1.0E-7 is 1e-07, and Infinity is inf.
# The text has a name there, for Spark would plan it anew wherever it stands.
_TEXT_OF_DOUBLE = (
    "transform(array(CAST({x} AS STRING)), t -> CASE WHEN t NOT LIKE '%E%' "
    "THEN replace(replace(t, 'Infinity', 'inf'), 'NaN', 'nan') "
    "WHEN t RLIKE 'E([7-9]|1[0-5])$' "
    "THEN regexp_replace(CAST(TRY_CAST(t AS DECIMAL(38, 10)) AS STRING), '([.][0-9]+?)0*$', '$1') "
    "WHEN t LIKE '%E-4' "
    "THEN regexp_replace(CAST(TRY_CAST(t AS DECIMAL(38, 25)) AS STRING), '0*$', '') "
    "ELSE regexp_replace(regexp_replace(regexp_replace(t, '([.]0)?E', 'e'), "
    "'e([0-9])', 'e+$1'), 'e-([0-9])$', 'e-0$1') END)[0]"
)
_TRIED: dict[type[exp.Expr], str] = {
    exp.Add: "try_add",
    exp.Sub: "try_subtract",
    exp.Mul: "try_multiply",
}
_OVERFLOWING = (exp.Cast, exp.Abs, exp.Neg, exp.IntDiv, exp.Mod)
_YEARS = -5_877_640, 5_881_579  # whose days both engines can count


def lenient_sql(query: exp.Expr) -> str:
    """Return the text of a query; what fails at a value, or is too large, gives null there.

    Without ANSI Spark goes on with another number where one is too large.
    """
    for match in query.find_all(*PATTERNS):
        if isinstance(match, exp.RegexpSplit) and is_separator(match.expression.name):
            continue
        match.set("expression", exp.Literal.string(for_java(match.expression.name)))
    for call in query.find_all(exp.Anonymous):
        if call.name.lower() == "make_date":
            year, *rest = call.expressions
            fits = year.copy().between(*_YEARS)
            call.set("expressions", [exp.Case().when(fits, year.copy()), *rest])
    query = replace_each(query, _null_where_it_fails, *_OVERFLOWING, *_TRIED)
    return query.sql(dialect="spark", comments=False, identify=True)


def _null_where_it_fails(node: exp.Expr) -> exp.Expr:
    return _cast(node) if isinstance(node, exp.Cast) else _tried(node)


def _cast(cast: exp.Cast) -> exp.Expr:
    """Return a cast as its operand's type needs it; where that is unknown, Spark looks at it."""
    if cast.to.is_type(*WHOLE_KINDS):
        needs, template = "string", _WHOLE
    elif cast.to.is_type(*DECIMAL_KINDS):
        needs, template = "string", _DECIMAL
    elif is_text(cast.to):
        needs, template = "double", _TEXT_OF_DOUBLE
    else:
        needs, template = "", ""
    kind = known_type(cast.this)
    plain = exp.TryCast(this=cast.this.copy(), to=cast.to.copy(), safe=True)
    if not needs or (kind is not None and not _is(kind, needs)):
        return plain
    x, to = (part.sql(dialect="spark") for part in (cast.this, cast.to))
    made = template.format(x=x, to=to)
    if kind is None:
        made = f"CASE WHEN typeof({x}) = '{needs}' THEN {made} ELSE {plain.sql('spark')} END"
    parsed = exp.paren(sqlglot.parse_one(made, read="spark"))
    parsed.this.type = cast.to.copy()
    return parsed


def _is(kind: exp.DataType, name: str) -> bool:
    return is_text(kind) if name == "string" else kind.is_type(name)


def _tried(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Abs):
        fits: exp.Expr = exp.GTE(this=node.copy(), expression=exp.Literal.number(0))
        return exp.paren(exp.Case().when(fits, node.copy()))
    if isinstance(node, exp.IntDiv | exp.Mod):  # the least number by -1
        x, y = (part.sql(dialect="spark") for part in (node.this, node.expression))
        fits = sqlglot.parse_one(f"{y} <> -1 OR try_multiply({x}, -1) IS NOT NULL", read="spark")
        return exp.paren(exp.Case().when(fits, node.copy()))
    other = exp.Literal.number(-1) if isinstance(node, exp.Neg) else node.expression.copy()
    name = _TRIED.get(type(node), "try_multiply")
    return exp.Anonymous(this=name, expressions=[node.this.copy(), other])
