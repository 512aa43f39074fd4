"""Dates in SQL of users: one meaning for texts and typed columns, on every engine.

| in the data                                 | is read as                    |
|---------------------------------------------|-------------------------------|
| a date, a timestamp without a zone          | local time, as it is          |
| a timestamp with a zone                     | the local time at that moment |
| ``2020-05-03``, ``2020-5-3``                | midnight                      |
| ``2020-05``, ``2020``, ``2020.0`` (numbers) | the first day                 |
| ``2020-05-03 10:00[:30[.5]]``, with a T     | local time                    |
| the same with ``Z``, ``+02:00``, ``+0200``  | the local time at that moment |
| anything else                               | null, and counted             |

Casts to a date or a timestamp, ``date``, ``to_date`` and ``to_timestamp`` without a pattern mean this; with
a pattern the pattern reads texts. A column that is a date already passes through all of them.
"""

from collections.abc import Callable

import ibis.expr.datatypes as dt
from sqlglot import exp

from clm_ler.engines.base import Engine
from clm_ler.engines.known_types import set_type
from clm_ler.engines.patterns import shape_of, tells_the_offset, without_typo
from clm_ler.engines.syntax import replace_each

KindOf = Callable[[exp.Expr], dt.DataType | None]

_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_OFFSET = r"Z|z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?"
_ISO = (
    r"^[ \t\r\n]*([0-9]{4})(?:\.0+|(-[0-9]{1,2})?(-[0-9]{1,2})?"
    rf"(?:[T ]+({_CLOCK})(:[0-5][0-9](?:\.[0-9]{{1,6}})?)?[0-9]*[ ]*({_OFFSET})?)?)[ \t\r\n]*$"
)
_YEAR, _MONTH, _DAY, _TIME, _SECONDS, _ZONE = range(1, 7)
# What reads its operand as a date or a time.
_OF_DATES: dict[type[exp.Expr], str] = {exp.TsOrDsAdd: "date", exp.AddMonths: "date"}
_OF_DATES |= {exp.LastDay: "date", exp.DateTrunc: "timestamp", exp.TimestampTrunc: "timestamp"}
_OF_DATES |= {exp.Hour: "timestamp", exp.Minute: "timestamp", exp.Second: "timestamp"}
_OF_DATES |= {exp.TimeStrToTime: "timestamp"}
# What most texts are, and no engine needs help with.
_PLAIN = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}( {_CLOCK}:[0-5][0-9])?$"


def read_dates(query: exp.Expr, kind_of: KindOf, engine: Engine, zone: str) -> exp.Expr:
    """Return SQL in which everything that reads dates follows the table above.

    Args:
        query: An expression or a query, parsed as Spark's.
        kind_of: Gives the type of an operand, null where it cannot be known: what reads that operand
            stays as it is.
        engine: The engine that is to run it.
        zone: The local time zone, such as ``Europe/Berlin``.
    """

    def replace(node: exp.Expr) -> exp.Expr:
        target = _reads_as(node)
        kind = (_known_kind(node.this) or kind_of(node.this)) if target else None
        return _read(node, target, kind, engine, zone) if target and kind else node

    for node in query.find_all(*_OF_DATES):
        node.set("this", exp.cast(node.this.copy(), _OF_DATES[type(node)]))
    # What is inside has its type by then.
    return replace_each(query, replace, exp.Cast, exp.TsOrDsToDate, exp.StrToTime)


def _reads_as(node: exp.Expr) -> str | None:
    """Return what an expression reads its operand as: ``date``, ``timestamp``, or nothing of these."""
    if isinstance(node, exp.Cast):
        return None if node.meta.get("typed") else _date_or_time(node.to)
    if isinstance(node, exp.TsOrDsToDate):
        return "date"
    return "timestamp" if isinstance(node, exp.StrToTime) else None


def _known_kind(node: exp.Expr) -> dt.DataType | None:
    """Return the type of what an expression is sure to make."""
    node = node.unnest()
    if isinstance(node, exp.Literal):
        return dt.string if node.is_string else None
    if isinstance(node, exp.Cast):
        name = _date_or_time(node.to)
    else:
        name = "timestamp" if node.meta.get("typed") else _reads_as(node)
    return dt.dtype(name) if name else None


def _date_or_time(kind: exp.DataType) -> str | None:
    if kind.is_type("date"):
        return "date"
    times = ("timestamp", "timestamptz", "timestampntz", "timestampltz")
    return "timestamp" if kind.is_type(*times) else None


def _read(node: exp.Expr, target: str, kind: dt.DataType, engine: Engine, zone: str) -> exp.Expr:
    operand, pattern = node.this.copy(), node.args.get("format")
    set_type(operand, kind)
    if kind.is_timestamp() and kind.timezone:
        return _cast(engine.local_time(operand, zone), target)
    if kind.is_date() or kind.is_timestamp():
        return operand if str(kind) == target else _cast(operand, target)
    text = operand if kind.is_string() else exp.cast(_whole(operand, kind), "text")
    if pattern is None or tells_the_offset(pattern.name):
        read = _read_text(text, engine, zone)
        return read if target == "timestamp" else _cast(read, target)
    by_pattern = node.copy()
    by_pattern.set("this", text)
    by_pattern.set("format", exp.Literal.string(without_typo(pattern.name)))
    shape = exp.Literal.string(f"^{shape_of(pattern.name)}$")
    fits = exp.RegexpLike(this=text.copy(), expression=shape)
    return _cast(exp.Case().when(fits, by_pattern), target)


def _whole(operand: exp.Expr, kind: dt.DataType) -> exp.Expr:
    """Return a number as the whole one that it is, such as a year that a column with gaps holds as 2019.0."""
    if not (kind.is_floating() or kind.is_decimal()):
        return operand
    number = exp.TryCast(this=operand, to=exp.DataType.build("bigint"))
    return exp.Case().when(exp.EQ(this=number, expression=operand.copy()), number.copy())


def _cast(operand: exp.Expr, target: str) -> exp.Expr:
    cast = exp.TryCast(this=operand, to=exp.DataType.build(target))
    cast.meta["typed"] = True
    return cast


def _read_text(text: exp.Expr, engine: Engine, zone: str) -> exp.Expr:
    def part(group: int) -> exp.Expr:
        return exp.RegexpExtract(
            this=text.copy(), expression=exp.Literal.string(_ISO), group=exp.Literal.number(group)
        )

    def joined(*parts: exp.Expr) -> exp.Expr:
        first, *rest = parts
        for one in rest:
            first = exp.DPipe(this=first, expression=one)
        return exp.paren(first)

    def or_else(group: int, default: str) -> exp.Expr:
        return exp.func("coalesce", _none_if_empty(part(group)), exp.Literal.string(default))

    local = joined(
        _none_if_empty(part(_YEAR)),
        or_else(_MONTH, "-01"),
        or_else(_DAY, "-01"),
        exp.Literal.string(" "),
        or_else(_TIME, "00:00"),
        or_else(_SECONDS, ":00"),
    )
    offset = exp.Case(default=_offset(part(_ZONE))).when(
        exp.In(this=part(_ZONE), expressions=[exp.Literal.string(z) for z in ("Z", "z", "UTC")]),
        exp.Literal.string("+00:00"),
    )
    moment = exp.TryCast(this=joined(local.copy(), offset), to=exp.DataType.build("timestamptz"))
    moment.meta["moment"] = True
    plain = exp.RegexpLike(this=text.copy(), expression=exp.Literal.string(_PLAIN))
    read = exp.Case(default=engine.local_time(moment, zone))
    read = read.when(plain, _cast(text.copy(), "timestamp"))
    read = read.when(
        exp.EQ(this=part(_ZONE), expression=exp.Literal.string("")), _cast(local, "timestamp")
    )
    read.meta["typed"] = True
    return read


def _offset(written: exp.Expr) -> exp.Expr:
    """Return ``+02``, ``+0200`` and ``+02:00`` alike."""
    digits = exp.RegexpReplace(
        this=written, expression=exp.Literal.string(":"), replacement=exp.Literal.string("")
    )
    padded = exp.func("rpad", digits, exp.Literal.number(5), exp.Literal.string("0"))
    parts = [
        exp.Substring(
            this=padded.copy(), start=exp.Literal.number(at), length=exp.Literal.number(n)
        )
        for at, n in ((1, 3), (4, 2))
    ]
    colon = exp.Literal.string(":")
    return exp.paren(
        exp.DPipe(this=exp.DPipe(this=parts[0], expression=colon), expression=parts[1])
    )


def _none_if_empty(text: exp.Expr) -> exp.Expr:
    return exp.Nullif(this=text, expression=exp.Literal.string(""))
