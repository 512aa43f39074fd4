"""The tables of the small chain are those of the day on which they were written down.

``golden.json`` has rows and digest of each table whose content depends on no machine: trained numbers
are left out. Where a change is meant to alter a table, write them down again, and say so with the change:

    python -m tests.end_to_end.test_golden STORAGE

where STORAGE is what ``kedro run`` has left with the parameters ``SMALL`` of ``conftest.py``.
"""

import hashlib
import json
import sys
from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pytest

GOLDEN = Path(__file__).with_name("golden.json")
EXPECTED = json.loads(GOLDEN.read_text())


def content(table):
    """Rows, and a digest of them whatever their order."""
    table = table.to_pyarrow() if isinstance(table, ibis.Table) else table
    rows = sorted(map(repr, table.select(sorted(table.column_names)).to_pylist()))
    return [len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_table_is_what_it_was(chain, name):
    assert content(chain.load(name)) == EXPECTED[name]


def read(place):
    if arrow := sorted(map(str, place.rglob("*.arrow"))):
        return pa.concat_tables(pa.ipc.open_file(pa.memory_map(file)).read_all() for file in arrow)
    files = [str(place)] if place.is_file() else sorted(map(str, place.rglob("*.parquet")))
    return duckdb.read_parquet(files, hive_partitioning=False).to_arrow_table()


def write_down(storage):
    stored = {place.name.removesuffix(".parquet"): place for place in storage.glob("0[3-8]_*/*")}
    stored |= {place.name: place for place in storage.glob("02_*/*")}
    places = [stored[name] for name in EXPECTED]
    found = {name: content(read(at)) for name, at in zip(EXPECTED, places, strict=True)}
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    write_down(Path(sys.argv[1]))
