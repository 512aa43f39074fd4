import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.folder_query import FolderQueryDataset
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


def test_a_wrong_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match="no table 'person'"):
        load(tmp_path / "nowhere")


def test_a_query_over_nothing_but_absent_tables_gives_nothing(folder):
    query = "SELECT death.person_id FROM death"
    assert FolderQueryDataset(folder=str(folder), query=query, optional=["death"]).load() is None


def test_nothing_is_written(folder):
    dataset = FolderQueryDataset(folder=str(folder), query=QUERY)
    with pytest.raises(DatasetError, match="read only"):
        dataset.save(pa.table({"person_id": [1]}))
