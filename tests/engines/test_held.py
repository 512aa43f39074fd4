"""What an engine keeps for a table goes with who holds the table."""

import gc

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clm_ler.engines import engine_of
from tests.engines import both_engines

pytestmark = both_engines


@pytest.fixture
def engine(backend, tmp_path):
    engine = engine_of(backend)
    engine.configure("1GB", 1, str(tmp_path))
    return engine


@pytest.fixture
def stored(engine, tmp_path):
    """A stored table of one row, known by its name."""

    def read(name, number):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"n": [number]}), path)
        return engine.hold(engine.read_parquet([str(path)], name), [f"VIEW {name}"])

    return read


def numbers(table):
    return table.to_pyarrow()["n"].to_pylist()


def test_views_that_nobody_holds_are_dropped_with_the_next(engine, stored):
    first = stored("first", 1)
    twice = first.mutate(n=first.n * 2)
    for number in range(3):
        stored(f"gone_{number}", number)
        gc.collect()
    del first
    gc.collect()
    last = stored("last", 4)
    names = set(engine.backend.list_tables())
    assert names >= {"first", "last"} and not any(name.startswith("gone") for name in names)
    assert numbers(twice) == [2] and numbers(last) == [4]


def test_what_a_table_knows_by_name_only_is_held_with_it(engine, stored):
    small = ibis.memtable({"n": [1]})
    engine.backend.create_view("over", small)
    over = engine.hold(engine.backend.sql("SELECT n FROM over"), ["VIEW over"], [small])
    memtable = small.op().name
    del small
    gc.collect()
    stored("next", 2)
    assert numbers(over) == [1]
    del over
    gc.collect()
    for name in ("third", "fourth"):  # what the first lets go of, the second drops
        stored(name, 3)
        gc.collect()
    assert not {"over", memtable} & set(engine.backend.list_tables())


def test_a_table_of_python_that_is_equal_to_one_that_is_gone_stays(engine, stored):
    first = ibis.memtable({"n": [1]})
    engine.backend.execute(first)
    again = first.op().copy().to_expr()
    del first
    gc.collect()
    engine.backend.execute(again)
    stored("next", 2)
    assert engine.backend.execute(again)["n"].tolist() == [1]
