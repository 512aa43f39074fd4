from datetime import datetime

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from clm_ler.engines import engine
from clm_ler.engines.engine import (
    connection,
    look_up,
    map_arrow,
    small_table,
    with_categories,
)
from tests.engines import both_engines

COLUMNS = {"n": "int64", "x": "int64", "y": "string"}
SCHEMA = ibis.schema({"unit": "string", "factor": "float64", "n": "int64"})


@both_engines
def test_what_is_missing_is_null_on_every_engine(backend):
    rows = [
        {"unit": "mg/dL", "factor": 1.5, "n": 1},
        {"unit": None, "factor": None, "n": 2},
        {"unit": "NaN", "factor": 0.0, "n": 3},
        {"unit": "", "factor": 0.0, "n": 4},
    ]
    table = small_table(rows, SCHEMA).order_by("n")
    assert backend.to_pyarrow(table).to_pylist() == rows


@both_engines
def test_lists_made_in_python_reach_every_engine(backend):
    rows = [
        {"sample": "a", "time": datetime(2020, 1, 2, 3), "probabilities": [0.25, 0.75]},
        {"sample": None, "time": None, "probabilities": []},
    ]
    kinds = {
        "sample": pa.string(),
        "time": pa.timestamp("us"),
        "probabilities": pa.list_(pa.float64()),
    }
    table = ibis.memtable(pa.Table.from_pylist(rows, schema=pa.schema(kinds)))
    found = backend.to_pyarrow(
        table.mutate(n=table.probabilities.length()).order_by(ibis.desc("n"))
    )
    assert found.drop(["n"]).to_pylist() == rows


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="must be 'duckdb' or 'pyspark', not 'polars'"):
        connection("polars")


@both_engines
def test_categories_are_texts_to_whoever_reads_them(backend, as_table, tmp_path):
    names = pa.table({"code": ["1", "2", None], "name": ["one", None, 'it\'s "none"']})
    rows = as_table([("2",), ("1",), (None,), ("3",)], {"code": "string"})
    categories = with_categories(names, ["name"], like=rows)
    joined = rows.join(categories, rows.code.identical_to(categories.code)).select("code", "name")
    assert sorted(joined.to_pyarrow().to_pylist(), key=str) == sorted(names.to_pylist(), key=str)
    if backend.name == "duckdb":
        path = tmp_path / "joined.parquet"
        backend.to_parquet(joined, path)
        assert pq.read_schema(path).field("name").type == pa.string()
        types = backend.raw_sql(f"SELECT DISTINCT typeof(name) FROM ({ibis.to_sql(joined)})")
        assert types.fetchall()[0][0].startswith("ENUM")


def test_what_no_dictionary_can_hold_stays_text(backend, as_table, monkeypatch):
    monkeypatch.setattr(engine, "MOST_CATEGORIES", 2)
    rows = as_table([(1,)], {"n": "int64"})
    for count, kind in ((2, "ENUM"), (3, "VARCHAR")):
        names = pa.table({"n": range(count), "name": [f"name {n}" for n in range(count)]})
        joined = rows.join(with_categories(names, ["name"], like=rows), "n")
        backend._run_pre_execute_hooks(joined)
        found = backend.raw_sql(f"SELECT typeof(name) FROM ({ibis.to_sql(joined)})").fetchall()
        assert found[0][0].startswith(kind)


@both_engines
def test_lists_of_places_become_lists_of_texts(backend, as_table):
    lists = [[2, 0, 2], [], [1]]
    rows = as_table(list(enumerate(lists)), {"n": "int64", "places": "array<int32>"})
    texts = ["é", "b", "it's"]
    found = look_up(rows, "places", pa.array(texts)).order_by("n").to_pyarrow().to_pylist()
    assert found == [
        {"n": n, "places": [texts[place] for place in places]} for n, places in enumerate(lists)
    ]


@both_engines
def test_an_arrow_function_sees_several_columns_and_their_nulls(backend, as_table):
    rows = [(1, "a"), (None, "b"), (3, None)]
    table = as_table([(n, *row) for n, row in enumerate(rows)], COLUMNS)

    def count_nulls(x: pa.Array, y: pa.Array) -> pa.StructArray:
        nulls = pc.add(pc.is_null(x).cast(pa.int64()), pc.is_null(y).cast(pa.int64()))
        return pc.make_struct(nulls, field_names=["nulls"])

    made = map_arrow(table, count_nulls, ["x", "y"], {"nulls": dt.int64}, digest="abc")
    assert made.order_by("n").nulls.to_pyarrow().to_pylist() == [0, 1, 1]


def test_a_function_is_known_by_its_digest_in_every_process(as_table):
    table = as_table([(1, 1, "a")], COLUMNS)

    def same(x: pa.Array) -> pa.StructArray:
        return pc.make_struct(x, field_names=["z"])

    queries = [
        ibis.to_sql(map_arrow(table, same, ["x"], {"z": dt.int64}, digest))
        for digest in ("abc", "abc", "abd")
    ]
    assert queries[0] == queries[1] != queries[2]
