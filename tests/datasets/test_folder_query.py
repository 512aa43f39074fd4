import gzip
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.folder_query import FolderQueryDataset
from clm_ler.engines import engine_of
from clm_ler.files.location import dataset_location
from clm_ler.tables.sources import TableSource, select
from tests.engines import both_engines

QUERY = """
SELECT person.person_id, concept.concept_code, person.race, site.state
FROM person
LEFT JOIN concept ON CAST(concept.concept_id AS BIGINT) = CAST(person.gender_concept_id AS BIGINT)
LEFT JOIN site ON site.site_id = person.site_id
"""
PERSONS = 'PERSON_ID,GENDER_CONCEPT_ID\n1,8507\n2,\n"3",8532\n'
CONCEPTS = 'concept_id\tconcept_name\tconcept_code\n8507\t6" male\tM\n8532\tfemale\tF\n'
OPTIONAL = ["site", "person.race", "person.site_id"]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "cdm"
    root.mkdir()
    (root / "PERSON.csv.gz").write_bytes(gzip.compress(PERSONS.encode()))
    (root / "CONCEPT.csv").write_text(CONCEPTS)
    return root


def load(folder, query=QUERY, optional=OPTIONAL, backend="duckdb"):
    dataset = FolderQueryDataset(
        folder=str(folder), query=query, optional=optional, connection={"backend": backend}
    )
    return sorted(dataset.load().to_pyarrow().to_pylist(), key=lambda row: row["person_id"])


def person(person_id, code):
    return {"person_id": person_id, "concept_code": code, "race": None, "state": None}


def test_gzip_of_a_name_that_engines_do_not_know_is_refused(folder):
    (folder / "PERSON.csv.gz").rename(folder / "PERSON.CSV.GZ")
    with pytest.raises(DatasetError, match=r"PERSON.CSV.GZ: .* rename it"):
        load(folder)


@both_engines
def test_text_files_join_and_what_is_optional_may_be_absent(folder, backend):
    rows = load(folder, backend=backend.name)
    assert rows == [person("1", "M"), person("2", None), person("3", "F")]


@both_engines
def test_a_folder_of_parquet_files_is_one_table(folder, backend):
    for shard, ids in {"train/0": [1, 2], "held_out/0": [3]}.items():
        path = folder / "data" / f"{shard}.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"subject_id": ids, "code": ["A//B"] * len(ids)}), path)
    query = "SELECT d.subject_id AS person_id, split(d.code, '//')[1] AS code FROM data AS d"
    rows = load(folder, query, [], backend.name)
    assert rows == [{"person_id": number, "code": "B"} for number in (1, 2, 3)]


@pytest.mark.parametrize(
    "optional, message",
    [
        (["person.race", "person.site_id"], "no table 'site'"),
        (["site", "person.race"], "table person has no column site_id"),
    ],
)
def test_what_is_missing_is_named(folder, optional, message):
    with pytest.raises(DatasetError, match=message):
        load(folder, optional=optional)


def test_one_table_in_two_formats_is_refused(folder):
    (folder / "person.csv").write_text(PERSONS)
    with pytest.raises(DatasetError, match="several formats"):
        load(folder)


def test_a_lookup_that_would_multiply_rows_is_refused(folder):
    lookups = {"concept": "concept_id", "site": "site_id"}
    dataset = partial(FolderQueryDataset, folder=str(folder), query=QUERY, optional=OPTIONAL)
    assert dataset(lookups=lookups).load().count().execute() == 3
    with (folder / "CONCEPT.csv").open("a") as file:
        file.write("8532\tFEMALE\tF\n")
    with pytest.raises(
        DatasetError, match="1 values of 'concept_id' are in several rows of concept"
    ):
        dataset(lookups=lookups).load()


def test_a_wrong_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match="no table 'person'"):
        load(tmp_path / "nowhere")


@both_engines
def test_a_query_over_nothing_but_absent_tables_has_no_rows(folder, backend):
    query = "SELECT death.person_id FROM death"
    assert load(folder, query, ["death"], backend.name) == []


def test_a_table_may_lie_elsewhere_at_any_depth(folder, tmp_path):
    """As MEDS labels do: a folder of a task, in a folder for each split."""
    for split, ids in {"train": [1, 2], "tuning": [3]}.items():
        path = tmp_path / "tasks" / "death" / split / "0.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"subject_id": ids}), path)

    def dataset(place, column="subject_id", scheme=""):
        places = {
            "elsewhere": {"labels": f"{scheme}{tmp_path / place}"},
            "connection": {"backend": "duckdb"},
        }
        query = f"SELECT l.{column} AS person_id FROM labels AS l"
        return FolderQueryDataset(folder=str(folder), query=query, **places)

    assert sorted(dataset("tasks/death").load().execute()["person_id"]) == [1, 2, 3]
    assert sorted(dataset("tasks/death", scheme="file://").load().execute()["person_id"]) == [
        1,
        2,
        3,
    ]
    assert not dataset("nowhere").exists()
    with pytest.raises(DatasetError, match=r"no Parquet or CSV file in .*nowhere"):
        dataset("nowhere").load()
    with pytest.raises(
        DatasetError, match="tasks/death: table labels has no column prediction_time"
    ):
        dataset("tasks/death", "prediction_time").load()


@both_engines
def test_an_absent_table_makes_no_texts_of_numbers(tmp_path, backend):
    pq.write_table(pa.table({"person_id": [7]}), tmp_path / "visit.parquet")
    query = "SELECT visit.person_id FROM visit UNION ALL SELECT death.person_id FROM death"
    assert load(tmp_path, query, ["death"], backend.name) == [{"person_id": 7}]


def test_it_exists_where_one_of_its_tables_does(folder, tmp_path):
    assert FolderQueryDataset(folder=str(folder), query=QUERY).exists()
    assert not FolderQueryDataset(folder=str(tmp_path), query=QUERY).exists()
    assert not FolderQueryDataset(folder=str(tmp_path / "nowhere"), query=QUERY).exists()


# A quote that is never closed, a quoted name, an empty field.
VOCABULARY = [
    ("45769351", '6" nail', "ICD10CM", "J45.901", None),
    ("317009", '"Asthma"', "SNOMED", "195967001", "S"),
    ("8507", "MALE", "Gender", "M", "S"),
]
NAMES = ["concept_id", "concept_name", "vocabulary_id", "concept_code", "standard_concept"]


def load_concepts(folder, columns=NAMES, backend="duckdb"):
    arguments = {"table": "concept", "columns": columns, "connection": {"backend": backend}}
    table = FolderQueryDataset(folder=str(folder), **arguments).load()
    assert table.columns == tuple(columns)
    return sorted(tuple(row.values()) for row in table.to_pyarrow().to_pylist())


@pytest.fixture
def vocabularies(tmp_path):
    """The table ``concept`` as Athena delivers it and in a CDM."""
    folders = tmp_path / "athena", tmp_path / "typed"
    for folder in folders:
        folder.mkdir()
    lines = ["\t".join(value or "" for value in row) for row in (NAMES, *VOCABULARY)]
    (folders[0] / "CONCEPT.csv").write_text("\n".join([*lines, ""]))
    columns = dict(zip(NAMES, map(list, zip(*VOCABULARY, strict=True)), strict=True))
    typed = pa.table({"CONCEPT_ID": list(map(int, columns.pop("concept_id"))), **columns})
    pq.write_table(typed, folders[1] / "concept.parquet")
    return folders


@both_engines
def test_a_vocabulary_as_athena_delivers_it_and_in_a_cdm_is_the_same(vocabularies, backend):
    for folder in vocabularies:
        assert load_concepts(folder, backend=backend.name) == sorted(VOCABULARY)


def test_of_one_table_only_the_wanted_columns_are_read(vocabularies):
    found = load_concepts(vocabularies[0], ["concept_code", "concept_id"])
    assert found == sorted((row[3], row[0]) for row in VOCABULARY)
    with pytest.raises(DatasetError, match=r"table concept has no column domain_id"):
        load_concepts(vocabularies[0], ["domain_id"])


@pytest.mark.parametrize(
    "given", [{}, {"table": "person"}, {"query": QUERY, "table": "person", "columns": ["a"]}]
)
def test_either_a_query_or_a_table_and_its_columns(folder, given):
    with pytest.raises(DatasetError, match="either a query, or a table and its columns"):
        FolderQueryDataset(folder=str(folder), **given)


def test_a_single_table_lies_in_its_folder(vocabularies):
    entry = FolderQueryDataset(folder=str(vocabularies[0]), table="concept", columns=["concept_id"])
    assert dataset_location(entry) == f"{vocabularies[0]}/concept"


def test_nothing_is_written(folder):
    dataset = FolderQueryDataset(folder=str(folder), query=QUERY)
    with pytest.raises(DatasetError, match="read only"):
        dataset.save(pa.table({"person_id": [1]}))


@both_engines
def test_files_of_one_table_may_differ_in_their_columns(tmp_path, backend):
    texts = {"a.csv": "ID,Code\n1,x\n", "b.csv.gz": "code,id,more\ny,2,m\n"}
    (tmp_path / "Visits").mkdir()
    for name, text in texts.items():
        data = text.encode()
        (tmp_path / "Visits" / name).write_bytes(
            gzip.compress(data) if name.endswith("gz") else data
        )
    query = "SELECT v.ID AS person_id, v.CODE AS code FROM VISITS AS v"
    rows = load(tmp_path, query, [], backend.name)
    assert rows == [{"person_id": "1", "code": "x"}, {"person_id": "2", "code": "y"}]


@both_engines
def test_parquet_files_of_one_table_may_differ_in_their_types(tmp_path, backend):
    (tmp_path / "visits").mkdir()
    one, two = pa.table({"id": [1], "code": ["x"]}), pa.table({"code": ["y"], "id": ["b"]})
    for number, table in enumerate((one, two)):
        pq.write_table(table, tmp_path / "visits" / f"{number}.parquet")
    query = "SELECT v.id AS person_id, v.code FROM visits AS v"
    rows = load(tmp_path, query, [], backend.name)
    assert [tuple(row.values()) for row in rows] == [("1", "x"), ("b", "y")]


# What dumps of hospitals have: a mark of the byte order, line ends of Windows, other separators.
DUMPS = {
    "windows": "\ufeffid,code\r\n1,x\r\n2,\r\n",
    "semicolons": "ID;Code\n1;x\n2;\n",
    "bars": '"id"|"code"\n"1"|"x"\n"2"|\n',
    "quoted tabs": '"id"\t"code"\n1\t"x"\n2\t\n',
    "remarks": "id,code\n1,x\n#2,\n",
}


@both_engines
@pytest.mark.parametrize("dump", DUMPS)
def test_text_files_as_hospitals_write_them(tmp_path, backend, dump):
    (tmp_path / "visits.csv").write_bytes(DUMPS[dump].encode())
    query = "SELECT v.id AS person_id, v.code FROM visits AS v"
    rows = sorted(tuple(row.values()) for row in load(tmp_path, query, [], backend.name))
    assert rows == sorted([("1", "x"), ("#2" if dump == "remarks" else "2", None)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"visits\.csv is empty: not even a header"),
        ("id,code".encode("utf-16"), r"visits\.csv is no UTF-8: convert it"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, data, message):
    (tmp_path / "visits.csv").write_bytes(data)
    with pytest.raises(DatasetError, match=message):
        load(tmp_path, "SELECT v.id AS person_id, v.code FROM visits AS v", [])


@both_engines
def test_a_line_with_too_many_fields_is_an_error_without_its_content(tmp_path, backend):
    (tmp_path / "visits.csv").write_text("id,code\n1,x\n2,secret,z\n")
    dataset = FolderQueryDataset(
        folder=str(tmp_path),
        query="SELECT v.id, v.code FROM visits AS v",
        connection={"backend": backend.name},
    )
    engine_of(dataset.connection).configure("1GB", 1, str(tmp_path))
    line = r"visits\.csv, line 3: it has 3 fields, and the header 2"
    with pytest.raises(Exception, match=line if backend.name == "duckdb" else "gave up") as error:
        dataset.load().to_pyarrow()
    assert "secret" not in str(error.value)


@both_engines
def test_local_times_of_a_query_stay_as_they_are(tmp_path, backend):
    (tmp_path / "visits.csv").write_text("id,day\n1,2020-01-01T10:30:00Z\n")
    dataset = FolderQueryDataset(
        folder=str(tmp_path),
        query="SELECT v.id, CAST(v.day AS TIMESTAMP) AS day FROM visits AS v",
        time_zone="Europe/Berlin",
        connection={"backend": backend.name},
    )
    source = TableSource(select_expr=("day AS date",))
    rows = select(dataset.load(), source, {"date": "time"}, "visits", time_zone="Europe/Berlin")
    assert rows.time.cast("string").to_pyarrow().to_pylist() == ["2020-01-01 11:30:00"]


@both_engines
def test_times_with_a_zone_in_some_files_are_local_in_all(tmp_path, backend):
    """DuckDB would take the others for times of UTC, and Spark these for local ones."""
    times = {
        None: datetime(2020, 7, 1, 12),
        "America/New_York": datetime(2020, 7, 1, 10, tzinfo=UTC),
    }
    (tmp_path / "visits").mkdir()
    for number, (zone, time) in enumerate(times.items()):
        table = pa.table({"id": [number], "at": pa.array([time], pa.timestamp("us", zone))})
        pq.write_table(table, tmp_path / "visits" / f"{number}.parquet")
    dataset = FolderQueryDataset(
        folder=str(tmp_path),
        query="SELECT v.id, CAST(v.at AS STRING) AS at FROM visits AS v",
        time_zone="Europe/Berlin",
        connection={"backend": backend.name},
    )
    found = {row["at"] for row in dataset.load().to_pyarrow().to_pylist()}
    assert found == {"2020-07-01 12:00:00"}


@both_engines
def test_tab_separated_files(tmp_path, backend):
    (tmp_path / "visits.tsv.gz").write_bytes(gzip.compress(b"id\tcode\n1\tx\n"))
    query = "SELECT v.id AS person_id, v.code FROM visits AS v"
    assert load(tmp_path, query, [], backend.name) == [{"person_id": "1", "code": "x"}]


@both_engines
def test_dates_in_a_query_mean_what_they_mean_elsewhere(tmp_path, backend):
    (tmp_path / "visits.csv").write_text("id,day\n1,2020-01-01T00:30:00+02:00\n2,2020\n3,x\n")
    dataset = FolderQueryDataset(
        folder=str(tmp_path),
        query="SELECT v.id, CAST(TRY_CAST(v.day AS TIMESTAMP) AS STRING) AS day FROM visits AS v",
        time_zone="Europe/Berlin",
        connection={"backend": backend.name},
    )
    found = {row["id"]: row["day"] for row in dataset.load().to_pyarrow().to_pylist()}
    assert found == {"1": "2019-12-31 23:30:00", "2": "2020-01-01 00:00:00", "3": None}
