"""SQL that stands in configuration: what of it may run.

Expressions are parsed, and every part of them must be on a list: columns of the row itself, literals,
operators, and scalar functions that give the same value for the same row, every time, of nothing else.
What is on no list is refused: subqueries, table functions, settings, files, the network, the clock, chance.
A query of a catalog entry may join, group and sort the tables of its folder beside that.
"""

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from clm_ler.engines.sql_functions import unlike

_SYNTAX = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.RawString, exp.HexString, exp.Boolean, exp.Null),
    *(exp.Paren, exp.Tuple, exp.Bracket, exp.Slice, exp.Interval, exp.Var, exp.DataType, exp.Alias),
    *(exp.DataTypeParam, exp.PropertyEQ),
    *(exp.And, exp.Or, exp.Not, exp.Case, exp.If, exp.Is, exp.In, exp.Between, exp.Escape),
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe),
    *(exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseNot),
    *(exp.Like, exp.ILike, exp.RegexpLike),
)
_FUNCTIONS = (
    *(exp.Cast, exp.TryCast, exp.Coalesce, exp.Nullif, exp.Nvl2, exp.Greatest, exp.Least),
    exp.IsNan,
    # texts
    *(exp.Upper, exp.Lower, exp.Trim, exp.Pad, exp.Length, exp.Left),
    *(exp.Right, exp.Substring, exp.Concat, exp.ConcatWs, exp.Replace),
    *(exp.Translate, exp.StrPosition, exp.StartsWith, exp.EndsWith, exp.Contains),
    *(exp.RegexpReplace, exp.RegexpExtract, exp.RegexpExtractAll, exp.RegexpCount),
    *(exp.RegexpSplit, exp.Split, exp.SplitPart, exp.Ascii),
    *(exp.Hex, exp.Unhex, exp.Encode, exp.Decode),
    *(exp.MD5, exp.SHA, exp.SHA2, exp.JSONExtract, exp.JSONExtractScalar, exp.JSONPath),
    *(exp.JSONPathRoot, exp.JSONPathKey, exp.JSONPathSubscript),
    # numbers
    *(exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Trunc, exp.Sqrt, exp.Pow),
    *(exp.Exp, exp.Ln, exp.Log, exp.SafeDivide),
    # dates
    *(
        exp.TsOrDsToDate,
        exp.TsOrDsToTimestamp,
        exp.StrToTime,
        exp.StrToDate,
        exp.TimeStrToTime,
        exp.Date,
        exp.Extract,
    ),
    *(exp.Timestamp, exp.Year, exp.Quarter, exp.Month, exp.Day, exp.DayOfMonth, exp.DayOfWeek),
    *(exp.DayOfYear, exp.WeekOfYear, exp.Hour, exp.Minute, exp.Second, exp.DateAdd, exp.DateSub),
    *(exp.DateDiff, exp.TsOrDsAdd, exp.TsOrDsDiff, exp.TimestampAdd, exp.TimestampSub),
    *(exp.TimestampDiff, exp.AddMonths, exp.LastDay, exp.DateTrunc),
    *(exp.TimestampTrunc, exp.TimeToStr, exp.UnixToTime),
    *(exp.UnixToStr, exp.AtTimeZone, exp.FromTimeZone, exp.DateFromParts),
    # lists
    *(exp.Array, exp.ArraySize, exp.ArrayContains, exp.ArrayToString, exp.Struct),
)
# Those of Spark's that the parser does not know as such.
_BY_NAME = frozenset(["isnotnull", "isnull", "make_date"])
_QUERY = (
    *(exp.Select, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order),
    *(exp.Ordered, exp.Limit, exp.Distinct, exp.Star, exp.Union, exp.Intersect, exp.Except),
    *(exp.With, exp.CTE, exp.Table, exp.TableAlias, exp.Subquery, exp.Exists),
    *(exp.Window, exp.WindowSpec, exp.RowNumber, exp.Rank, exp.DenseRank, exp.Lag, exp.Lead),
    *(exp.FirstValue, exp.LastValue, exp.IgnoreNulls, exp.Count, exp.Min, exp.Max, exp.Sum),
    *(exp.Avg, exp.AnyValue, exp.ArgMin, exp.ArgMax),
)
_MEND = (
    "It looks at something else than the row, or engines differ on it: use functions of the row's own "
    "columns (docs/trust.md lists them)."
)


def parse_expression(text: str, place: str, all_columns: bool = False) -> exp.Expr:
    """Return a user's expression over the columns of one row, parsed.

    Args:
        text: Spark SQL.
        place: Where it stands, for messages: dataset and parameter.
        all_columns: It may be ``*``.

    Raises:
        ValueError: If it is no single expression, or has a part that may not run.
    """
    parsed = _parse(text, place)
    if not (all_columns and isinstance(parsed, exp.Star) and not any(parsed.args.values())):
        _check(parsed, (*_SYNTAX, *_FUNCTIONS), text, place)
    return parsed


def parse_query(text: str, place: str) -> exp.Expr:
    """Return a query over tables by their plain names, parsed.

    Raises:
        ValueError: If it is no single query, or has a part that may not run.
    """
    parsed = _parse(text, place)
    if not isinstance(parsed, exp.Select | exp.SetOperation):
        raise ValueError(f"{place}: {text!r} is no SELECT.")
    _check(parsed, (*_SYNTAX, *_FUNCTIONS, *_QUERY), text, place)
    for table in parsed.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.args.get("db"):
            raise _refusal(table, text, place)
    return parsed


def _parse(text: str, place: str) -> exp.Expr:
    try:
        parsed = sqlglot.parse(text, read="spark")
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"{place}: cannot read the expression {text!r} as Spark SQL.") from error
    if len(parsed) != 1 or parsed[0] is None:
        raise ValueError(f"{place}: {text!r} is not one expression.")
    return parsed[0]


def _check(parsed: exp.Expr, allowed: tuple[type[exp.Expr], ...], text: str, place: str) -> None:
    for node in parsed.walk():
        by_name = isinstance(node, exp.Anonymous) and node.name.lower() in _BY_NAME
        known = type(node) in allowed and not _is_own_type(node)
        of_nothing = isinstance(node, exp.Func) and next(node.iter_expressions(), None) is None
        if of_nothing or not (by_name or known):
            raise _refusal(node, text, place)
        if why := unlike(node):
            raise ValueError(f"{place}: {text!r}: engines differ on {_name_of(node)}: {why}.")


def _is_own_type(node: exp.Expr) -> bool:
    """Return whether a type is none of the engine's plain ones."""
    return isinstance(node, exp.DataType) and node.is_type(
        "userdefined", "object", "unknown", "variant"
    )


def _refusal(node: exp.Expr, text: str, place: str) -> ValueError:
    if isinstance(node, exp.Func):
        what = f"the function {_name_of(node)}"
    elif isinstance(node, exp.Query):
        what = "a subquery"
    elif isinstance(node, exp.Table):
        what = f"the table {node.sql('spark')}"
    else:
        what = f"{node.sql('spark')!r} ({type(node).__name__})"
    return ValueError(f"{place}: {text!r} uses {what}, which may not run here. {_MEND}")


def _name_of(node: exp.Expr) -> str:
    """Return a function's name in Spark, or an operator with what stands around it."""
    text = node.sql("spark", normalize_functions="lower")
    name = re.match(r"\w+(?=[(])", text)
    return f"{name[0]}()" if name else text
