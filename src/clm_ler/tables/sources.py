"""A user's own tables through SQL expressions in configuration."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import sqlglot
from pydantic import Field
from sqlglot import exp

from clm_ler.engines import engine_of
from clm_ler.engines.dates import read_dates
from clm_ler.engines.expressions import parse_expression
from clm_ler.engines.known_types import set_type
from clm_ler.engines.numbers import compare_numbers
from clm_ler.engines.portable import count_repeated
from clm_ler.tables.options import Options

_EVENT = {"person_id": "person_id", "date": "time"}
# The raw tables: CLM-LER's column names, and the project's. Another kind of codes (vaccinations) is one
# more entry. Another kind of results needs none: `lab` may hold several tables.
RAW_TABLES = {
    "patient": {
        "person_id": "person_id",
        "px_birth_date": "birth_date",
        "px_gender": "gender",
        "px_race": "race",
        "px_ethnicity": "ethnicity",
        "px_region": "region",
    },
    "diagnosis": _EVENT | {"dx_diagnosis_code_type": "system", "dx_diagnosis_code": "code"},
    "prescription": _EVENT
    | {"rx_prescription_code_type": "system", "rx_prescription_code": "code"},
    "procedure": _EVENT | {"pr_procedure_code_type": "system", "pr_procedure_code": "code"},
    "lab": _EVENT
    | {
        "lx_lab_code_type": "system",
        "lx_lab_code": "code",
        "lx_result_val": "value",
        "lx_result_unit": "unit",
    },
}
CODED_TABLES = tuple(name for name in RAW_TABLES if name not in ("patient", "lab"))


class TableSource(Options):
    """How one table is read: SQL in the Spark dialect, run as it is on either engine."""

    select_expr: tuple[str, ...] = Field(
        description="Expressions, each with its name; a later one may use an earlier name."
    )
    filter_expr: str | None = Field(
        default=None, description="Condition on a row, by selected names or the table's own."
    )
    lookups: dict[str, str] = Field(
        default_factory=dict,
        description="Tables of the same catalog entry (d_items: itemid) whose columns are added before "
        "anything is selected, and the column by which, in both; its values are unique in them.",
    )


# How a kind of table is read; by name where its entry of the catalog holds several tables.
Sources = TableSource | dict[str, TableSource]


# The columns that are dates, and how exact.
DATES = {"birth_date": "date"} | dict.fromkeys(
    ("time", "happened", "prediction_time", "start_time", "end_time"), "timestamp"
)
# When an event came to be known, where an expression says so, and when it was.
AVAILABLE, HAPPENED = "available_date", "happened_date"
# A database may lack any of the demographics.
_UNKNOWN = {"px_birth_date": "CAST(NULL AS DATE)"} | dict.fromkeys(
    ("px_gender", "px_race", "px_ethnicity", "px_region"), "CAST(NULL AS STRING)"
)


def with_lookups(
    table: ir.Table, lookups: Mapping[str, str], tables: Mapping[str, ir.Table], name: str
) -> ir.Table:
    """Return the rows with the columns of lookup tables that they do not have themselves.

    Args:
        table: The rows.
        lookups: The column by which each is joined.
        tables: The tables of the catalog entry.
        name: The table's name, for messages.

    Raises:
        ValueError: If a lookup table or its column is missing, or a value occurs twice in it, which
            would multiply rows.
    """
    for lookup, key in lookups.items():
        if lookup not in tables:
            raise ValueError(f"{name}: lookups name {lookup!r}, and there are {', '.join(tables)}.")
        other = tables[lookup]
        for place, columns in ((name, table.columns), (lookup, other.columns)):
            if key not in columns:
                raise ValueError(f"{name}: lookups: {place} has no column {key!r}.")
        if repeated := count_repeated(other, key):
            raise ValueError(
                f"{name}: {repeated} values of {key!r} are in several rows of {lookup}: the join "
                "would multiply rows. Leave one row for each."
            )
        new = [column for column in other.columns if column not in table.columns]
        other = other.select(*new, lookup_key=_key_text(other[key]))
        joined = table.left_join(other, _key_text(table[key]) == other.lookup_key)
        table = joined.drop("lookup_key")
    return table


def _key_text(key: ir.Column) -> ir.StringColumn:
    """Return keys as texts; whole numbers alike, also of a column with gaps, which holds 5 as 5.0."""
    if not key.type().is_floating():
        return key.cast("string")
    whole = key.try_cast("int64")
    return ibis.cases((key == whole, whole.cast("string")), else_=key.cast("string"))


def select(
    table: ir.Table,
    source: TableSource,
    renames: Mapping[str, str],
    name: str,
    event_date_filter: str | None = None,
    time_zone: str = "UTC",
) -> ir.Table:
    """Return the selected columns under the project's names, and which rows pass the filters.

    Args:
        table: The raw table.
        source: Its expressions.
        renames: CLM-LER's column names to the project's, such as ``date`` to ``time``. Columns
            under other names are left out; demographics that are not selected are null.
        name: The table's name, for messages.
        event_date_filter: A condition on ``date``.
        time_zone: Local time, in which dates are read: see ``engines/dates.py``.

    Returns:
        A table of the renamed columns, ``passes_filter`` and ``passes_date_filter``, booleans
        without nulls; ``birth_given`` where there are birth dates: whether the columns that one is made of
        have something in them. Where an expression gives ``available_date``, ``time`` is when an event came to be
        known, and ``happened`` when it was.

    Raises:
        ValueError: If an expression is no SQL, uses a column that the table lacks or a function that
            looks at more than the row, or a column is missing in the selection.
    """
    selected = _expand_names(source.select_expr, table.columns, name)
    columns = {given: sqlglot.parse_one(null) for given, null in _UNKNOWN.items()} | selected
    if AVAILABLE in columns and "date" in renames and "date" in columns:
        columns, renames = _when_known(columns), {**renames, HAPPENED: "happened"}
    columns |= {
        given: exp.cast(exp.paren(columns[given]), DATES[target])
        for given, target in renames.items()
        if given in columns and target in DATES
    }
    missing = [given for given in renames if given not in columns]
    if missing:
        raise ValueError(f"{name}: select_expr gives no column {', '.join(map(repr, missing))}.")
    wanted = {target: columns[given] for given, target in renames.items()}
    if "birth_date" in wanted:
        wanted["birth_given"] = _is_given(wanted["birth_date"])
    # A demographic that is not selected is null, and in a condition still the table's own column.
    own = {column.lower() for column in table.columns} - selected.keys()
    known = {given: value for given, value in columns.items() if given not in _UNKNOWN.keys() & own}
    wanted["passes_filter"] = _condition(source.filter_expr, known, f"{name}: filter_expr")
    wanted["passes_date_filter"] = _condition(
        event_date_filter, known, f"{name}: event_date_filter"
    )
    asked = [column for value in wanted.values() for column in value.find_all(exp.Column)]
    _refuse_fields(table.columns, asked, name)
    require_columns(table.columns, (column.name for column in asked), name)
    view = f"{name}_rows"
    engine = engine_of(table)
    table = engine.with_local_times(table, time_zone)
    kinds = {column.lower(): kind for column, kind in table.schema().items()}
    for column in asked:
        set_type(column, kinds[column.name.lower()])
    kind_of = partial(_kind_of, kinds=kinds, table=table.alias(view), view=view)
    wanted = {
        alias: read_dates(compare_numbers(value, kind_of, name), kind_of, engine, time_zone)
        for alias, value in wanted.items()
    }
    query = exp.select(*(exp.alias_(value, alias) for alias, value in wanted.items())).from_(view)
    return table.alias(view).sql(engine.sql(query))


def _when_known(columns: Mapping[str, exp.Expr]) -> dict[str, exp.Expr]:
    """Return the columns with ``date`` when an event was known, which is never before it was."""
    times = [exp.cast(exp.paren(columns[name]), DATES["time"]) for name in ("date", AVAILABLE)]
    known = exp.Greatest(this=times[0], expressions=times[1:], ignore_nulls=True)
    return {**columns, "date": known, HAPPENED: columns["date"]}


def _kind_of(
    value: exp.Expr, kinds: Mapping[str, dt.DataType], table: ir.Table, view: str
) -> dt.DataType:
    """Return the type of an expression over a table: of a column at once, else by asking the engine."""
    if isinstance(column := value.unnest(), exp.Column):
        return kinds[column.name.lower()]
    query = exp.select(exp.alias_(value.copy(), "value")).from_(view)
    return table.sql(engine_of(table).sql(query)).value.type()


def unfiltered(rows: ir.Table) -> ir.Table:
    """Return rows under the project's names as :func:`select` would: all pass the filters."""
    return rows.mutate(passes_filter=True, passes_date_filter=True)


def _condition(text: str | None, columns: Mapping[str, exp.Expr], place: str) -> exp.Expr:
    """Return a condition that is false where SQL's would be null."""
    if not text:
        return exp.true()
    condition = _substitute(parse_expression(text, place), columns)
    return exp.Coalesce(this=exp.paren(condition), expressions=[exp.false()])


def _is_given(value: exp.Expr) -> exp.Expr:
    """Return whether all columns of an expression have something in them; false where it has none."""
    texts = [exp.Trim(this=exp.cast(one.copy(), "text")) for one in value.find_all(exp.Column)]
    given = [exp.NEQ(this=text, expression=exp.Literal.string("")) for text in texts]
    return (
        exp.Coalesce(this=exp.paren(exp.and_(*given)), expressions=[exp.false()])
        if given
        else exp.false()
    )


def _expand_names(
    expressions: tuple[str, ...], columns: tuple[str, ...], name: str
) -> dict[str, exp.Expr]:
    """Return the selected expressions by name, earlier names replaced by what they stand for.

    A column of the table comes before an earlier name, as in Spark.
    """
    selected: dict[str, exp.Expr] = {}
    for text in expressions:
        parsed = parse_expression(text, f"{name}: select_expr", all_columns=True)
        if isinstance(parsed, exp.Star):
            selected |= {column: exp.column(column, quoted=True) for column in columns}
            continue
        earlier = {alias: value for alias, value in selected.items() if alias not in columns}
        value = parsed.this if isinstance(parsed, exp.Alias) else parsed
        selected[parsed.alias_or_name] = _substitute(value, earlier)
    return selected


def _substitute(expression: exp.Expr, values: Mapping[str, exp.Expr]) -> exp.Expr:
    def replace(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.name in values:
            return exp.paren(values[node.name].copy())
        return node

    return expression.transform(replace)


def _refuse_fields(columns: Sequence[str], asked: Iterable[exp.Column], name: str) -> None:
    known = {column.lower() for column in columns}
    for column in asked:
        if column.table.lower() in known:
            raise ValueError(
                f"{name}: {column.sql('spark')}: nested fields are not read; give the table a column for it."
            )


def require_columns(columns: Sequence[str], asked: Iterable[str], name: str) -> None:
    """Look for columns in a table.

    Raises:
        ValueError: If one is absent. Those that are there are listed, unless none is asked for: where a file has
            no header, its columns are called as the first person's values are.
    """
    known, asked = {column.lower() for column in columns}, list(asked)
    absent = [column for column in asked if column.lower() not in known]
    if not absent:
        return
    told = f"its columns are {', '.join(columns)}."
    if len(absent) == len(asked):
        told = "nor is any other that is asked for. Does its file begin with a header?"
    raise ValueError(f"{name}: there is no column {absent[0]!r} in the table; {told}")
