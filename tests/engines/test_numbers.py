"""Numbers in SQL of users mean one thing on both engines."""

from decimal import Decimal

import pytest

from clm_ler.tables.sources import TableSource, select
from tests.engines import both_engines

TEXTS = (
    "7",
    " -7 ",
    "+7",
    "007",
    "3.7",
    "-3.7",
    "7.",
    "1e3",
    "1_000",
    "0x10",
    "7 8",
    "",
    None,
    "9" * 30,
)
WHOLE = (7, -7, 7, 7, 3, -3, 7, None, None, None, None, None, None, None)
NUMBERS = (3.7, -3.7, 0.5, -0.5, 2.5, 1e30, float("nan"), None)
CUT = (3, -3, 0, 0, 2, None, None, None)


@both_engines
def test_a_cast_to_a_whole_number_cuts_and_never_rounds(as_table):
    columns = {"id": "int64", "text": "string", "number": "float64", "exact": "decimal(20, 2)"}
    numbers = [*NUMBERS, *[None] * (len(TEXTS) - len(NUMBERS))]
    exact = [n if n is None or n != n or n > 1e9 else Decimal(str(n)) for n in numbers]
    exact = [n if isinstance(n, Decimal) else None for n in exact]
    table = as_table(list(zip(range(len(TEXTS)), TEXTS, numbers, exact, strict=True)), columns)
    expressions = {
        "text": "CAST(text AS BIGINT)",
        "number": "CAST(number AS INT)",
        "exact": "TRY_CAST(exact AS BIGINT)",
        "sum": "CAST(CAST(text AS DOUBLE) + 0.5 AS INT)",
        "id": "CAST(id AS INT)",
    }
    source = TableSource(select_expr=tuple(f"{sql} AS {name}" for name, sql in expressions.items()))
    chosen = select(table, source, {name: name for name in expressions}, "numbers")
    found = chosen.order_by("id").to_pyarrow().to_pydict()
    assert tuple(found["text"]) == WHOLE
    assert tuple(found["number"][: len(CUT)]) == CUT
    assert found["exact"][: len(CUT)] == [*CUT[:5], None, None, None]
    assert found["sum"][:6] == [7, -6, 7, 7, 4, -3]


@both_engines
@pytest.mark.parametrize("condition", ["date >= 2018", "date BETWEEN 2018 AND 2019", "2018 < date"])
def test_a_date_beside_a_number_is_refused(as_table, condition):
    table = as_table([(1, "2020-01-01")], {"id": "int64", "day": "string"})
    source = TableSource(select_expr=("id", "day AS date"))
    with pytest.raises(ValueError, match=r"visits: .* compares a date with a number: write it as"):
        select(table, source, {"id": "id", "date": "time"}, "visits", condition)
    kept = select(table, source, {"id": "id", "date": "time"}, "visits", "year(date) >= 2018")
    assert kept.passes_date_filter.to_pyarrow().to_pylist() == [True]
