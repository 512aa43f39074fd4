import json
from pathlib import Path

import ibis
import pytest
from ibis import _
from kedro.io import DatasetError

from clm_ler.datasets.person_table import PersonTableDataset
from clm_ler.engines.duckdb import DuckDB
from clm_ler.storage import evaluate
from clm_ler.storage.worker import CopyParquet

CONNECTION = {"backend": "duckdb", "database": ":memory:", "memory_limit": "1GiB"}


@pytest.fixture(autouse=True)
def few_rows_a_bucket(monkeypatch):
    monkeypatch.setattr(evaluate, "BYTES_PER_ROW", 2**30 // 50)
    monkeypatch.setattr(evaluate, "FIXED_BYTES", 0)


@pytest.fixture
def dataset(tmp_path):
    def make(name, **arguments):
        return PersonTableDataset(filepath=str(tmp_path / name), connection=CONNECTION, **arguments)

    return make


def events(dataset, rows=200):
    return dataset.connection.sql(
        f"SELECT range % 37 + 1 AS person_id, range::DOUBLE AS value FROM range({rows})"
    )


def files(path):
    return {str(file.relative_to(path)) for file in Path(path).rglob("*.parquet")}


def manifest(path):
    return json.loads((Path(path) / "_manifest.json").read_text())


def rows(table):
    return sorted(table.execute().itertuples(index=False, name=None))


def test_a_table_is_partitioned_by_person_and_read_whole(dataset, tmp_path):
    stored = dataset("events")
    stored.save(events(stored))
    assert manifest(tmp_path / "events")["buckets"] == 4
    assert rows(stored.load()) == rows(events(stored))
    persons = [
        set(
            stored.connection.read_parquet([str(tmp_path / "events" / f) for f in names])
            .execute()
            .person_id
        )
        for names in manifest(tmp_path / "events")["files"]
    ]
    assert sum(len(part) for part in persons) == len(set.union(*persons)) == 37


def test_a_transient_table_is_larger_and_has_the_same_rows(dataset, tmp_path):
    kept, transient = dataset("kept"), dataset("transient", transient=True)
    for stored in (kept, transient):
        stored.save(events(stored, 20_000))
    assert rows(kept.load()) == rows(transient.load())
    sizes = [
        sum(file.stat().st_size for file in (tmp_path / name).rglob("*.parquet"))
        for name in ("kept", "transient")
    ]
    assert sizes[1] > 1.5 * sizes[0]


def test_by_bucket_gives_what_the_whole_expression_gives(dataset, tmp_path):
    stored, totals = dataset("events"), dataset("totals")
    stored.save(events(stored))
    table = stored.load()
    names = ibis.memtable({"parity": [0, 1], "name": ["even", "odd"]})
    expression = (
        table.group_by("person_id")
        .agg(total=_.value.sum())
        .mutate(parity=_.person_id % 2)
        .join(names, "parity")
    )
    totals.save(expression)
    assert rows(totals.load()) == rows(expression)
    assert len(files(tmp_path / "totals")) == 4


def test_tables_with_different_numbers_of_buckets_align(dataset):
    few, many, joined = dataset("few"), dataset("many"), dataset("joined")
    few.save(events(few, rows=60))
    many.save(events(many, rows=400))
    left, right = few.load(), many.load()
    expression = left.anti_join(right.filter(_.value > 380), "person_id")
    joined.save(expression)
    assert rows(joined.load()) == rows(expression) != []


def test_an_unfinished_save_goes_on_and_is_not_seen(dataset, tmp_path, monkeypatch):
    stored, totals = dataset("events"), dataset("totals")
    stored.save(events(stored))
    expression = stored.load().group_by("person_id").agg(total=_.value.sum())
    written = []
    write = CopyParquet.__call__

    def killed_at_the_third(self, connection, sql, path):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write(self, connection, sql, path)

    monkeypatch.setattr(CopyParquet, "__call__", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        totals.save(expression)
    with pytest.raises(DatasetError, match="never fully written"):
        totals.load()

    def counted(self, connection, sql, path):
        written.append(path)
        write(self, connection, sql, path)

    monkeypatch.setattr(CopyParquet, "__call__", counted)
    totals.save(dataset("events").load().group_by("person_id").agg(total=_.value.sum()))
    assert len(written) == 4 == len(set(written))
    assert rows(totals.load()) == rows(expression)


def test_other_rows_or_another_expression_are_computed_anew(dataset):
    stored, totals = dataset("events"), dataset("totals")
    stored.save(events(stored))
    totals.save(stored.load().group_by("person_id").agg(total=_.value.sum()))
    totals.save(stored.load().group_by("person_id").agg(total=_.value.max()))
    assert max(total for _person, total in rows(totals.load())) == 199
    stored.save(events(stored, rows=100))
    totals.save(stored.load().group_by("person_id").agg(total=_.value.max()))
    assert max(total for _person, total in rows(totals.load())) == 99


def test_rows_are_digested_once_and_not_where_the_file_is_named_by_them(dataset, monkeypatch):
    stored, totals = dataset("events"), dataset("totals")
    stored.save(events(stored))
    digest, digested = DuckDB.digest_of, []
    monkeypatch.setattr(
        DuckDB, "digest_of", lambda *table: digested.append(table) or digest(*table)
    )
    total = stored.load().group_by("person_id").agg(total=_.value.sum())
    totals.save(total)
    assert len(digested) == 4
    dataset("others").save(stored.load().group_by("person_id").agg(total=_.value.max()))
    dataset("twice").save(totals.load().mutate(total=_.total * 2))
    assert len(digested) == 4


def test_a_save_leaves_no_file_that_the_manifest_does_not_list(dataset, tmp_path):
    stored = dataset("events")
    for count in (200, 100):
        stored.save(events(stored, rows=count))
    listed = {name for names in manifest(tmp_path / "events")["files"] for name in names}
    assert files(tmp_path / "events") == listed


def test_a_table_without_rows_keeps_its_columns(dataset):
    stored, derived = dataset("events"), dataset("derived")
    stored.save(events(stored, rows=0))
    derived.save(stored.load().mutate(twice=_.value * 2))
    assert derived.load().schema() == ibis.schema(
        {"person_id": "int64", "value": "float64", "twice": "float64"}
    )
    assert rows(derived.load()) == []


def test_raw_tables_joined_with_stored_ones_are_evaluated_once(dataset):
    stored, kept = dataset("events"), dataset("kept", from_raw=True)
    stored.save(events(stored))
    raw = stored.connection.sql("SELECT range AS patient FROM range(20)")
    known = stored.load()
    kept.save(raw.anti_join(known, raw.patient == known.person_id).rename(person_id="patient"))
    assert rows(kept.load()) == [(0,)]


def test_what_looks_at_several_persons_is_refused_and_nothing_is_written(dataset, tmp_path, caplog):
    caplog.set_level("INFO")
    stored = dataset("events")
    stored.save(ibis.memtable({"person_id": [1, 2, 3], "value": [5, 5, 6]}))
    total = stored.load().group_by("value").agg(person_id=_.person_id.max())
    with pytest.raises(DatasetError, match=r"an aggregate of events looks .*`from_raw: true`"):
        dataset("totals").save(total)
    assert not (tmp_path / "totals").exists()
    dataset("totals", from_raw=True).save(total)
    assert rows(dataset("totals").load()) == [(5, 2), (6, 3)]
    assert any(text.startswith("totals: 2 rows in") for text in caplog.messages)
