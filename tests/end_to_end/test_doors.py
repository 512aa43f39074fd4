"""Databases made elsewhere, through the environments that read them."""

import gzip
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

EVERYTHING = {
    "number_of_days_threshold": 0,
    "min_history_size": 1,
    "min_loinc_counts": 1,
    "min_loinc_value_counts": 1,
    "fit_on": "all",
    "results": {"text_min_persons": 1},
}


@pytest.fixture
def through(kedro_run, tmp_path):
    """Run split and preprocess in an environment: the sequence of each person, the losses."""

    def run(env, **params):
        params |= {"preprocess": EVERYTHING}
        catalog = kedro_run(tmp_path / "out", ["split", "preprocess"], env, **params)
        rows = catalog.load("sequences").to_pyarrow().to_pylist()
        losses = catalog.load("loss_ledger").to_pyarrow().to_pylist()
        found = {row["person_id"]: row for row in rows}
        return found, sorted((row["table"], row["reason"], row["rows"]) for row in losses)

    return run


CDM = {
    "person.csv": """\
person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,birth_datetime,\
race_concept_id,ethnicity_concept_id,location_id,gender_source_value,race_source_value,\
ethnicity_source_value
1,8532,1980,5,5,1980-05-05 00:00:00,8527,0,7,f,w,not
2,0,1990,0,30,,0,0,,male,,
""",
    "LOCATION.csv": "location_id,state\n7,NJ\n",
    "death.csv": "person_id,death_date\n2,2020-02-01\n",
    "concept.csv": """\
concept_id\tconcept_name\tvocabulary_id\tconcept_code
8532\tFEMALE\tGender\tF
8527\tWhite\tRace\t5
11\tAsthma "of any kind"\tICD10CM\tJ45.901
12\tAsthma\tSNOMED\t195967001
13\tlisinopril\tRxNorm\t314076
14\tGlucose\tLOINC\t2345-7
15\tmillimole per litre\tUCUM\tmmol/L
16\tPhysical\tCPT4\t99213
17\tNitrite\tLOINC\t5802-4
18\tPositive\tMeas Value\tPOS
9202\tOutpatient Visit\tVisit\tOP
""",
    "condition_occurrence.csv": """\
person_id,condition_concept_id,condition_start_date,condition_start_datetime,\
condition_source_concept_id
1,12,2020-01-01,2020-01-01 10:00:00,11
1,12,2020-03-01,,2000000001
2,0,2020-03-01,,0
""",
    "drug_exposure.csv.gz": """\
person_id,drug_concept_id,drug_exposure_start_date,drug_source_concept_id
1,13,2020-01-02,0
""",
    "measurement.csv": """\
person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id,\
unit_source_value,measurement_source_concept_id,value_as_concept_id,value_source_value
1,14,2020-01-03,90,0,MG/DL,0,0,
1,14,2020-01-04,5.5,15,whatever,0,0,
1,16,2020-01-04,nan,0,,16,0,
1,14,2020-01-05,91,0,,0,0,
2,14,2020-01-03,95,0,mg/dL,14,0,
1,17,2020-01-06,,0,,0,18,pos
2,17,2020-01-06,,0,,0,0,Detected
2,17,2020-01-07,,0,,0,0,see comment
""",
    "visit_occurrence.csv": """\
person_id,visit_concept_id,visit_start_date
2,9202,2020-01-03
""",
}


@pytest.fixture(scope="module")
def cdm(tmp_path_factory):
    root = tmp_path_factory.mktemp("cdm")
    for name, text in CDM.items():
        data = text.encode()
        (root / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return root


def test_an_omop_cdm_becomes_sequences(cdm, through):
    found, ledger = through("omop", cdm_root=str(cdm))
    assert found[1]["sorted_event_tokens"] == [
        "AGE:39",
        "ETHNICITY:not",
        "GENDER:F",
        "RACE:White",
        "REGION:NJ",
        "ICD10CM:J45.901",
        "RXNORM:314076",
        "LOINC:2345-7:0-10",
        "CPT:99213",
        "LOINC:2345-7:90-100",
        "LOINC:5802-4:POSITIVE",
        "SNOMED:195967001",
    ]
    assert found[1]["date"][5] == datetime(2020, 1, 1, 10)
    assert found[2]["sorted_event_tokens"] == [
        "AGE:30",
        "GENDER:male",
        "LOINC:2345-7:40-50",
        "Visit:OP",
        "LOINC:5802-4:POSITIVE",
        "OMOP:DEATH",
    ]
    assert ledger == [
        ("diagnosis", "no code", 1),
        ("lab", "no unit", 1),
        ("lab", "not a number", 1),
    ]


def test_an_omop_cdm_may_give_standard_concepts(cdm, through):
    found, _ = through("omop", cdm_root=str(cdm), codes="standard")
    assert "ICD10CM:J45.901" not in found[1]["sorted_event_tokens"]
    assert found[1]["sorted_event_tokens"].count("SNOMED:195967001") == 2


def test_tables_of_a_cdm_may_be_left_out(cdm, through):
    found, _ = through("omop", cdm_root=str(cdm), omop_tables=["condition_occurrence"])
    assert found[1]["sorted_event_tokens"][5:] == ["ICD10CM:J45.901", "SNOMED:195967001"]
    assert list(found) == [1]


def test_a_meds_dataset_becomes_sequences(through, tmp_path):
    noon = datetime(2020, 1, 2, 12)
    rows = [
        (1, None, "GENDER//F", None, None),
        (1, None, "Race/5", None, None),
        (1, datetime(1970, 5, 5, 3), "MEDS_BIRTH", None, None),
        (1, noon, "ICD10CM//J45901", None, None),
        (1, noon, "LOINC/2345-7", 90.0, "mg/dL"),
        (1, noon, "LAB//50912//mg/dL", 1.25, None),
        (1, noon, "HR", 80.0, None),
        (1, None, "INSURANCE//Medicare", None, None),
        (1, noon, "DIAGNOSIS//ICD//9//4939", None, None),
        (1, noon, "LAB//LOINC//718-7", 13.0, "g/dL"),
        (1, datetime(2021, 1, 2), "MEDS_DEATH", None, None),
    ]
    columns = ("subject_id", "time", "code", "numeric_value", "unit")
    shard = tmp_path / "meds" / "data" / "train" / "0.parquet"
    shard.parent.mkdir(parents=True)
    table = pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))
    pq.write_table(table, shard)
    splits = tmp_path / "meds" / "metadata" / "subject_splits.parquet"
    splits.parent.mkdir()
    pq.write_table(pa.table({"subject_id": [1], "split": ["held_out"]}), splits)
    found, ledger = through("meds", meds_root=str(tmp_path / "meds"))
    assert found[1]["sorted_event_tokens"] == [
        "AGE:49",
        "GENDER:F",
        "RACE:5",
        "ICD10CM:J45.901",
        "ICD9CM:493.9",
        "INSURANCE:MEDICARE",
        "LAB:50912:90-100",
        "LOINC:2345-7:90-100",
        "LOINC:718-7:90-100",
        "MEDS:HR:90-100",
        "MEDS:MEDS_DEATH",
    ]
    assert found[1]["split"] == "test"
    assert ledger == []


def test_only_what_looks_like_a_unit_is_taken_from_a_lab_code_of_meds(through, meds):
    noon = datetime(2020, 1, 2)
    root = meds(
        [
            (noon, "VITAL//BP//systolic", 120.0, None, "mmHg"),
            (noon, "VITAL//BP//diastolic", 80.0, None, "mmHg"),
            (noon, "VITALS//PERIODIC//HR_(BPM)", 70.0, None, None),
            (noon, "LAB//1//SERUM//mg/dL", 1.0, None, None),
            (noon, "LAB//2//Odd Unit", 1.0, None, "odd unit"),
            (noon, "HR//min", 50.0, None, None),
            (noon, "HR//max", 90.0, None, None),
            (noon, "LAB//6//%HbO2", 90.0, None, None),
            (noon, "LAB//3//", 1.0, None, None),
            (noon, "LAB//4// ", 1.0, None, None),
            (noon, "LAB//5// mmol ", 1.0, None, None),
            (noon, "LAB//LOINC//2345-7//x", 1.0, None, "mg/dL"),
            (noon, "LAB//LOINC//718-7//blood//g/dL", 13.0, None, None),
        ]
    )
    found, _ledger = through("meds", meds_root=root)
    tokens = {token.rsplit(":", 1)[0] for token in found[1]["sorted_event_tokens"]}
    assert tokens == {
        *("VITAL:BP//SYSTOLIC", "VITAL:BP//DIASTOLIC", "VITALS:PERIODIC//HR_(BPM)"),
        *(
            "LAB:1//SERUM",
            "LAB:2",
            "LAB:3",
            "LAB:4",
            "LAB:5",
            "LAB:6",
            "LOINC:2345-7",
            "LOINC:718-7",
        ),
        *("HR:MIN", "HR:MAX"),
    }


@pytest.fixture
def meds(tmp_path):
    """Write rows of a person's events as a MEDS dataset, and return its folder."""

    def write(rows, number="float64"):
        columns = ("time", "code", "numeric_value", "text_value", "unit")
        table = pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))
        values = pa.array([row[2] for row in rows], pa.type_for_alias(number))
        table = table.set_column(2, "numeric_value", values)
        table = table.append_column("subject_id", pa.array([1] * len(rows)))
        shard = tmp_path / "meds" / "data" / "0.parquet"
        shard.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, shard)
        return str(tmp_path / "meds")

    return write


def test_what_meds_fills_in_for_nothing_is_nothing(meds, through):
    noon = datetime(2020, 1, 2, 12)
    rows = [
        (None, "GENDER//F", None, None, None),
        (noon, "ICD10CM//I10", float("nan"), None, None),
        (noon, "SNOMED//1", None, " ", None),
        (noon, "HR", float("inf"), None, None),
        (noon, "DIAGNOSIS//ICD//UNK//x", None, None, None),
        (noon, "LAB//1//UNK", 1.0, None, "UNK"),
        (noon, "LAB//2//mg/dL", 2.0, None, ""),
    ]
    found, ledger = through("meds", meds_root=meds(rows))
    assert found[1]["sorted_event_tokens"] == [
        "GENDER:F",
        "ICD10CM:I10",
        "ICD:X",
        "LAB:1:90-100",
        "LAB:2:90-100",
        "MEDS:HR",
        "SNOMED:1",
    ]
    assert ledger == []


def test_a_static_event_is_at_the_first_event_that_is_no_demographic(meds, through):
    born, noon = datetime(1970, 5, 5), datetime(2020, 1, 2, 12)
    rows = [
        (born, "MEDS_BIRTH", None, None, None),
        (born, "GENDER//F", None, None, None),
        (None, "INSURANCE//Medicare", None, None, None),
        (None, "HR", 80.0, None, None),
        (noon, "ICD10CM//I10", None, None, None),
    ]
    found, _ = through("meds", meds_root=meds(rows))
    tokens = dict(zip(found[1]["sorted_event_tokens"], found[1]["date"], strict=True))
    assert {name: tokens[name] for name in ("INSURANCE:MEDICARE", "MEDS:HR:90-100")} == {
        "INSURANCE:MEDICARE": noon,
        "MEDS:HR:90-100": noon,
    }
    assert {"AGE:49", "GENDER:F"} <= {*tokens}


@pytest.mark.parametrize("number", ["float32", "float64"])
def test_single_precision_changes_no_result(number, meds, kedro_run, tmp_path):
    root = meds([(datetime(2020, 1, 2), "LAB//1//g", 7.1, None, None)], number)
    preprocess = {"preprocess": EVERYTHING}
    catalog = kedro_run(
        tmp_path / "out", ["split", "preprocess"], "meds", meds_root=root, **preprocess
    )
    assert catalog.load("lab_events").to_pyarrow()["value"].to_pylist() == [7.1]


@pytest.mark.parametrize("kind", ["int32", "absent"])
def test_a_meds_dataset_of_another_schema(through, tmp_path, kind):
    """Version 0.3 has text_value; the unit of a dataset may be a number, or be absent."""
    columns = {
        "subject_id": pa.array([1, 1, 1, 1]),
        "time": pa.array([None, *[datetime(2020, 1, 2)] * 3], pa.timestamp("us")),
        "code": ["GENDER//F", "HR", "COLOR", "COLOR"],
        "numeric_value": pa.array([None, 80.0, None, None], pa.float32()),
        "text_value": [None, None, "Yellow", "pending"],
    }
    if kind == "int32":
        columns["unit"] = pa.array([None, 7, None, None], pa.int32())
    shard = tmp_path / "meds" / "data" / "0.parquet"
    shard.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), shard)
    found, ledger = through("meds", meds_root=str(tmp_path / "meds"))
    assert found[1]["sorted_event_tokens"] == [
        "GENDER:F",
        "MEDS:COLOR:YELLOW",
        "MEDS:HR:90-100",
    ]
    assert ledger == [("lab", "not a number", 1)]
