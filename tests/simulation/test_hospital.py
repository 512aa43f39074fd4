import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from clm_ler.simulation import hospital
from clm_ler.simulation.options import CohortOptions

OPTIONS = CohortOptions(persons=600, chunk_persons=300, years=12)
TABLES = {
    "patient": hospital.patient_table,
    "diagnosis": hospital.diagnosis_table,
    "prescription": hospital.prescription_table,
    "procedure": hospital.procedure_table,
    "lab": hospital.lab_table,
}


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return {name: table(OPTIONS, 1, 0) for name, table in TABLES.items()}


def share(mask: pa.ChunkedArray) -> float:
    return pc.mean(pc.cast(pc.fill_null(mask, False), "float64")).as_py()


def matching(column: pa.ChunkedArray, pattern: str) -> float:
    return share(pc.match_substring_regex(column, pattern))


def test_tables_have_the_columns_of_an_extract(tables):
    assert {name: table.column_names for name, table in tables.items()} == {
        "patient": [
            "person_id",
            "birth_datetime",
            "gender_source_value",
            "race_source_value",
            "ethnicity_source_value",
            "location_state",
        ],
        "diagnosis": ["person_id", "condition_start_datetime", "condition_source_value"],
        "prescription": ["person_id", "drug_exposure_start_datetime", "drug_source_value"],
        "procedure": ["person_id", "procedure_datetime", "procedure_source_value"],
        "lab": [
            "person_id",
            "measurement_datetime",
            "measurement_source_value",
            "value_source_value",
            "unit_source_value",
        ],
    }
    for table in tables.values():
        assert table.schema.field("person_id").type == pa.int64()
        assert all(table.schema.field(name).type == pa.string() for name in table.column_names[1:])


@pytest.mark.parametrize("name", TABLES)
def test_same_seed_gives_the_same_chunk_and_another_seed_another(tables, name):
    assert TABLES[name](OPTIONS, 1, 0).equals(tables[name])
    assert not TABLES[name](OPTIONS, 2, 0).equals(tables[name])


@pytest.mark.parametrize("name", TABLES)
def test_a_chunk_does_not_depend_on_how_many_follow(tables, name):
    more = OPTIONS.model_copy(update={"persons": 5000})
    assert TABLES[name](more, 1, 0).equals(tables[name])


def test_persons_of_the_chunks_are_distinct_and_not_contiguous():
    first, second = (hospital.patient_table(OPTIONS, 1, chunk)["person_id"] for chunk in (0, 1))
    ids = np.concatenate([first, second])
    assert len(np.unique(ids)) == len(ids) == OPTIONS.persons
    assert (np.diff(ids) > 0).all()
    assert (np.diff(ids) > 1).any()


def test_the_last_chunk_holds_the_rest():
    options = OPTIONS.model_copy(update={"persons": 301})
    assert hospital.patient_table(options, 1, 1).num_rows == 1


def test_every_event_belongs_to_a_patient(tables):
    patients = set(tables["patient"]["person_id"].to_pylist())
    for name in ("diagnosis", "prescription", "procedure", "lab"):
        assert set(tables[name]["person_id"].to_pylist()) <= patients


def test_times_are_written_as_text_to_the_second(tables):
    pattern = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"
    for table in tables.values():
        assert matching(table[1], pattern) == 1.0


def test_icd9_gives_way_to_icd10_in_october_2015(tables):
    time, code = tables["diagnosis"][1], tables["diagnosis"][2]
    plausible = pc.and_(pc.greater(time, "2010"), pc.less(time, "2026"))
    # A week either side: a time that is a fault keeps the coding of its true day.
    old = pc.and_(plausible, pc.less(time, "2015-09-24"))
    new = pc.and_(plausible, pc.greater(time, "2015-10-08"))
    assert matching(code.filter(old), "^ICD-9-CM ") > 0.99
    assert matching(code.filter(new), "^ICD-10-CM ") > 0.99


def test_diagnoses_come_with_and_without_dots(tables):
    code = tables["diagnosis"]["condition_source_value"]
    assert matching(code, r"^ICD-10-CM [A-Z]\d\d\.") > 0.3
    assert 0.005 < matching(code, r"^ICD-10-CM [A-Z]\d\d[0-9A-Z]+$") < 0.3


def test_package_codes_come_in_several_forms(tables):
    code = tables["prescription"]["drug_source_value"]
    assert matching(code, r"^RxNorm_drug:\d+$") > 0.3
    assert matching(code, r"^NDC:\d{5}-\d{4}-\d{2}$") > 0.1
    assert matching(code, r"^NDC:\d{11}$") > 0.1


def test_procedures_are_cpt_and_hcpcs(tables):
    code = tables["procedure"]["procedure_source_value"]
    assert matching(code, r"^(CPT4 [0-9A-Z]{5}|HCPCS [A-Z]\d{4})$") == 1.0
    assert matching(code, "^HCPCS") > 0.01


def test_labs_have_several_units_missing_ones_and_words(tables):
    lab = tables["lab"]
    units = {
        code: set(lab.filter(pc.equal(lab["measurement_source_value"], code))[4].to_pylist())
        for code in ("LOINC 2345-7", "LOINC 2823-3", "LOINC 6690-2")
    }
    assert {"mg/dL", "mmol/L", "MG/DL", None} <= units["LOINC 2345-7"]
    assert {"mmol/L", "mEq/L", None} <= units["LOINC 2823-3"]
    assert {"10*3/uL", "K/uL", "x10E3/uL"} <= units["LOINC 6690-2"]
    assert 0.001 < 1 - matching(lab["value_source_value"], r"^-?\d+(\.\d+)?$") < 0.03


def test_a_value_is_right_in_each_of_its_units(tables):
    lab = tables["lab"].to_pandas()
    glucose = lab[lab.measurement_source_value == "LOINC 2345-7"]
    number = glucose.value_source_value.str.fullmatch(r"\d+(\.\d+)?")
    glucose = glucose[number].assign(value=lambda frame: frame.value_source_value.astype(float))
    median = glucose.groupby("unit_source_value").value.median()
    assert median["mg/dL"] / median["mmol/L"] == pytest.approx(18, rel=0.1)


def test_some_rows_are_there_twice_and_some_times_are_absurd(tables):
    rows = {"twice": 0, "placeholder": 0, "unborn": 0}
    birth = dict(zip(*(tables["patient"][i].to_pylist() for i in (0, 1)), strict=True))
    for name in ("diagnosis", "prescription", "procedure", "lab"):
        table = tables[name].to_pandas()
        time = table.iloc[:, 1]
        rows["twice"] += int(table.duplicated().sum())
        rows["placeholder"] += int(time.str[:4].isin(["1800", "1900", "2300"]).sum())
        rows["unborn"] += int((time < table.person_id.map(birth)).sum())
    assert all(rows.values())


def test_some_persons_have_hardly_any_history(tables):
    days = tables["diagnosis"].to_pandas()
    seen = days.groupby("person_id").condition_start_datetime.agg(
        lambda times: times.str[:10].nunique()
    )
    absent = 1 - len(seen) / tables["patient"].num_rows
    assert absent + (seen <= 2).mean() > 0.02
