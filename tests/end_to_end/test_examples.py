"""The examples in `conf/examples` as a reader takes them: the folder as it is, the files with other places."""

import gzip
import json
from datetime import datetime

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from clm_ler import cli
from tests.end_to_end.conftest import ROOT
from tests.end_to_end.test_doors import CDM
from tests.end_to_end.test_fhir import EXPORT

EXAMPLES = ROOT / "conf" / "examples"
LAX = {"min_loinc_counts": 1, "min_loinc_value_counts": 1, "min_history_size": 1, "fit_on": "all"}


@pytest.fixture
def tables(tmp_path):
    """What the example of own tables describes: two persons, each with something of every kind."""
    keys = ["a-1", "b-2"]
    folder = tmp_path / "tables"
    folder.mkdir()
    patient = {"patient_key": keys, "dob": ["1980-05-05"] * 2, "sex": ["F", "M"]}
    diagnosis = {"patient_key": [*keys, "a-1"], "day": ["03.02.2020"] * 3}
    diagnosis["icd"] = ["E119", "I10", "internal"]
    drugs = {"patient_key": keys, "started": ["2020-02-04"] * 2, "drug": ["RXNORM:197361"] * 2}
    labs = {"patient_key": keys * 2, "taken": ["2021-03-01"] * 4, "loinc": ["2345-7"] * 4}
    labs |= {"result": ["90", "100", "110", "120"], "unit": ["mg/dL"] * 4}
    pa.csv.write_csv(pa.table(diagnosis), folder / "diagnosis.csv")
    for name, columns in (("patient", patient), ("prescription", drugs), ("lab", labs)):
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def test_own_tables_become_sequences(kedro_run, tables, tmp_path):
    catalog = kedro_run(
        tmp_path / "out",
        ["split", "preprocess"],
        "examples/own_tables",
        tables=str(tables),
        preprocess=LAX,
    )
    rows = catalog.load("sequences").to_pyarrow().to_pylist()
    ids = {
        row["person_id"]: row["own_id"]
        for row in catalog.load("person_ids").to_pyarrow().to_pylist()
    }
    tokens = {ids[row["person_id"]]: row["sorted_event_tokens"] for row in rows}
    assert tokens["a-1"][:4] == ["AGE:39", "GENDER:F", "ICD10CM:E11.9", "RXNORM:197361"]
    assert {token.rpartition(":")[0] for token in tokens["b-2"][4:]} == {"LOINC:2345-7"}


def write_omop(folder):
    for name, text in CDM.items():
        data = text.encode()
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def write_meds(folder):
    (folder / "data" / "train").mkdir(parents=True)
    born = {"subject_id": [1], "time": [datetime(1980, 5, 5)], "code": ["MEDS_BIRTH"]}
    numbers = {"numeric_value": pa.array([None], pa.float32())}
    pq.write_table(pa.table(born | numbers), folder / "data" / "train" / "0.parquet")


def write_fhir(folder):
    for kind, resources in EXPORT.items():
        lines = [json.dumps({"resourceType": kind} | one) + "\n" for one in resources]
        (folder / f"{kind}.ndjson").write_text("".join(lines))


@pytest.mark.parametrize(
    ("name", "write", "pipelines"),
    [
        ("omop", write_omop, "split"),
        ("meds", write_meds, "split"),
        ("fhir", write_fhir, "fhir_read,split"),
    ],
)
def test_a_file_of_a_run_is_run(name, write, pipelines, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (EXAMPLES / f"{name}.yml").read_text()
    root = next(line.split()[1] for line in text.splitlines() if "_root: /somewhere" in line)
    (tmp_path / root.removeprefix("/somewhere/")).mkdir()
    write(tmp_path / root.removeprefix("/somewhere/"))
    mine = tmp_path / "mine.yml"
    mine.write_text(text.replace("/somewhere", str(tmp_path)))
    done = CliRunner().invoke(cli.run, [f"--config={mine}", f"--pipelines={pipelines}"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "derived" / "03_primary" / "person_splits").is_dir()
