"""Spark's SQL in which a value that cannot be converted becomes null, written as DuckDB writes it."""

import sqlglot
from sqlglot import exp

from clm_ler.engines.alike import PATTERNS
from clm_ler.engines.numbers import DECIMAL_KINDS, NUMBER, WHOLE_KINDS, WHOLE_NUMBER
from clm_ler.engines.patterns import for_java, is_separator

# How a value becomes a number or a text; of the branches those of its type are left when a query is planned.
_WHOLE = (
    "CASE WHEN typeof({x}) = 'string' "
    "THEN TRY_CAST(regexp_extract(CAST({x} AS STRING), r'WHOLE', 1) AS {to}) "
    "ELSE TRY_CAST({x} AS {to}) END"
).replace("WHOLE", for_java(WHOLE_NUMBER))
_DECIMAL = (
    "CASE WHEN typeof({x}) <> 'string' OR CAST({x} AS STRING) RLIKE r'NUMBER' "
    "THEN TRY_CAST({x} AS {to}) END"
).replace("NUMBER", for_java(NUMBER))
# Java's 1.5E7 is 15000000.0, 5.0E-4 is 0.0005, 1.0E22 is 1e+22, 1.0E-7 is 1e-07, and Infinity is inf.
_TEXT = (
    "CASE WHEN typeof({x}) <> 'double' THEN TEXT "
    "WHEN TEXT RLIKE 'E([7-9]|1[0-5])$' "
    "THEN regexp_replace(CAST(TRY_CAST(TEXT AS DECIMAL(38, 10)) AS STRING), '([.][0-9]+?)0*$', '$1') "
    "WHEN TEXT LIKE '%E-4' "
    "THEN regexp_replace(CAST(TRY_CAST(TEXT AS DECIMAL(38, 25)) AS STRING), '0*$', '') "
    "WHEN TEXT LIKE '%E%' THEN regexp_replace(regexp_replace(regexp_replace(TEXT, '([.]0)?E', 'e'), "
    "'e([0-9])', 'e+$1'), 'e-([0-9])$', 'e-0$1') "
    "ELSE replace(replace(TEXT, 'Infinity', 'inf'), 'NaN', 'nan') END"
).replace("TEXT", "CAST({x} AS STRING)")
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
    for node in reversed(list(query.find_all(*_OVERFLOWING, *_TRIED))):
        made: exp.Expr = _cast(node) if isinstance(node, exp.Cast) else _tried(node)
        query = made if node is query else query
        node.replace(made)
    return query.sql(dialect="spark", comments=False, identify=True)


def _cast(cast: exp.Cast) -> exp.Expr:
    kinds = {_WHOLE: WHOLE_KINDS, _DECIMAL: DECIMAL_KINDS, _TEXT: ("text", "varchar")}
    template = next((sql for sql, of in kinds.items() if cast.to.is_type(*of)), None)
    if template is None or (template is _TEXT and "cast" in cast.this.unnest().meta):
        return exp.TryCast(this=cast.this.copy(), to=cast.to.copy(), safe=True)
    x, to = (part.sql(dialect="spark") for part in (cast.this, cast.to))
    made = sqlglot.parse_one(template.format(x=x, to=to), read="spark")
    if template is not _DECIMAL:
        made.meta["cast"] = True  # it is no floating-point number
    return exp.paren(made)


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
