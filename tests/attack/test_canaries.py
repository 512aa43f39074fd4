"""What one person alone has is in nothing that leaves the storage, and in no line of the log."""

import datetime
import json
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clm_ler.tables.labels import LabelOptions, select_labels
from tests.end_to_end.conftest import ROOT

PERSONS, CANARY = 40, "CANARY"
CATALOG = """
{name}:
  type: ibis.FileDataset
  filepath: {folder}/{name}.parquet
  connection: ${{globals:connection}}
"""
PARAMETERS = """
preprocess:
  tables:
    patient: {select_expr: [pid AS person_id, born AS px_birth_date, sex AS px_gender, race AS px_race,
                            folk AS px_ethnicity, region AS px_region]}
    diagnosis: {select_expr: [pid AS person_id, day AS date, system AS dx_diagnosis_code_type,
                              code AS dx_diagnosis_code]}
    lab: {select_expr: [pid AS person_id, day AS date, system AS lx_lab_code_type, code AS lx_lab_code,
                        value AS lx_result_val, unit AS lx_result_unit]}
  number_of_days_threshold: 0
  min_history_size: 1
  min_loinc_counts: 1
  min_loinc_value_counts: 1
  percentile_count: 4
  results: {text_min_persons: 1}
split: {train_ratio: 0.8, validation_ratio: 0.1, test_ratio: 0.1}
"""


def planted(number):
    """The tables' rows of one person; the last one has a canary in every column that takes a text."""
    last = number == PERSONS
    odd = (lambda text: f"{CANARY}{text}") if last else (lambda text: text)
    day = datetime.date(2020, 1, 1 + number % 20)
    patient = {"pid": odd(f"p{number}"), "born": "1950-01-01", "sex": odd("F"), "race": odd("A")}
    patient |= {"folk": odd("B"), "region": odd("North")}
    event = {"pid": odd(f"p{number}"), "day": day}
    codes = [
        event | {"system": s, "code": c} for s, c in [("ICD10CM", "I10"), (odd("X"), odd("Z"))]
    ]
    labs = [
        event | {"system": s, "code": c, "value": v, "unit": u}
        for s, c, v, u in [
            ("LOINC", "2345-7", str(90 + number), "mg/dL"),
            (odd("LOCAL"), odd("L1"), str(number), odd("mg")),
            ("LOINC", "2345-7", odd("GOOD"), "mg/dL"),
        ]
    ]
    return patient, codes, labs


@pytest.fixture
def own(tmp_path):
    """A configuration with these tables."""
    rows = [planted(number) for number in range(1, PERSONS + 1)]
    tables = {
        "patient": [patient for patient, _codes, _labs in rows],
        "diagnosis": [code for _patient, codes, _labs in rows for code in codes],
        "lab": [lab for _patient, _codes, labs in rows for lab in labs],
    }
    mine = tmp_path / "conf" / "mine"
    mine.mkdir(parents=True)
    (tmp_path / "conf" / "base").symlink_to(ROOT / "conf" / "base")
    for name, table in tables.items():
        pq.write_table(pa.Table.from_pylist(table), tmp_path / f"{name}.parquet")
    texts = (CATALOG.format(name=name, folder=tmp_path) for name in tables)
    (mine / "catalog.yml").write_text("".join(texts))
    (mine / "parameters.yml").write_text(PARAMETERS)
    (mine / "globals.yml").write_text("chain: [split, preprocess, vocab]\n")
    return tmp_path / "conf"


@pytest.mark.slow
def test_nothing_of_a_single_person_is_shared(own, kedro_run, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    storage = tmp_path / "data"
    catalog = kedro_run(storage, None, "mine", conf_source=own, vocab={"min_persons": 10})
    assert CANARY in str(catalog.load("sequences").to_pyarrow().to_pylist())  # it is in the storage
    assert catalog.load("encoded_sequences").num_rows == PERSONS
    shared = [*(storage / "04_feature" / "tokenizer").iterdir(), *storage.glob("08_*/*.json")]
    assert len(shared) > 3
    assert [path.name for path in shared if CANARY in path.read_text()] == []
    assert "ICD10CM:I10" in json.dumps(catalog.load("tokenizer").get_vocab())
    assert CANARY not in caplog.text


@pytest.mark.slow
def test_what_cannot_be_read_stops_without_a_value(own, kedro_run, tmp_path, caplog, as_table):
    """A label that is no number, a file that is cut."""
    kinds = dict.fromkeys(("person_id", "prediction_time", "label", "task"), "string")
    labels = as_table([("p1", None, CANARY, "t")], kinds)
    with pytest.raises(ValueError, match="1 rows have a label that is no whole number") as raised:
        select_labels(labels, LabelOptions())
    assert CANARY not in str(raised.value)
    broken = tmp_path / "lab.parquet"
    broken.write_bytes(broken.read_bytes()[:-9])
    with pytest.raises(Exception) as raised:
        kedro_run(tmp_path / "data", None, "mine", conf_source=own)
    assert CANARY not in str(raised.value) + caplog.text
