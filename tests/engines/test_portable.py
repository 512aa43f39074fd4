"""What is written once for all engines."""

from datetime import datetime

import ibis
import pyarrow as pa

from clm_ler.engines.portable import small_table, sum_int64, trim, upper
from tests.engines import both_engines

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


@both_engines
def test_what_is_trimmed_is_the_same_on_every_engine(backend, as_table):
    texts = [" \t a b\r\n", "fever \n", "vomiting", "", None]
    table = as_table(list(enumerate(texts)), {"n": "int64", "text": "string"})
    found = table.select("n", text=trim(table.text)).order_by("n").to_pyarrow()["text"].to_pylist()
    assert found == ["a b", "fever", "vomiting", "", None]


@both_engines
def test_a_sum_of_whole_numbers_is_written_as_one(backend, as_table):
    table = as_table([(1,), (2,), (None,)], {"n": "int64"})
    found = table.agg(total=sum_int64(table.n)).to_pyarrow()["total"]
    assert found.type == pa.int64()
    assert found.to_pylist() == [3]


@both_engines
def test_upper_case_is_that_of_ascii(backend, as_table):
    texts = [
        "e11.9",
        "straße",
        "\N{LATIN SMALL LIGATURE FI}x",
        "i\N{LATIN SMALL LETTER DOTLESS I}",
        None,
    ]
    table = as_table(list(enumerate(texts)), {"n": "int64", "text": "string"})
    found = table.select("n", text=upper(table.text)).order_by("n").to_pyarrow()["text"].to_pylist()
    expected = [
        "E11.9",
        "STRAßE",
        "\N{LATIN SMALL LIGATURE FI}X",
        "I\N{LATIN SMALL LETTER DOTLESS I}",
    ]
    assert found == [*expected, None]
