"""Casts in SQL of users, written for the type of their operand where it is known."""

from decimal import Decimal

import pytest

from clm_ler.engines import engine_of
from clm_ler.tables.sources import TableSource, select
from tests.engines import both_engines

VALUES = {
    "string": ["7", " 3.7", "1e3", "x", "", None],
    "int64": [7, 0, -(2**40), None],
    "float64": [7.0, 3.7, -0.5, 1.5e7, 5e-4, 1e-7, 1e22, float("inf"), float("nan"), None],
    "float32": [7.0, 0.5, None],
    "decimal(20, 2)": [Decimal("7.00"), Decimal("-3.70"), None],
    "boolean": [True, False, None],
}
NAMES = {"string": "STRING", "int64": "BIGINT", "float64": "DOUBLE", "boolean": "BOOLEAN"}
# Nobody knows the type of what coalesce makes, so the engine looks at each value.
CASTS = ("BIGINT", "DOUBLE", "DECIMAL(20, 2)", "STRING")
OPERANDS = {"known": "x", "nested": "CAST(x AS {kind})", "unknown": "coalesce(x, x)"}


def written(as_table, kind, **casts):
    """The rows of a kind with each of the casts, by name: in one query, for Spark plans each for long."""
    table = as_table(list(enumerate(VALUES[kind])), {"n": "int64", "x": kind})
    made = [f"CAST({column} AS {cast}) AS {name}" for name, (column, cast) in casts.items()]
    source = TableSource(select_expr=("n", *made))
    return select(table, source, {name: name for name in ("n", *casts)}, "rows")


@both_engines
@pytest.mark.parametrize("kind", VALUES)
def test_a_cast_is_the_same_whether_or_not_the_type_is_known(as_table, kind):
    casts = {
        f"{known}_{number}": (operand.format(kind=NAMES.get(kind, kind)), cast)
        for known, operand in OPERANDS.items()
        for number, cast in enumerate(CASTS)
        if not (kind == "float32" and "{kind}" in operand)  # a cast to FLOAT is one to DOUBLE
    }
    rows = written(as_table, kind, **casts).order_by("n").to_pandas()
    for name, cast in casts.items():
        assert rows[name].equals(rows[f"known_{name[-1]}"]), cast


@both_engines
def test_the_type_is_not_asked_for_where_it_is_known(as_table):
    for kind in VALUES:
        rows = written(as_table, kind, made=("CAST(x AS STRING)", "BIGINT"))
        assert "typeof" not in engine_of(rows).sql_of(rows).lower()
    rows = written(as_table, "int64", made=("coalesce(x, x)", "BIGINT"))
    assert "typeof" in engine_of(rows).sql_of(rows).lower()


@both_engines
def test_a_date_of_numbers_is_no_longer_a_query_than_one_of_texts(as_table):
    length = {}
    for kind in ("string", "float64"):
        table = as_table([(None,)], {"x": kind})
        source = TableSource(select_expr=("to_timestamp(x) AS date",))
        rows = select(table, source, {"date": "time"}, "visits", time_zone="Europe/Berlin")
        length[kind] = len(engine_of(rows).sql_of(rows))
    assert length["float64"] < 2 * length["string"]
