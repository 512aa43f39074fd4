"""What an engine says when it gives up: what was converted, in how many rows, and never a value."""

import signal
import threading

import duckdb
import ibis
import pytest

from clm_ler.engines import engine_of
from clm_ler.engines.errors import EngineError, without_values
from clm_ler.tables.sources import TableSource, select
from tests.engines import both_engines

CANARY = "CANARY"
ROWS = [(1, CANARY, 2**62), (2, "3", 1), (3, None, None)]
SCHEMA = {"id": "int64", "text": "string", "big": "int64"}

# Each fails at the first row, and no other, in an engine that takes it as it is written.
FAILING = [
    "",
    "CAST(text AS INT)",
    "int(text)",
    "CAST(text AS DECIMAL(5, 2))",
    "CAST(text AS BOOLEAN)",
    "CAST(big AS SMALLINT)",
    "year(text)",
    "date_format(text, 'yyyy')",
    "date_add(text, 1)",
    "make_date(2020, id + 12, 1)",
    "make_date(CAST(big / 46116860184 AS INT), 1, 1)",
    "to_date(text, 'dd.MM.yyyy')",
    "get_json_object(text, '$.a')",
    "add_months(text, 1)",
    "timestamp(text)",
    "",
][1:-1]
# As these do on DuckDB; Spark goes on with a number that is too large.
OVERFLOWING = ["big * 8", "-big * 8", "big + big + big", "abs(-big * 2)"]
COMPARING = [
    *("text = 3", "text IN (3, 4)", "CASE WHEN text = 3 THEN true END", "text <> 4", "text > 2"),
    *("text BETWEEN 1 AND 9", "text = big + 2", "text = 3 AND text > 1 AND text IN (3, 5)"),
]


@pytest.fixture
def table(backend, as_table, tmp_path):
    engine_of(backend).configure("1GB", 1, str(tmp_path))
    return as_table(ROWS, SCHEMA)


def read(table, expression):
    source = TableSource(select_expr=("id", f"{expression} AS x"))
    rows = select(table, source, {"id": "id", "x": "x"}, "visits")
    texts = rows.select("id", x=rows.x.cast("string"))  # Python has no dates before the year 1
    return texts.order_by("id").to_pyarrow()["x"].to_pylist()


@both_engines
def test_what_cannot_be_made_is_null(table):
    found = {expression: read(table, expression) for expression in (*FAILING, *COMPARING)}
    assert {expression for expression, values in found.items() if values[0] is not None} == set()
    assert found["int(text)"] == [None, "3", None]
    assert found["text IN (3, 4)"] == [None, "true", None]


def test_what_is_too_large_is_null(table):
    assert [read(table, expression)[0] for expression in OVERFLOWING] == [None] * 4
    assert read(table, "coalesce(big * 8, 7)") == ["7", "8", "7"]


def ways(table, tmp_path):
    engine, unfit = engine_of(table), table.mutate(number=table.text.cast("int64"))
    return {
        "execute": unfit.execute,
        "to_pyarrow": unfit.to_pyarrow,
        "batches": lambda: list(unfit.to_pyarrow_batches()),
        "write": lambda: engine.write_parquet(unfit, str(tmp_path / "x.parquet")),
        "partition": lambda: engine.write_partitioned(unfit, str(tmp_path / "y"), "id", 2),
        "materialize": lambda: engine.materialize("kept", unfit),
        "digest": lambda: engine.digest_of(unfit),
    }


def test_no_way_of_evaluating_quotes_a_value(table, tmp_path):
    for way, evaluate in ways(table, tmp_path).items():
        with pytest.raises(EngineError) as raised:
            evaluate()
        said = str(raised.value)
        assert "Column 'text': 1 rows have a value that is no int64" in said, way
        error = raised.value
        while error:  # a traceback prints all of them
            assert CANARY not in str(error), way
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bad.csv", "a,b\n1,2\n1,2,CANARY\n", "line 3 of"),
        ("bad.ndjson", '{"a": "1"}\n{"a": CANARY}\n', "of"),
    ],
)
def test_a_broken_file_is_named_and_not_quoted(backend, table, tmp_path, name, text, said):
    file = tmp_path / name
    file.write_text(text)
    engine = engine_of(backend)
    with pytest.raises(EngineError, match=f"{said} {file}") as raised:
        if name.endswith("csv"):
            backend.read_csv(str(file), columns={"a": "VARCHAR", "b": "VARCHAR"}).execute()
        else:
            engine.read_ndjson([str(file)], ibis.schema({"a": "string"})).execute()
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize("data", [b"PAR1", b"PAR1" + bytes(100), b""])
def test_a_parquet_file_that_was_cut_is_named(backend, table, tmp_path, data):
    file = tmp_path / "cut.parquet"
    file.write_bytes(data)
    with pytest.raises(EngineError, match=f"at {file}: it is cut, damaged, or no file of its kind"):
        backend.read_parquet(str(file))


def test_ctrl_c_within_a_query_is_still_ctrl_c(tmp_path):
    backend = ibis.duckdb.connect()
    engine_of(backend).configure("1GB", 1, str(tmp_path))
    # What a script starts in the background ignores Ctrl-C, and other tests may have seen to it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            backend.raw_sql(
                "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b"
            )
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def test_ctrl_c_is_told_by_its_name_even_where_the_engine_calls_it_its_own_error():
    """One of some hundred is: `KeyboardInterrupt: <EMPTY MESSAGE>`, and the lines of code."""
    with (
        pytest.raises(KeyboardInterrupt),
        without_values((duckdb.Error,), lambda error: None),
    ):
        raise duckdb.Error("KeyboardInterrupt: <EMPTY MESSAGE>\n\nAt:\n  /x.py(5): call")


def test_names_that_are_not_there_are_told_as_before(backend, table):
    with pytest.raises(EngineError, match='Referenced column "nope" not found'):
        backend.sql("SELECT nope FROM (SELECT 1 AS a)")


def test_a_file_that_is_cut_is_named(backend, table, tmp_path):
    file = tmp_path / "cut.parquet"
    table.to_parquet(file)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(EngineError, match=f"at {file}: it is cut"):
        backend.read_parquet(str(file)).execute()
