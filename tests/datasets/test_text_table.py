import gzip

import pytest
from kedro.io import AbstractDataset, DatasetError

from clm_ler.config import ConfigLoader
from clm_ler.engines import engine_of
from clm_ler.tables.sources import TableSource, select
from tests.engines import both_engines

# What engines that guess make other values of: days, decimals, sexes, words, long ids.
HARD = (
    "pid,day,icd,sex,said\n12345678901234567890,03/04/2019,250.00,F,yes\n007,05/06/2019,0010,F,no\n"
)
VALUES = [tuple(line.split(",")) for line in sorted(HARD.splitlines()[1:])]
# Its header has more commas, in quotes, than separators.
EXCEL = '\ufeff"pid";"day, of a, visit, here";"icd";sex;said\n' + "".join(
    f"{';'.join(row)}\n" for row in VALUES
)
FILES = {
    "day.csv": HARD.encode(),
    "day.csv.gz": gzip.compress(HARD.encode()),
    "semicolons.csv": HARD.replace(",", ";").encode(),
    "excel.csv": EXCEL.replace("\n", "\r\n").encode(),
}


@pytest.fixture
def entry(tmp_path):
    """The dataset that an entry of a catalog, written as the documentation says, becomes."""

    def entry(name, backend="duckdb", **more):
        written = {"type": "ibis.FileDataset", "filepath": str(tmp_path / name)}
        written |= {"file_format": "csv", "connection": {"backend": backend}, **more}
        (tmp_path / "conf" / "base").mkdir(parents=True, exist_ok=True)
        catalog = tmp_path / "conf" / "base" / "catalog.yml"
        nested = {"type": "clm_ler.datasets.tables.TablesDataset", "tables": {"one": written}}
        catalog.write_text(str({"diagnosis": nested}))
        loader = ConfigLoader(str(tmp_path / "conf"), base_env="base", default_run_env="base")
        return AbstractDataset.from_config("one", loader["catalog"]["diagnosis"]["tables"]["one"])

    return entry


def rows_of(table):
    return sorted(tuple(row.values()) for row in table.to_pyarrow().to_pylist())


@both_engines
@pytest.mark.parametrize("name", FILES)
def test_no_type_is_guessed(name, entry, tmp_path, backend):
    (tmp_path / name).write_bytes(FILES[name])
    assert rows_of(entry(name, backend.name).load()) == VALUES


@pytest.mark.parametrize(
    ("pattern", "days"), [("MM/dd/yyyy", ["03-04", "05-06"]), ("dd/MM/yyyy", ["04-03", "06-05"])]
)
def test_the_pattern_of_a_date_decides_on_day_and_month(pattern, days, entry, tmp_path):
    (tmp_path / "day.csv").write_text(HARD)
    source = TableSource(select_expr=(f"to_timestamp(day, '{pattern}') AS date",))
    rows = select(entry("day.csv").load(), source, {"date": "time"}, "diagnosis")
    assert [f"2019-{day}" for day in days] == sorted(
        str(time.date()) for (time,) in rows_of(rows.select("time"))
    )


@both_engines
def test_a_folder_or_a_pattern_of_files_is_one_table(entry, tmp_path, backend):
    header, one, two = HARD.splitlines()
    (tmp_path / "days").mkdir()
    for name, line in {"a.csv": one, "b.csv": two}.items():
        (tmp_path / "days" / name).write_text(f"{header}\n{line}\n")
    (tmp_path / "days" / "_SUCCESS").touch()
    for place in ("days", "days/*.csv"):
        assert rows_of(entry(place, backend.name).load()) == VALUES


def test_what_a_user_says_comes_first(entry, tmp_path):
    (tmp_path / "day.csv").write_bytes("made by hand\nid~größe\n1~x, y\nNA~z\n".encode("latin-1"))
    given = {"sep": "~", "encoding": "latin-1", "skip": 1, "nullstr": "NA"}
    table = entry("day.csv", load_args=given, table_name="mine").load()
    assert (table.columns, table.get_name()) == (("id", "größe"), "mine")
    assert sorted(table.id.to_pyarrow().to_pylist(), key=str) == ["1", None]


@pytest.mark.parametrize("chosen", [{"types": {"n": "BIGINT"}}, {"all_varchar": False}])
def test_who_chooses_types_gets_them(entry, tmp_path, chosen):
    (tmp_path / "n.csv").write_text("n,text\n1,a\n")
    kinds = entry("n.csv", load_args=chosen).load().schema()
    assert (str(kinds["n"]), str(kinds["text"])) == ("int64", "string")


def test_a_table_without_rows(entry, tmp_path):
    (tmp_path / "none.csv").write_text("pid,day\n")
    table = entry("none.csv").load()
    assert (table.columns, rows_of(table)) == (("pid", "day"), [])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"There is no file .*days"),
        ({"a.csv": b""}, r"a\.csv is empty: not even a header"),
        ({"a.csv": b"id,code\n1,x\n2,secret,z\n"}, r"a\.csv, line 3: it has 3 fields, and the header 2"),
        ({"a.csv": b'id,code\n1,"x\ny"\n2,"secret\n' + 60_000 * b"3,z\n"}, r"a\.csv, line 4: a quote that is opened there is not closed"),
        ({"a.csv": b"id,code\n1,secret\n", "b.csv": b"id;code\n2;y\n"}, r"b\.csv is separated by ';', .*a\.csv by ','"),
        ({"a.csv": b"sep=;\nid;code\n1;secret\n"}, r"a\.csv begins with 'sep=;', as Excel writes it: remove"),
        ({"a.csv": "id,code".encode("utf-16")}, r"a\.csv is no UTF-8"),
        ({"a.csv.GZ": gzip.compress(b"id\n1\n")}, r"a\.csv\.GZ: .* rename it"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_named(files, message, entry, tmp_path):
    (tmp_path / "days").mkdir()
    for name, data in files.items():
        (tmp_path / "days" / name).write_bytes(data)
    dataset = entry("days")
    engine_of(dataset.connection).configure("1GB", 1, str(tmp_path))
    with pytest.raises(DatasetError, match=message) as error:
        dataset.load()
    assert "secret" not in str(error.value)


def test_text_in_place_of_parquet_needs_a_word_in_the_catalog(entry, tmp_path):
    (tmp_path / "day.csv").write_text(HARD)
    dataset = entry("day.csv", file_format="parquet")
    engine_of(dataset.connection).configure("1GB", 1, str(tmp_path))
    with pytest.raises(
        DatasetError, match=r"day\.csv: .* add file_format: csv to its catalog entry"
    ):
        dataset.load()
