"""DuckDB's SQL in which a value that cannot be converted becomes null, and its errors without values."""

import re
from typing import ClassVar

import duckdb
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB as Dialect

from clm_ler.engines.known_types import is_text, known_type
from clm_ler.engines.numbers import DECIMAL_KINDS, NUMBER, WHOLE_KINDS, WHOLE_NUMBER
from clm_ler.engines.patterns import is_separator
from clm_ler.engines.syntax import replace_each

_GROUP = re.compile(r"[$]([0-9])")
# Errors about names, files and limits; any other may quote a value.
_HARMLESS = (
    *(
        duckdb.BinderException,
        duckdb.CatalogException,
        duckdb.ParserException,
        duckdb.HTTPException,
    ),
    *(duckdb.IOException, duckdb.OutOfMemoryException, duckdb.PermissionException),
    *(duckdb.NotImplementedException, duckdb.InterruptException, duckdb.ConnectionException),
)
# What fails at a value, and has no form of its own that does not.
_MAY_FAIL = (
    *(exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.Abs, exp.Pow, exp.Exp, exp.Ln, exp.Log, exp.Sqrt),
    *(exp.Chr, exp.Unhex, exp.Decode, exp.Pad, exp.JSONExtract, exp.JSONExtractScalar, exp.Round),
    *(exp.DateAdd, exp.DateSub, exp.TsOrDsAdd, exp.TimestampAdd, exp.TimestampSub, exp.AddMonths),
    *(exp.LastDay, exp.StrToUnix, exp.UnixToStr, exp.UnixToTime, exp.AtTimeZone, exp.FromTimeZone),
    *(exp.DateFromParts, exp.Anonymous, exp.IntDiv, exp.Mod),
)


# How values of a type become whole numbers: what stands behind the point is cut, where DuckDB would round.
_TEXT = f"TRY_CAST(regexp_extract(CAST({{x}} AS VARCHAR), '{WHOLE_NUMBER}', 1) AS {{to}})"
_EXACT = "TRY_CAST(split_part(CAST({x} AS VARCHAR), '.', 1) AS {to})"
_FLOATING = "TRY_CAST(trunc(TRY_CAST({x} AS DOUBLE)) AS {to})"
_OTHER = "TRY_CAST({x} AS {to})"
# The type of a column is known when the query is bound: the branches of other types cost nothing.
_WHOLE = (
    f"CASE WHEN typeof({{x}}) = 'VARCHAR' THEN {_TEXT} WHEN typeof({{x}}) LIKE 'DECIMAL%' THEN {_EXACT} "
    f"WHEN typeof({{x}}) IN ('DOUBLE', 'FLOAT') THEN {_FLOATING} ELSE {_OTHER} END"
)
# A text that is no number has none; a decimal is made of the digits that the number is written with.
_DECIMAL = (
    "CASE WHEN typeof({x}) <> 'VARCHAR' "
    f"OR regexp_matches(CAST({{x}} AS VARCHAR), '{NUMBER}') THEN TRY_CAST({{text}} AS {{to}}) END"
)


class _Lenient(Dialect.Generator):  # type: ignore[valid-type, misc]
    """SQL in which a value that cannot be converted becomes null, as Spark has it without ANSI."""

    TRANSFORMS: ClassVar = {
        **Dialect.Generator.TRANSFORMS,
        exp.AtTimeZone: lambda self, at: (
            f"(({self.sql(at, 'this')} AT TIME ZONE 'UTC') AT TIME ZONE {self.sql(at, 'zone')})"
        ),
        exp.DayOfWeek: lambda self, day: f"({self.func('DAYOFWEEK', day.this)} + 1)",  # Sunday is 1
    }

    def cast_sql(self, expression: exp.Cast, safe_prefix: str | None = None) -> str:
        if expression.to.is_type(*WHOLE_KINDS):
            return _whole(known_type(expression.this)).format(
                x=self.sql(expression, "this"), to=self.sql(expression, "to")
            )
        if expression.to.is_type(*DECIMAL_KINDS):
            x, to = self.sql(expression, "this"), self.sql(expression, "to")
            text = f"CAST({x} AS VARCHAR)" if expression.to.is_type("decimal") else x
            return _DECIMAL.format(x=x, text=text, to=to)
        return super().cast_sql(expression, safe_prefix="TRY_")


def _whole(kind: exp.DataType | None) -> str:
    """Return how a value of a type, null where it is not known, becomes a whole number."""
    if kind is None:
        return _WHOLE
    if is_text(kind):
        return _TEXT
    if kind.is_type("decimal"):
        return _EXACT
    return _FLOATING if kind.is_type("double", "float") else _OTHER


def lenient_sql(query: exp.Expr) -> str:
    """Return the text of a query; what fails at a value gives null there."""
    query = replace_each(query, _plain_split, exp.RegexpSplit)
    for call in query.find_all(exp.StrToTime, exp.TsOrDsToDate):
        if pattern := call.args.get("format"):  # Spark quotes what stands for itself: 'T'
            call.set("format", exp.Literal.string(pattern.name.replace("'", "")))
    query = replace_each(query, _escaped, exp.Like, exp.ILike)
    for replace in query.find_all(exp.RegexpReplace):  # Spark's group is $1
        text = _GROUP.sub(r"\\\1", replace.args["replacement"].name)
        replace.set("replacement", exp.Literal.string(text))
    query = replace_each(query, _tried, *_MAY_FAIL)
    return _Lenient(dialect="duckdb", comments=False, identify=True).generate(query)


def _plain_split(split: exp.Expr) -> exp.Expr:
    if split.expression.is_string and is_separator(split.expression.name):
        return exp.Split(this=split.this, expression=split.expression)
    return split


def _escaped(like: exp.Expr) -> exp.Expr:
    """Return a comparison whose pattern escapes with a backslash, as Spark's do."""
    if isinstance(like.parent, exp.Escape) or "\\" not in like.expression.sql():
        return like
    return exp.Escape(this=like.copy(), expression=exp.Literal.string("\\"))


def _tried(node: exp.Expr) -> exp.Expr:
    if node.meta.get("moment") or node.find(exp.AggFunc, exp.Window, exp.Query):
        return node
    return exp.Anonymous(this="TRY", expressions=[node.copy()])


def message_without_values(error: BaseException) -> str | None:
    """Return the message of an error that quotes no value, without the query."""
    return str(error).partition("\n\nLINE ")[0] if isinstance(error, _HARMLESS) else None
