import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from clm_ler.datasets.omop_vocabulary import VocabularyDataset
from tests.engines import both_engines

# A quote that is never closed, a quoted name, an empty field.
ROWS = [
    ("45769351", '6" nail', "ICD10CM", "J45.901", None),
    ("317009", '"Asthma"', "SNOMED", "195967001", "S"),
    ("8507", "MALE", "Gender", "M", "S"),
]
NAMES = ["concept_id", "concept_name", "vocabulary_id", "concept_code", "standard_concept"]


@pytest.fixture
def entry(backend, tmp_path):
    """The table `concept` in a folder of this kind: as Athena delivers it, or of a CDM."""

    class Entry(VocabularyDataset):
        connection = backend

    def make(folder, columns=NAMES, **options):
        return Entry(folder=str(tmp_path / folder), table="concept", columns=columns, **options)

    lines = [NAMES, *ROWS]
    text = "".join("\t".join(value or "" for value in line) + "\n" for line in lines)
    (tmp_path / "athena").mkdir()
    (tmp_path / "athena/CONCEPT.csv").write_text(text)
    typed = pa.table(
        {
            "CONCEPT_ID": [int(row[0]) for row in ROWS],
            **{name: [row[n] for row in ROWS] for n, name in enumerate(NAMES) if n},
        }
    )
    (tmp_path / "cdm").mkdir()
    pq.write_table(typed, tmp_path / "cdm/concept.parquet")
    return make


def rows_of(table):
    return sorted(tuple(row.values()) for row in table.to_pyarrow().to_pylist())


@both_engines
@pytest.mark.parametrize("folder", ["athena", "cdm"])
def test_text_as_athena_delivers_it_and_tables_of_a_cdm_give_the_same(entry, folder):
    table = entry(folder).load()
    assert table.columns == tuple(NAMES)
    assert rows_of(table) == sorted(ROWS)


def test_only_wanted_columns(entry):
    table = entry("athena", columns=["concept_code", "concept_id"]).load()
    assert rows_of(table) == sorted((row[3], row[0]) for row in ROWS)


def test_a_vocabulary_that_is_not_there(entry):
    table = entry("none", columns=["concept_id"], optional=True).load()
    assert table.columns == ("concept_id",)
    assert rows_of(table) == []
    with pytest.raises(
        DatasetError, match=r"no table 'concept' in .*none: neither concept\.parquet"
    ):
        entry("none").load()


def test_what_is_wrong_is_named(entry):
    with pytest.raises(DatasetError, match=r"table concept has no column domain_id"):
        entry("athena", columns=["domain_id"]).load()
    with pytest.raises(DatasetError, match="read only"):
        entry("athena").save(pa.table({"concept_id": ["1"]}))
