import ibis
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset

from clm_ler import cli, doctor
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.doctor import LOOK, OK, WRONG
from tests.end_to_end.conftest import ROOT
from tests.pipelines.preprocess.site import options as site_options

SECRET = "a-value-of-a-patient"
PERSONS = ibis.duckdb.connect().create_table(
    "patient",
    ibis.memtable({"pid": [SECRET], "born": ["1950-01-01"], "sex": ["F"], "note_nr": [1]}),
)
SELECTED = ["pid AS person_id", "born AS px_birth_date"]


def options(*selected: str) -> PreprocessOptions:
    return site_options(tables={"patient": {"select_expr": list(selected)}})


def tables_found(table, *selected, made=()):
    catalog = DataCatalog({"patient": MemoryDataset(table, copy_mode="assign")})
    return list(doctor.check_tables(catalog, options(*selected), made))


def test_a_table_that_can_be_read_as_selected_is_ok():
    (found,) = tables_found(PERSONS, *SELECTED)
    assert found == (OK, "patient", "found, and the columns that are selected are there")


def test_a_wrong_selection_is_told_with_what_the_columns_look_like_and_no_value():
    (found,) = tables_found(PERSONS, "person AS person_id", SELECTED[1])
    assert found.level == WRONG
    assert found.text == (
        "there is no column 'person' in the table. It has pid (an id), born (a date), sex, note_nr: "
        "set preprocess.tables.patient.select_expr"
    )
    assert SECRET not in found.text


def test_a_table_of_which_nothing_is_asked_for_is_told_with_its_columns():
    (found,) = tables_found(PERSONS, "person AS person_id", "birth AS px_birth_date")
    assert "Does its file begin with a header? It has pid (an id), born (a date)" in found.text


@pytest.mark.parametrize("row", [(SECRET, "1950-01-01", "f"), ("Mueller, Anna", "female")])
def test_the_first_row_of_a_file_without_a_header_is_not_told(row):
    table = ibis.memtable({value: ["x"] for value in row})
    table = ibis.duckdb.connect().create_table("patient", table)
    (found,) = tables_found(table, *SELECTED)
    assert found.level == WRONG and "begin with a header?" in found.text
    assert not any(value in found.text for value in row if len(value) > 1)


def test_a_table_that_is_not_there_is_wrong_unless_the_run_makes_it():
    catalog = DataCatalog({"patient": MemoryDataset()})
    (found,) = doctor.check_tables(catalog, options(*SELECTED), ())
    assert found.level == WRONG
    (found,) = tables_found(None, *SELECTED)
    assert found.level == WRONG and "nobody is known without it" in found.text
    (found,) = tables_found(None, *SELECTED, made=("patient",))
    assert found.level == OK


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"mrn": "string", "dx_dt": "timestamp"}, "mrn (an id), dx_dt (a date)"),
        (
            {"concept_id": "int64", "unit_source": "string"},
            "concept_id (a code), unit_source (a unit)",
        ),
        ({"result_val": "string", "ward": "string"}, "result_val (a value), ward"),
        (
            {"PatNr": "string", "GebDat": "string", "Einheit": "string", "Station": "string"},
            "PatNr (an id), GebDat (a date), Einheit (a unit), Station",
        ),
    ],
)
def test_columns_are_told_by_what_they_look_like(columns, told):
    assert doctor.describe_columns(ibis.table(columns, name="t")) == told


def test_a_limit_above_the_machine_is_looked_at():
    assert doctor.check_memory("4GB", 8e9).level == OK
    assert doctor.check_memory("7.5GB", 8e9).level == LOOK
    assert doctor.check_memory("900MB", 1e9).level == LOOK


@pytest.mark.parametrize("storage", ["notes.txt", "notes.txt/below"])
def test_a_storage_that_is_a_file_is_wrong(storage, tmp_path):
    (tmp_path / "notes.txt").touch()
    found = doctor.check_storage(storage, tmp_path)
    assert found.level == WRONG and "notes.txt is a file" in found.text


def test_a_storage_that_cannot_be_written_is_wrong(tmp_path, monkeypatch):
    assert doctor.check_storage("data", tmp_path).level in (OK, LOOK)
    monkeypatch.setattr(doctor.os, "access", lambda place, mode: False)
    found = doctor.check_storage("data", tmp_path)
    assert found.level == WRONG and "--params=storage=DIR" in found.text


def test_packages_that_do_not_fit_are_named(monkeypatch):
    assert [found.level for found in doctor.check_packages()] == [OK]
    versions = {"kedro": "0.19.0", "torch": None}
    installed = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda name: versions.get(name, installed(name)))
    old, missing = sorted(found.text for found in doctor.check_packages())
    assert old.startswith("kedro is 0.19.0, kedro[pydantic]") and "torch is missing" in missing


@pytest.mark.slow
def test_a_wrong_configuration_is_one_line_and_exit_code_1(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    bootstrap_project(ROOT)
    done = CliRunner().invoke(cli.cli, ["doctor", f"--params=storage={tmp_path},sed=1"])
    assert done.exit_code == 1
    (line,) = done.output.splitlines()
    assert line.startswith("wrong configuration: --params: nothing here reads 'sed'")
