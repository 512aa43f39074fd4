"""A user's own tables: an environment with a catalog file and parameters, nothing else."""

import shutil
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.framework.session import KedroSession
from kedro.io import DatasetError

from tests.end_to_end.conftest import ROOT

CATALOG = """
patient:
  type: ibis.FileDataset
  filepath: {folder}/patient.parquet
  connection: ${{globals:connection}}
diagnosis:
  type: ibis.FileDataset
  filepath: {folder}/diagnosis.csv
  file_format: csv
lab:
  type: ibis.FileDataset
  filepath: {folder}/lab.parquet
"""
GLOBALS = "storage: {folder}/derived\nchain: [split, preprocess]\n"
PARAMETERS = """
preprocess:
  tables:
    patient:
      select_expr: [pid AS person_id, born AS px_birth_date, sex AS px_gender]
    diagnosis:
      select_expr:
        - pid AS person_id
        - CAST(day AS TIMESTAMP) AS date
        - "'ICD10CM' AS dx_diagnosis_code_type"
        - icd AS code
        - upper(code) AS dx_diagnosis_code
      filter_expr: dx_diagnosis_code <> 'Z00.0'
    lab:
      select_expr:
        - pid AS person_id
        - day AS date
        - "'LOINC' AS lx_lab_code_type"
        - "'2345-7' AS lx_lab_code"
        - CAST(value AS STRING) AS lx_result_val
        - unit AS lx_result_unit
  number_of_days_threshold: 0
  min_history_size: 1
  min_loinc_counts: 1
  min_loinc_value_counts: 1
  percentile_count: 4
  fit_on: all
  max_loss: {read: 0.5, lab_tokens: 0.9}
"""


@pytest.fixture
def own(tmp_path):
    """A configuration with an environment `mine` over three tables of two persons."""
    conf = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", conf, ignore=shutil.ignore_patterns("local"))
    (conf / "local").mkdir()
    mine = conf / "mine"
    mine.mkdir()
    (mine / "catalog.yml").write_text(CATALOG.format(folder=tmp_path))
    (mine / "globals.yml").write_text(GLOBALS.format(folder=tmp_path))
    (mine / "parameters_preprocess.yml").write_text(PARAMETERS)
    start = datetime(2020, 1, 1)
    patient = {"pid": [1, 2], "born": [datetime(1980, 1, 1)] * 2, "sex": ["F", "M"]}
    pq.write_table(pa.table(patient), tmp_path / "patient.parquet")
    (tmp_path / "diagnosis.csv").write_text(
        "pid,day,icd\n1,2020-01-01,e11.9\n1,2020-01-05,z00.0\n2,2020-02-01,i10\n"
    )
    lab = {
        "pid": [1, 1, 2, 2],
        "day": [start + timedelta(days=day) for day in (0, 1, 2, 3)],
        "value": [90.0, 100.0, 110.0, 120.0],
        "unit": ["mg/dL"] * 4,
    }
    pq.write_table(pa.table(lab), tmp_path / "lab.parquet")
    return conf


def test_a_plain_run_turns_them_into_sequences(own, kedro_run):
    catalog = kedro_run(None, None, "mine", conf_source=own)
    rows = catalog.load("sequences").to_pyarrow().to_pylist()
    tokens = {row["person_id"]: row["sorted_event_tokens"] for row in rows}
    assert tokens == {
        1: ["AGE:40", "GENDER:F", "ICD10CM:E11.9", "LOINC:2345-7:25-50", "LOINC:2345-7:50-75"],
        2: ["AGE:40", "GENDER:M", "LOINC:2345-7:75-100", "LOINC:2345-7:75-100", "ICD10CM:I10"],
    }


def test_persons_may_have_any_id(own, kedro_run, tmp_path):
    """Text in every table: the same sequences, and the ids come back with splits and labels."""
    names = {1: "a-1", 2: "b-2"}
    for name in ("patient", "lab"):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        ids = pa.array([names[pid] for pid in table["pid"].to_pylist()])
        pq.write_table(table.set_column(0, "pid", ids), tmp_path / f"{name}.parquet")
    diagnosis = tmp_path / "diagnosis.csv"
    text = diagnosis.read_text()
    diagnosis.write_text(text.replace("\n1,", "\na-1,").replace("\n2,", "\nb-2,"))
    catalog = kedro_run(None, None, "mine", conf_source=own)
    splits = catalog.load("person_splits").to_pyarrow().to_pylist()
    own_ids = {row["person_id"]: row["own_id"] for row in splits}
    assert sorted(own_ids.values()) == ["a-1", "b-2"]
    listed = catalog.load("person_ids").to_pyarrow().to_pylist()
    assert {row["person_id"]: row["own_id"] for row in listed} == own_ids
    rows = catalog.load("sequences").to_pyarrow().to_pylist()
    tokens = {own_ids[row["person_id"]]: row["sorted_event_tokens"] for row in rows}
    assert tokens["a-1"][2:] == ["ICD10CM:E11.9", "LOINC:2345-7:25-50", "LOINC:2345-7:50-75"]
    assert tokens["b-2"][-1] == "ICD10CM:I10"


def test_simulated_tables_that_they_do_not_list_are_not_read(own, kedro_run, tmp_path):
    """`procedure` of the base configuration lies in the same storage."""
    procedures = tmp_path / "derived" / "01_raw" / "procedure"
    procedures.mkdir(parents=True)
    simulated = {"person_id": [1], "procedure_datetime": ["2020-01-01 00:00:00"]}
    simulated |= {"procedure_source_value": ["CPT4 83036"]}
    pq.write_table(pa.table(simulated), procedures / "part-000000.parquet")
    (procedures / "_SUCCESS").touch()
    catalog = kedro_run(None, None, "mine", conf_source=own)
    counts = catalog.load("raw_row_counts").to_pyarrow().to_pylist()
    assert {row["table"] for row in counts} == {"patient", "diagnosis", "lab"}


def test_a_listed_table_that_is_not_there_is_named(own, kedro_run, tmp_path):
    mine = own / "mine" / "catalog.yml"
    mine.write_text(mine.read_text().partition("lab:")[0])
    with pytest.raises(ValueError, match=r"lab is listed in preprocess.tables, and there is noth"):
        kedro_run(None, None, "mine", conf_source=own)


def test_a_process_for_each_node_needs_what_is_kept_in_between(own, kedro_run):
    def run(params, **part):
        project = {"env": "mine", "conf_source": str(own), "runtime_params": params}
        with KedroSession.create(ROOT, **project) as session:
            session.run(pipeline_names=["split", "preprocess"], **part)
            return session.load_context().catalog

    named = ["named_coded_events", "named_lab_events", "counted_patient_rows"]
    run({}, to_outputs=[*named, "person_splits"])
    with pytest.raises(DatasetError, match=r"there only in the run .*keep_intermediate=true"):
        run({}, from_inputs=named)
    run({"keep_intermediate": True}, to_outputs=named)
    catalog = run({"keep_intermediate": True}, from_inputs=named)
    assert catalog.load("sequences").count().execute() == 2


def test_the_simulated_hospital_does_not_touch_them(own, kedro_run, tmp_path):
    before = (tmp_path / "patient.parquet").read_bytes()
    with pytest.raises(RuntimeError, match="would overwrite diagnosis, lab, patient"):
        kedro_run(None, ["cohort"], "mine", conf_source=own)
    assert (tmp_path / "patient.parquet").read_bytes() == before
