import gzip

import pandas as pd
import pyarrow as pa
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.rrf import RRFDataset
from tests.engines import both_engines

FILES = {
    "MRFILES.RRF": "FIL,DES,FMT,CLS,RWS,BTS",
    "MRCONSO.RRF": "CUI,SAB,CODE,STR",
}
# What releases hold: quotes, apostrophes and backslashes that mean nothing, an unclosed quote,
# empty fields, other alphabets, other line separators inside a name, the word NULL, a hash sign.
AWKWARD = [
    ("C0000001", "SNOMEDCT_US", "1", 'Finding of the "5 o\'clock" kind, 3/4"'),
    ("C0000002", "MSH", "2", '"unclosed'),
    ("C0000003", "LNC", "3", "back\\slash\\"),
    ("C0000004", "MTH", "NOCODE", None),
    ("C0000005", "MSHRUS", "5", "Ожирение\N{NO-BREAK SPACE}\N{NEXT LINE}\N{LINE SEPARATOR}x"),
    ("C0000006", "NCI", "NULL", "NA, #comment"),
    (None, "NCI", "7", "  spaces  "),
]


@pytest.fixture
def entry(backend, tmp_path):
    """A dataset of the folder by file name, on the engine at hand."""

    class Entry(RRFDataset):
        connection = backend

    def make(name, folder="umls", **options):
        return Entry(filepath=str(tmp_path / folder / name), **options)

    listing = pa.table(
        {
            name: [{"FIL": file, "FMT": columns}.get(name) for file, columns in FILES.items()]
            for name in FILES["MRFILES.RRF"].split(",")
        }
    )
    make("MRFILES.RRF").save(listing)
    return make


def rows_of(table, backend):
    return [tuple(row.values()) for row in backend.to_pyarrow(table).to_pylist()]


def in_order(rows):
    return sorted(rows, key=lambda row: row[2])


@pytest.fixture
def awkward():
    columns = zip(*AWKWARD, strict=True)
    return pa.table(dict(zip(FILES["MRCONSO.RRF"].split(","), map(list, columns), strict=True)))


@both_engines
@pytest.mark.parametrize("name", ["MRCONSO.RRF", "MRCONSO.RRF.gz"])
def test_awkward_lines_come_back_as_they_were(entry, backend, awkward, name):
    dataset = entry(name)
    dataset.save(awkward)
    assert dataset.exists()
    assert in_order(rows_of(dataset.load(), backend)) == in_order(AWKWARD)


@both_engines
def test_lines_end_in_a_pipe_and_nothing_is_quoted(entry, awkward, tmp_path):
    entry("MRCONSO.RRF").save(awkward)
    text = (tmp_path / "umls/MRCONSO.RRF").read_bytes().decode()
    assert text == "".join(f"{'|'.join(v or '' for v in row)}|\n" for row in AWKWARD)


@both_engines
def test_only_wanted_columns_in_the_wanted_order(entry, backend, awkward):
    entry("MRCONSO.RRF").save(awkward)
    table = entry("MRCONSO.RRF", columns=["CODE", "CUI"]).load()
    assert table.columns == ("CODE", "CUI")
    assert set(rows_of(table, backend)) == {(row[2], row[0]) for row in AWKWARD}


@both_engines
def test_windows_line_ends_and_no_end_of_the_last_line(entry, backend, tmp_path):
    (tmp_path / "umls/MRCONSO.RRF").write_bytes(b'C1|A|1|"x|\r\nC2|B|2||\r\nC3|C|3|y|')
    rows = rows_of(entry("MRCONSO.RRF").load(), backend)
    assert rows == [("C1", "A", "1", '"x'), ("C2", "B", "2", None), ("C3", "C", "3", "y")]


@both_engines
def test_the_gzip_copy_is_read_where_only_that_is_there(entry, backend, tmp_path):
    with gzip.open(tmp_path / "umls/MRCONSO.RRF.gz", "wb") as stream:
        stream.write(b"C1|A|1|x|\n")
    dataset = entry("MRCONSO.RRF")
    assert dataset.exists()
    assert rows_of(dataset.load(), backend) == [("C1", "A", "1", "x")]


@both_engines
def test_an_empty_file_is_an_empty_table(entry, backend, awkward):
    entry("MRCONSO.RRF").save(awkward.slice(0, 0))
    assert rows_of(entry("MRCONSO.RRF").load(), backend) == []


def test_a_file_that_is_not_there(entry):
    """Of a release that is not there, or that was made without it."""
    for folder in ("none", "umls"):
        assert not entry("MRCONSO.RRF", folder=folder).exists()
    with pytest.raises(DatasetError, match=r"neither .*MRFILES\.RRF"):
        entry("MRCONSO.RRF", folder="none").load()
    with pytest.raises(DatasetError, match=r"neither .*MRCONSO\.RRF"):
        entry("MRCONSO.RRF", columns=["CUI"]).load()


@both_engines
def test_unknown_files_and_columns_are_named(entry, awkward):
    entry("MRCONSO.RRF").save(awkward)
    with pytest.raises(DatasetError, match=r"no column \['LAT'\]"):
        entry("MRCONSO.RRF", columns=["CUI", "LAT"]).load()
    entry("MRDEF.RRF").save(awkward)
    with pytest.raises(DatasetError, match=r"does not list MRDEF\.RRF"):
        entry("MRDEF.RRF").load()


@both_engines
@pytest.mark.parametrize("value", ["a|b", "a\nb", "a\rb"])
def test_a_value_that_would_break_the_line_is_refused_and_nothing_is_written(
    entry, awkward, tmp_path, value
):
    entry("MRCONSO.RRF").save(awkward)
    before = (tmp_path / "umls/MRCONSO.RRF").read_bytes()
    broken = pd.DataFrame({"CUI": ["C1", "C2"], "SAB": ["A", value]})
    with pytest.raises(DatasetError, match="1 values of SAB hold a pipe or a line end") as error:
        entry("MRCONSO.RRF").save(broken)
    assert value not in str(error.value)
    assert (tmp_path / "umls/MRCONSO.RRF").read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "umls").iterdir()) == ["MRCONSO.RRF", "MRFILES.RRF"]
