import gc

import ibis
import pyarrow as pa
import pytest
from ibis import _

from clm_ler.engines import engine_of
from clm_ler.storage import buckets
from clm_ler.storage.buckets import BucketFolder, person_bucket, stored_tables
from tests.engines import both_engines


@pytest.mark.parametrize("step", [1, 2, 16, 64, 1024])
def test_buckets_are_even_whatever_the_spacing_of_person_ids(step):
    table = ibis.range(0, 4000 * step, step).unnest().name("person_id").as_table()
    counts = table.group_by(bucket=person_bucket(table.person_id, 8)).agg(n=_.count()).execute()
    assert counts.n.min() > 350
    assert len(counts) == 8


@both_engines
def test_every_engine_puts_a_person_into_the_same_bucket(as_table):
    persons = [*range(-3, 20), 2**31 - 1, 2**31, 2**62, -(2**62), None]
    table = as_table([(person,) for person in persons], {"person_id": "int64"})
    numbers = {count: person_bucket(table.person_id, count) for count in (1, 4, 8)}
    found = table.select("person_id", **{f"of_{n}": bucket for n, bucket in numbers.items()})
    rows = {row.pop("person_id"): row for row in found.to_pyarrow().to_pylist()}
    assert [rows[person]["of_8"] for person in (None, 0, 1, 2, 3, 2**62)] == [0, 0, 7, 7, 6, 7]
    for row in rows.values():
        assert row["of_1"] == 0
        assert row["of_8"] % 4 == row["of_4"]


@pytest.fixture
def folder(backend, tmp_path):
    """A table of two buckets; the second has no rows."""
    made = BucketFolder(str(tmp_path / "events"))
    table = ibis.memtable(pa.table({"person_id": [0, 3], "value": [5, 6]}))
    (tmp_path / "events" / "rows").mkdir(parents=True)
    engine_of(backend).write_parquet(table, str(tmp_path / "events" / "rows" / "all.parquet"))
    made.publish([["rows/all.parquet"], []])
    return made


def test_a_stored_table_is_found_in_what_is_made_of_it_while_that_is_in_use(folder, backend):
    table = folder.stored().open(engine_of(backend))
    twice = table.mutate(twice=_.value * 2).join(table.view(), "person_id")
    (found,) = stored_tables(twice).values()
    assert found == folder.stored()
    assert stored_tables(backend.table(table.get_name()).mutate(n=1)) != {}
    known = len(buckets._OPEN)
    del table, twice, found
    gc.collect()
    assert len(buckets._OPEN) < known


def test_tables_of_two_connections_are_told_apart(folder, backend):
    other = ibis.duckdb.connect()
    mine, theirs = (folder.stored().open(engine_of(place)) for place in (backend, other))
    assert list(stored_tables(mine)) == [mine.op()]
    assert list(stored_tables(theirs)) == [theirs.op()]


def test_a_bucket_of_a_larger_number_has_the_same_files_and_an_empty_one_has_columns(
    folder, backend
):
    parts = [backend.con.sql(folder.stored().source(bucket)) for bucket in range(4)]
    assert {tuple(part.columns) for part in parts} == {("person_id", "value")}
    assert [len(part) for part in parts] == [2, 0, 2, 0]


def test_what_the_manifest_does_not_list_is_removed(folder, tmp_path):
    (tmp_path / "events" / ".bucket.part").write_text("left by a killed run")
    (tmp_path / "events" / "rows" / "old.parquet").write_text("old")
    folder.publish([["rows/all.parquet"]])
    names = [path.name for path in (tmp_path / "events").rglob("*") if path.is_file()]
    assert sorted(names) == ["_manifest.json", "all.parquet"]


def test_digests_are_known_until_the_files_change(folder, backend, tmp_path):
    stored, engine = folder.stored(), engine_of(backend)
    stored.digest(engine, stored.open(engine).op(), 0, 2)
    assert folder.stored().digests == stored.digests != {}
    (tmp_path / "events" / "rows" / "all.parquet").rename(
        tmp_path / "events" / "rows" / "b.parquet"
    )
    folder.publish([["rows/b.parquet"], []])
    assert folder.stored().digests == {}


def test_addresses_keep_the_scheme_that_the_user_wrote():
    assert BucketFolder("memory://bucket/events").address("/bucket/events/x") == (
        "memory:///bucket/events/x"
    )
    assert BucketFolder("/data/events").address("/data/events/x") == "/data/events/x"


@pytest.mark.parametrize("letter", ["\u00a0", "'", '"', "ü", "\\"])
def test_names_of_files_may_have_any_letter(tmp_path, letter):
    place, engine = tmp_path / f"a{letter}b", ibis.duckdb.connect()
    place.mkdir()
    made = BucketFolder(str(place))
    engine_of(engine).write_parquet(ibis.memtable({"person_id": [0]}), f"{tmp_path}/all.parquet")
    (tmp_path / "all.parquet").rename(place / "all.parquet")
    made.publish([["all.parquet"], []])
    assert engine.con.sql(made.stored().source(0)).fetchall() == [(0,)]
