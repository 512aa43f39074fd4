"""Functions in SQL of users that engines take in ways of their own: written so that both mean one thing.

| written | means on both |
|---|---|
| ``upper`` ``lower`` | of the letters a to z only |
| ``trim`` ``ltrim`` ``rtrim`` | of blanks only |
| ``left`` ``right`` ``substring`` | a negative length is 0, a start of 0 is 1 |
| ``floor`` ``ceil`` | a whole number; null beyond 9e18 |
| ``round`` | a floating-point number, halves away from 0, by floating-point arithmetic |
| ``date_add`` ``date_sub`` ``add_months`` ``trunc`` | a date; null beyond 4 million days |
| ``sqrt`` | null of negative numbers |
| ``log(b, x)`` ``log10`` ``log2`` | ``ln(x) / ln(b)`` |
| ``%`` | null where the divisor is 0 |
| ``isnan`` | null of null |
| ``CAST(x AS FLOAT)`` | a number of double precision |

What cannot be made equal may not stand there: :func:`unlike` says why.
"""

import re
from collections.abc import Callable
from string import ascii_lowercase, ascii_uppercase

import sqlglot
from sqlglot import exp

from clm_ler.engines import patterns
from clm_ler.engines.syntax import replace_each

PATTERNS = (
    *(exp.RegexpLike, exp.RegexpReplace, exp.RegexpExtract, exp.RegexpExtractAll),
    *(exp.RegexpCount, exp.RegexpSplit),
)
_BY_PATTERN = (exp.StrToTime, exp.StrToDate, exp.TsOrDsToDate, exp.TimeToStr, exp.UnixToStr)
_MOST_DAYS = 4_000_000  # some 11,000 years
_STRAY = re.compile(r"^([^\\]|\\[%_\\])*\\([^%_\\]|$)")
_WRITTEN = "has to be written there"
_UNITS = {"YEAR": "YEAR", "YYYY": "YEAR", "YY": "YEAR", "QUARTER": "QUARTER", "MONTH": "MONTH"}
_UNITS |= {"MM": "MONTH", "MON": "MONTH", "WEEK": "WEEK", "DAY": "DAY", "DD": "DAY"}
_UNITS |= {"HOUR": "HOUR", "MINUTE": "MINUTE", "SECOND": "SECOND"}
_OF_DAYS = ("YEAR", "QUARTER", "MONTH", "WEEK")
_PARTS = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DOY", "HOUR", "MINUTE")


def unlike(node: exp.Expr) -> str | None:
    """Return why a call cannot mean one thing on both engines; nothing where it does."""
    if isinstance(node, PATTERNS):
        return _unlike_pattern(node)
    if isinstance(node, exp.Bracket | exp.SplitPart):
        number = node.args["part_index"] if isinstance(node, exp.SplitPart) else node.expressions[0]
        starts_at_one = isinstance(node, exp.SplitPart) or node.args.get("offset") == 1
        if not _is_number(number) or int(number.name) < starts_at_one:
            return f"the place, a whole number from {int(starts_at_one)}, {_WRITTEN}"
    if isinstance(node, exp.Pad):
        fill = node.args.get("fill_pattern")
        if not _is_number(node.expression) or not (fill is None or (fill.is_string and fill.name)):
            return f"the length, and what fills it, {_WRITTEN}"
    if isinstance(node, exp.SHA2) and node.args.get("length") and node.args["length"].name != "256":
        return "only 256 bits are known to both engines"
    if isinstance(node, exp.Extract) and node.name.upper() not in _PARTS:
        return f"it takes {', '.join(_PARTS)}"
    if isinstance(node, exp.DateTrunc | exp.TimestampTrunc):
        unit = _UNITS.get(node.args["unit"].name.upper())
        if unit is None or (isinstance(node, exp.DateTrunc) and unit not in _OF_DAYS):
            return f"it takes {', '.join(_OF_DAYS)}, and date_trunc DAY, HOUR, MINUTE, SECOND"
    if isinstance(node, exp.Like | exp.ILike) and _STRAY.search(node.expression.name):
        return "a backslash stands before %, _ or another one"
    if isinstance(node, exp.JSONExtractScalar) and len(node.expression.expressions) < 2:
        return "a path such as '$.name' has to be written there"
    if isinstance(node, _BY_PATTERN) and (pattern := node.args.get("format")):
        known = pattern.is_string and patterns.shape_of(pattern.name) is not None
        if not known:
            return (
                "it takes the letters yyyy, MM, M, dd, d, HH, H, hh, h, mm, m, ss, s, a, MMM, MMMM"
            )
    if isinstance(node, exp.Round | exp.Floor | exp.Ceil):
        decimals = node.args.get("decimals")
        if decimals is not None and not (isinstance(node, exp.Round) and _is_number(decimals)):
            return f"the number of decimals, of round alone, {_WRITTEN}"
    return None


def _unlike_pattern(node: exp.Expr) -> str | None:
    if not (node.expression.is_string or isinstance(node.expression, exp.RawString)):
        return f"the pattern {_WRITTEN}"
    if part := patterns.unlike(node.expression.name):
        return f"{part!r} in its pattern is not the same to both engines"
    if isinstance(node, exp.RegexpSplit) and node.args.get("limit"):
        return "a limit is not known to both engines"
    replacement = node.args.get("replacement")
    if replacement is not None and not (replacement.is_string and "\\" not in replacement.name):
        return f"the replacement, without a backslash, {_WRITTEN}"
    return None


def alike(query: exp.Expr) -> exp.Expr:
    """Return SQL in which the functions of the table above mean on each engine what stands there."""

    def make(node: exp.Expr) -> exp.Expr:
        known = _MADE.get(type(node))
        return known(node) if known else node

    return replace_each(query, make, *_MADE)


def _is_number(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.is_int


def _made(template: str, **parts: exp.Expr) -> exp.Expr:
    """Return SQL with expressions in the place of columns of these names."""

    def replace(node: exp.Expr) -> exp.Expr:
        known = isinstance(node, exp.Column) and node.name in parts
        return parts[node.name].copy() if known else node

    return exp.paren(sqlglot.parse_one(template, read="spark").transform(replace))


def _letters(given: str, wanted: str) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: _made(f"translate(x, '{given}', '{wanted}')", x=node.this)


def _trim(node: exp.Expr) -> exp.Expr:
    if not node.expression:
        node.set("expression", exp.Literal.string(" "))
    return node


def _not_negative(length: exp.Expr) -> exp.Expr:
    if _is_number(length):
        return length
    return _made("CAST(CASE WHEN x < 0 THEN 0 ELSE x END AS INT)", x=length)


def _end(node: exp.Expr) -> exp.Expr:
    node.set("expression", _not_negative(node.expression))
    return node


def _part(node: exp.Expr) -> exp.Expr:
    start, length = node.args["start"], node.args.get("length")
    if start.name == "0":
        node.set("start", exp.Literal.number(1))
    elif not _is_number(start):
        node.set("start", _made("CAST(CASE WHEN x = 0 THEN 1 ELSE x END AS INT)", x=start))
    if length is not None:
        node.set("length", _not_negative(length))
    return node


def _whole(name: str) -> Callable[[exp.Expr], exp.Expr]:
    template = f"CAST(CASE WHEN abs(x) < 9.0E18 THEN {name}(x) END AS BIGINT)"
    return lambda node: _made(template, x=node.this)


def _round(node: exp.Expr) -> exp.Expr:
    decimals = node.args.get("decimals")
    power = f"1E{decimals.name if decimals else 0}D"
    nearest = f"CAST(floor(abs(x) * {power} + 0.5D) AS DOUBLE) / {power}"
    template = (
        f"CASE WHEN abs(x) * {power} < 4.5E15 THEN CASE WHEN x < 0 THEN -({nearest}) ELSE {nearest} END "
        "ELSE x END"
    )
    return _made(template, x=_made("CAST(x AS DOUBLE)", x=node.this))


def _date(node: exp.Expr) -> exp.Expr:
    if node.expression is not None and not _is_number(node.expression):
        within = f"CAST(CASE WHEN abs(x) < {_MOST_DAYS} THEN x END AS INT)"
        node.set("expression", _made(within, x=node.expression))
    cast = exp.cast(node.copy(), "date")
    cast.meta["typed"] = True
    return cast


def _seconds(node: exp.Expr) -> exp.Expr:
    within = f"CASE WHEN abs(x) < {_MOST_DAYS * 86400} THEN x END"
    node.set("this", _made(within, x=node.this))
    return node


def _named(node: exp.Expr) -> exp.Expr:
    what = {"isnull": "x IS NULL", "isnotnull": "x IS NOT NULL"}.get(node.name.lower())
    return _made(what, x=node.expressions[0]) if what else node


def _cast(node: exp.Expr) -> exp.Expr:
    if node.args["to"].is_type("float"):
        node.set("to", exp.DataType.build("double"))
    return node


def _trunc(node: exp.Expr) -> exp.Expr:
    unit = _UNITS[node.args["unit"].name.upper()]
    node.set("unit", exp.Literal.string(unit) if isinstance(node, exp.DateTrunc) else exp.var(unit))
    return _date(node) if isinstance(node, exp.DateTrunc) else node


_MADE: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Upper: _letters(ascii_lowercase, ascii_uppercase),
    exp.Lower: _letters(ascii_uppercase, ascii_lowercase),
    exp.Trim: _trim,
    exp.Left: _end,
    exp.Right: _end,
    exp.Substring: _part,
    exp.Floor: _whole("floor"),
    exp.Ceil: _whole("ceil"),
    exp.Round: _round,
    exp.TsOrDsAdd: _date,
    exp.AddMonths: _date,
    exp.DateTrunc: _trunc,
    exp.TimestampTrunc: _trunc,
    exp.Sqrt: lambda node: _made("CASE WHEN x >= 0 THEN sqrt(x) END", x=node.this),
    exp.Log: lambda node: _made("ln(x) / ln(base)", x=node.expression, base=node.this),
    exp.Mod: lambda node: _made("x % nullif(y, 0)", x=node.this, y=node.expression),
    exp.UnixToTime: _seconds,
    exp.UnixToStr: _seconds,
    exp.Anonymous: _named,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.IsNan: lambda node: _made("CASE WHEN x IS NOT NULL THEN isnan(x) END", x=node.this),
}
