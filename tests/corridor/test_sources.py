"""Several tables for one kind, and tables to look things up in."""

from datetime import datetime

import pytest

from clm_ler.corridor import nodes
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.corridor.selection import select_rows
from tests.engines import both_engines
from tests.pipelines.preprocess.site import handed_over, rows

LAB = [
    "pid AS person_id",
    "day AS date",
    "system AS lx_lab_code_type",
    "loinc AS lx_lab_code",
    "result AS lx_result_val",
    "unit AS lx_result_unit",
]
TABLES = {
    "lab": {
        "labevents": {"select_expr": ["'LOINC' AS system", *LAB], "lookups": {"d_items": "item"}},
        "chartevents": {
            "select_expr": ["'LOCAL' AS system", "item AS loinc", "'1' AS unit", *LAB],
            "filter_expr": "item <> 9",
        },
    }
}
DAY = datetime(2020, 1, 1)


def tables(as_table, items=((1, "2345-7"), (2, "718-7")), kind="int32"):
    return {
        "labevents": as_table(
            [(7, DAY, 1, "90", "mg/dL"), (7, DAY, 3, "5", "mg/dL")],
            {
                "pid": "int64",
                "day": "timestamp",
                "item": "int64",
                "result": "string",
                "unit": "string",
            },
        ),
        "chartevents": as_table(
            [(7, "2020-01-02", 5, 80.5), (7, "2020-01-02", 9, 1.0)],
            {"pid": "int64", "day": "string", "item": "int32", "result": "float64"},
        ),
        "d_items": as_table(items, {"item": kind, "loinc": "string"}),
    }


def screened(as_table, given, described=TABLES):
    options = PreprocessOptions(tables=described)
    births = handed_over(as_table([(7, None)], {"person_id": "int64", "birth_date": "date"}))
    rows = handed_over(select_rows(given, options, "lab"))
    return nodes.screen_lab_events(rows, births, options)


@both_engines
@pytest.mark.parametrize("kind", ["int32", "string", "float64"])
def test_labs_of_two_tables_and_a_lookup(as_table, kind):
    items = [(str(n) if kind == "string" else n, code) for n, code in ((1, "2345-7"), (2, "718-7"))]
    found = screened(as_table, tables(as_table, items, kind))
    kept = rows(found.filter(found.reason.isnull()), "system", "code", "value", "unit")
    assert kept == [("LOCAL", "5", 80.5, "1"), ("LOINC", "2345-7", 90.0, "mg/dL")]
    assert found.count().to_pyarrow().as_py() == 4


@both_engines
def test_one_of_several_tables_may_say_when_its_results_were_known(as_table):
    sources = TABLES["lab"] | {
        "labevents": {
            "select_expr": ["'LOINC' AS system", "'2020-01-05' AS available_date", *LAB],
            "lookups": {"d_items": "item"},
        }
    }
    found = screened(as_table, tables(as_table), {"lab": sources})
    kept = found.filter(found.reason.isnull())
    days = {name: kept[name].cast("string").substr(0, 10) for name in ("time", "happened")}
    assert rows(kept.select("code", **days), "code", "time", "happened") == [
        ("2345-7", "2020-01-05", "2020-01-01"),
        ("5", "2020-01-02", None),
    ]


def test_without_patients_nobody_is_known():
    with pytest.raises(ValueError, match=r"^preprocess.tables does not list `patient`"):
        select_rows(None, PreprocessOptions(tables=TABLES), "patient")


def test_a_lookup_that_would_multiply_rows_is_refused(as_table):
    twice = ((1, "2345-7"), (1, "718-7"))
    with pytest.raises(ValueError, match="labevents: 1 values of 'item' are in several rows of d_"):
        screened(as_table, tables(as_table, twice))


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("chartevents", "lab: chartevents is not in the catalog entry 'lab'"),
        ("d_items", "labevents: lookups name 'd_items', and there are labevents"),
    ],
)
def test_a_table_that_is_not_there_is_named(as_table, gone, message):
    given = {name: table for name, table in tables(as_table).items() if name != gone}
    with pytest.raises(ValueError, match=message):
        screened(as_table, given)


def test_ids_may_be_numbers_in_one_table_and_texts_in_another(as_table):
    names = ("diagnosis", "procedure")
    columns = {"diagnosis": "dx_diagnosis_code", "procedure": "pr_procedure_code"}
    select = {
        name: ["person_id", "date", f"'CPT' AS {code}_type", f"code AS {code}"]
        for name, code in columns.items()
    }
    options = PreprocessOptions(tables={name: {"select_expr": select[name]} for name in names})
    kinds = {"diagnosis": (7, "int64"), "procedure": ("7", "string")}
    births = handed_over(as_table([(7, None)], {"person_id": "int64", "birth_date": "date"}))
    selected = []
    for name in ("diagnosis", "prescription", "procedure"):
        number, kind = kinds.get(name, (None, None))
        table = kind and as_table(
            [(number, DAY, "1")], {"person_id": kind, "date": "timestamp", "code": "string"}
        )
        selected.append(handed_over(select_rows(table, options, name)))
    found = nodes.screen_coded_events(births, options, *selected)
    assert rows(found, "person_id", "code") == [(7, "1"), (7, "1")]
