"""What DuckDB does with types and plans of its own."""

import gc
import gzip

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ibis.expr import datatypes as dt

from clm_ler.engines import duckdb, engine_of
from clm_ler.engines.errors import EngineError


def type_of(backend, column):
    """Return the name that DuckDB has for a column's type."""
    table = column.as_table()
    backend._run_pre_execute_hooks(table)
    name = column.get_name()
    query = f"SELECT typeof({name}) FROM ({ibis.to_sql(table)})"
    return backend.raw_sql(query).fetchone()[0].partition("(")[0]


def test_categories_are_numbers_to_duckdb_and_texts_in_a_file(backend, as_table, tmp_path):
    names = pa.table({"n": [0, 1], "name": ["one", None]})
    rows = as_table([(0,)], {"n": "int64"})
    joined = rows.join(engine_of(rows).with_categories(names, ["name"]), "n")
    assert type_of(backend, joined.name) == "ENUM"
    backend.to_parquet(joined, tmp_path / "joined.parquet")
    assert pq.read_schema(tmp_path / "joined.parquet").field("name").type == pa.string()


@pytest.mark.parametrize(("count", "kind"), [(2, "ENUM"), (3, "VARCHAR")])
def test_what_no_dictionary_can_hold_stays_text(count, kind, backend, as_table, monkeypatch):
    monkeypatch.setattr(duckdb, "MOST_CATEGORIES", 2)
    rows = as_table([(1,)], {"n": "int64"})
    names = pa.table({"n": range(count), "name": [f"name {n}" for n in range(count)]})
    joined = rows.join(engine_of(rows).with_categories(names, ["name"]), "n")
    assert type_of(backend, joined.name) == kind


def test_a_materialized_table_is_evaluated_once_until_it_is_dropped(backend, as_table):
    rows = as_table([(1,), (2,)], {"n": "int64"})
    engine = engine_of(backend)
    kept = engine.materialize("kept", rows.mutate(random=ibis.random()))
    assert kept.to_pyarrow().equals(kept.to_pyarrow())
    engine.drop("kept")
    assert "kept" not in backend.list_tables()


def test_tables_that_nobody_holds_are_dropped_with_the_next(backend):
    def numbers_of_texts(number):
        codes = pa.array([f"code {number}", "other"])
        rows = ibis.memtable({"places": [[0, 1]]}, schema={"places": "array<int64>"})
        return engine_of(backend).look_up(rows, "places", codes)

    def held():
        # Also what a table of a result still needs, which is read while others come and go.
        count = "SELECT count(*) FROM duckdb_{} WHERE NOT internal"
        return [backend.raw_sql(count.format(name)).fetchone()[0] for name in ("tables", "types")]

    first = numbers_of_texts(0)
    for number in range(1, 5):
        numbers_of_texts(number)
    gc.collect()
    last = numbers_of_texts(5)
    gc.collect()
    assert held() == [3, 1]  # the two, and the codes that the last was made of
    assert first.to_pyarrow()["places"].to_pylist() == [["code 0", "other"]]
    assert last.to_pyarrow()["places"].to_pylist() == [["code 5", "other"]]


def test_a_function_is_known_by_its_digest_in_every_process(as_table):
    table = as_table([(1,)], {"x": "int64"})

    def same(x: pa.Array) -> pa.StructArray:
        return pc.make_struct(x, field_names=["z"])

    queries = [
        ibis.to_sql(engine_of(table).map_arrow(table, same, ["x"], {"z": dt.int64}, digest))
        for digest in ("abc", "abc", "abd")
    ]
    assert queries[0] == queries[1] != queries[2]


@pytest.mark.parametrize(("limit", "least"), [("1GB", 1), ("100MB", 2)])
def test_less_memory_makes_more_buckets(limit, least, backend, as_table):
    backend.raw_sql(f"SET memory_limit = '{limit}'")
    rows = as_table([(n,) for n in range(100_000)], {"n": "int64"})
    # 100,000 rows of 1,000 bytes are 100 MB.
    assert engine_of(backend).bucket_count(rows, 1000, fixed_bytes=0) == least


def test_a_file_that_was_cut_is_named(backend, tmp_path):
    file = tmp_path / "0.parquet"
    pq.write_table(pa.table({"n": range(1000)}), file)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(EngineError, match=f"{file}: it is cut"):
        engine_of(backend).read_mixed_parquet([str(file)], "UTC")


def test_a_gzip_file_that_was_cut_is_no_shorter_table(backend, tmp_path):
    packed = gzip.compress(b"n\n" + b"".join(b"%d\n" % (n * 7919 % 1009) for n in range(20_000)))
    for name, read in (("t.csv.gz", "read_csv"), ("t.ndjson.gz", "read_ndjson")):
        (tmp_path / name).write_bytes(packed[: len(packed) // 5])
        more = [ibis.schema({"n": "int64"})] if read == "read_ndjson" else []
        with pytest.raises(ValueError, match=f"{name} ends in the middle"):
            getattr(engine_of(backend), read)([str(tmp_path / name)], *more)


@pytest.mark.parametrize(
    ("storage", "folder"),
    [
        ("data", "data/tmp"),
        ("/big/disk", "/big/disk/tmp"),
        ("file:///big/disk", "/big/disk/tmp"),
        ("s3://bucket/data", "data/tmp"),
    ],
)
def test_what_does_not_fit_in_memory_goes_below_a_local_storage(backend, storage, folder):
    engine_of(backend).configure("1GB", 1, storage)
    assert engine_of(backend)._setting("temp_directory") == folder
