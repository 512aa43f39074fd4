from pathlib import Path

import ibis
import pyarrow as pa
import pytest
from ibis import _

from clm_ler.engines import engine_of
from clm_ler.engines.duckdb import DuckDB
from clm_ler.engines.errors import EngineError
from clm_ler.storage import evaluate
from clm_ler.storage.buckets import BucketFolder, stored_tables
from clm_ler.storage.evaluate import evaluate_by_bucket, partition
from clm_ler.storage.worker import CopyParquet
from tests.engines import both_engines

PERSONS = [3, 1, None, 2, 3, None, 4]


@pytest.fixture
def events(backend, as_table):
    return as_table(list(enumerate(PERSONS)), {"time": "int64", "person_id": "int64"})


@pytest.fixture
def folder(tmp_path):
    return BucketFolder(str(tmp_path / "deep" / "table"))


def rows(table):
    return sorted(table.to_pyarrow().to_pylist(), key=lambda row: row["time"])


@both_engines
@pytest.mark.parametrize("buckets", [1, 4])
def test_a_whole_table_is_parted_by_person_and_nobody_is_lost(
    events, backend, folder, buckets, monkeypatch
):
    engine = engine_of(backend)
    monkeypatch.setattr(type(engine), "bucket_count", lambda *_arguments: buckets)
    files = partition(events, engine, folder, "person_id", ["person_id", "time"])
    folder.publish(files)
    assert len(files) == buckets
    assert rows(folder.stored().open(engine)) == rows(events)
    persons = [
        set(
            engine.read_parquet([folder.address(f"{folder.path}/{name}") for name in part])
            .person_id.to_pyarrow()
            .to_pylist()
        )
        for part in files
        if part
    ]
    assert sum(map(len, persons)) == len(set(PERSONS))
    assert None in persons[0]


@both_engines
def test_a_table_without_rows_has_columns(events, backend, folder, monkeypatch):
    engine = engine_of(backend)
    monkeypatch.setattr(type(engine), "bucket_count", lambda *_arguments: 4)
    folder.publish(partition(events.filter(_.time < 0), engine, folder, "person_id", []))
    table = folder.stored().open(engine)
    assert rows(table) == []
    assert table.schema() == events.schema()


@pytest.fixture
def evaluated(backend, events, folder, tmp_path, monkeypatch):
    """Evaluate an expression of the stored events bucket by bucket; the files it has, and wrote."""
    engine = engine_of(backend)
    source = BucketFolder(str(tmp_path / "events"))
    monkeypatch.setattr(DuckDB, "bucket_count", lambda *_arguments: 4)
    source.publish(partition(events, engine, source, "person_id", []))

    def run(make):
        written = []

        def write(connection, sql, path):
            written.append(path)
            CopyParquet("FORMAT parquet")(connection, sql, path)

        data = make(source.stored().open(engine))
        files = evaluate_by_bucket(data, stored_tables(data), engine, folder, ".parquet", write)
        folder.publish(files)
        return files, len(written)

    return run


def test_a_file_that_was_cut_is_written_again(evaluated, folder):
    def next_day(table):
        return table.mutate(n=_.time + 1)

    files, _written = evaluated(next_day)
    paths = [Path(folder.path, file) for (file,) in files]
    whole = {path: path.read_bytes() for path in paths}
    cut = paths[0]
    cut.write_bytes(whole[cut][:-20])
    assert evaluated(next_day) == (files, 1)
    assert cut.read_bytes() == whole[cut]


def test_a_bucket_is_kept_if_rows_and_expression_are_the_same(evaluated):
    files, written = evaluated(lambda table: table.mutate(n=_.time + 1))
    assert written == 4
    assert evaluated(lambda table: table.mutate(n=_.time + 1)) == (files, 0)
    others, written = evaluated(lambda table: table.mutate(n=_.time + 2))
    assert written == 4
    assert not {name for part in files for name in part} & {
        name for part in others for name in part
    }


def test_other_rows_of_a_table_that_is_read_whole_make_other_files(evaluated):
    def joined(values):
        small = ibis.memtable(pa.table({"time": [0, 1], "value": values}))
        return lambda table: table.join(small, "time")

    files, _written = evaluated(joined([1, 2]))
    assert evaluated(joined([1, 2])) == (files, 0)
    assert evaluated(joined([1, 3]))[1] == 4


def test_sql_text_is_part_of_what_is_read_whole(evaluated, backend):
    def joined(number):
        return lambda table: table.join(backend.sql(f"SELECT {number} AS time"), "time")

    files, _written = evaluated(joined(1))
    assert evaluated(joined(1)) == (files, 0)
    assert evaluated(joined(2))[1] == 4


def test_another_version_makes_other_files(evaluated, monkeypatch):
    evaluated(lambda table: table)
    monkeypatch.setattr(evaluate, "VERSION", evaluate.VERSION + 1)
    assert evaluated(lambda table: table)[1] == 4


def test_a_bucket_that_cannot_be_written_is_told_as_other_errors_are(evaluated, monkeypatch):
    def nowhere(self, connection, sql, path):
        connection.execute(f"COPY ({sql}) TO '{path}/nowhere/x' (FORMAT parquet)")

    monkeypatch.setattr(CopyParquet, "__call__", nowhere)
    with pytest.raises(EngineError, match="IO Error"):
        evaluated(lambda table: table)


def test_a_value_that_no_file_can_hold_is_not_quoted(evaluated, monkeypatch):
    def narrow(self, connection, sql, path):
        pa.array([300]).cast("uint8")

    monkeypatch.setattr(CopyParquet, "__call__", narrow)
    with pytest.raises(EngineError) as raised:
        evaluated(lambda table: table)
    assert "300" not in str(raised.value)


def test_what_a_killed_run_half_wrote_is_written_anew(evaluated, monkeypatch):
    class Killed(BaseException):
        pass

    def half(self, connection, sql, path):
        with open(path, "wb") as stream:
            stream.write(b"half")
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(CopyParquet, "__call__", half)
        with pytest.raises(Killed):
            evaluated(lambda table: table)
    assert evaluated(lambda table: table)[1] == 4
