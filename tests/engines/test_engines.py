"""What every engine does, each in its own way, with the same result."""

from datetime import datetime

import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import sqlglot

from clm_ler.engines import engine, engine_of
from tests.engines import both_engines

COLUMNS = {"n": "int64", "x": "int64", "y": "string"}


def rows_of(table, *order):
    return table.order_by(order).to_pyarrow().to_pylist()


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="must be 'duckdb' or 'pyspark', not 'polars'"):
        engine("polars")


@both_engines
def test_the_engine_of_a_table_is_that_of_its_connection(backend, as_table):
    table = as_table([(1,)], {"n": "int64"})
    assert engine_of(table).backend is backend
    assert type(engine_of(table)) is engine(backend.name)


@both_engines
def test_what_cannot_be_parsed_is_null(backend, as_table):
    table = as_table([("2020-01-02",), ("never",)], {"text": "string"})
    query = sqlglot.parse_one("SELECT TO_DATE(text, 'yyyy-MM-dd') AS day FROM t", read="spark")
    found = table.alias("t").sql(engine_of(table).sql(query)).day.to_pyarrow().to_pylist()
    assert [day and str(day)[:10] for day in found] == ["2020-01-02", None]


def test_categories_are_texts_to_whoever_reads_them(backend, as_table):
    names = pa.table({"code": ["1", "2", None], "name": ["one", None, 'it\'s "none"']})
    rows = as_table([("2",), ("1",), (None,), ("3",)], {"code": "string"})
    categories = engine_of(rows).with_categories(names, ["name"])
    joined = rows.join(categories, rows.code.identical_to(categories.code)).select("code", "name")
    assert sorted(joined.to_pyarrow().to_pylist(), key=str) == sorted(names.to_pylist(), key=str)


def test_categories_may_have_no_text_at_all(as_table):
    names = pa.table({"n": [1, 2], "code": ["b", "a"], "text": pa.array([None, None], pa.string())})
    rows = engine_of(as_table([(1,)], {"n": "int64"})).with_categories(names, ["code", "text"])
    found = as_table([(1,), (2,)], {"n": "int64"}).join(rows, "n")
    counts = found.group_by("text", "code").agg(rows=found.n.count()).order_by("text", "code")
    assert counts.to_pyarrow()["code"].to_pylist() == ["a", "b"]


def test_lists_of_places_become_lists_of_texts(backend, as_table):
    lists = [[2, 0, 2], [], [1]]
    rows = as_table(list(enumerate(lists)), {"n": "int64", "places": "array<int32>"})
    texts = ["é", "b", "it's"]
    found = rows_of(engine_of(rows).look_up(rows, "places", pa.array(texts)), "n")
    assert found == [
        {"n": n, "places": [texts[place] for place in places]} for n, places in enumerate(lists)
    ]


def test_an_arrow_function_sees_several_columns_and_their_nulls(backend, as_table):
    rows = [(1, "a"), (None, "b"), (3, None)]
    table = as_table([(n, *row) for n, row in enumerate(rows)], COLUMNS)

    def count_nulls(x: pa.Array, y: pa.Array) -> pa.StructArray:
        nulls = pc.add(pc.is_null(x).cast(pa.int64()), pc.is_null(y).cast(pa.int64()))
        return pc.make_struct(nulls, field_names=["nulls"])

    made = engine_of(table).map_arrow(table, count_nulls, ["x", "y"], {"nulls": dt.int64}, "abc")
    assert made.order_by("n").nulls.to_pyarrow().to_pylist() == [0, 1, 1]


@both_engines
def test_a_file_is_read_under_a_name(backend, as_table, tmp_path):
    table = as_table([(2, 1, "a"), (1, None, None)], COLUMNS)
    pq.write_table(table.to_pyarrow(), tmp_path / "written")
    found = engine_of(table).read_parquet([str(tmp_path / "written")], "read")
    assert found.get_name() == "read"
    assert rows_of(found, "n") == rows_of(table, "n")


def test_a_table_is_written_in_order(as_table, tmp_path):
    table = as_table([(2, 1, "a"), (1, None, None), (0, 3, "b")], COLUMNS)
    engine_of(table).write_parquet(table, str(tmp_path / "written"), order_by=["x"])
    assert pq.read_table(tmp_path / "written")["n"].to_pylist() == [1, 2, 0]


@both_engines
def test_a_partitioned_table_has_a_folder_for_each_part_in_order(backend, as_table, tmp_path):
    times = [datetime(2020, 1, 2), None, datetime(2019, 1, 1), datetime(2021, 1, 1)]
    rows = [(number % 2, number, time) for number, time in enumerate(times * 2)]
    table = as_table(rows, {"part": "int64", "n": "int64", "time": "timestamp(6)"})
    folder = tmp_path / "written"
    engine_of(table).write_partitioned(table, str(folder), "part", 4, order_by=["time", "n"])
    assert {path.name for path in folder.glob("part=*")} == {"part=0", "part=1"}
    for part in (0, 1):
        # A file alone, without the folder's name, from which Arrow would take a column.
        files = [pq.ParquetFile(file) for file in sorted(folder.glob(f"part={part}/*.parquet"))]
        found = pa.concat_tables(file.read() for file in files)
        assert found.schema.names == ["n", "time"]
        assert found.schema.field("time").type == pa.timestamp("us")
        wanted = sorted((time or datetime.min, n) for own, n, time in rows if own == part)
        assert found["n"].to_pylist() == [n for _, n in wanted]


def test_a_digest_tells_rows_apart_but_not_their_order(backend, as_table):
    rows = [(1, 1, "a"), (2, None, "b"), (2, None, "b")]
    digests = [
        engine_of(backend).digest_of(as_table(rows, COLUMNS))
        for rows in (rows, rows[::-1], rows[:2], [*rows[:2], (2, None, "c")], [])
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4
