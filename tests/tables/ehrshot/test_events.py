from datetime import date, datetime
from typing import Any

import ibis
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.tables.ehrshot import events as ehrshot

CSV = """,patient_id,start,end,code,value,unit,visit_id,omop_table
0,1,1950-03-01 00:00:00,,SNOMED/3950001,,,,person
1,1,1950-03-01 00:00:00,,Gender/F,,,,person
2,1,1950-03-01 00:00:00,,Race/5,,,,person
3,1,2020-01-02T08:00:00,2020-01-09 10:00:00,Visit/IP,,,7.0,visit_occurrence
4,1,2020-01-02 09:30:00,,LOINC/2345-7,98.6,mg/dL,7.0,measurement
5,1,2020-01-02 09:31:00,,LOINC/5778-6,yellow,,7.0,measurement
6,1,2020-01-03 23:59:00,,RxNorm Extension/OMOP1/2,,,7.0,drug_exposure
7,1,soon,,SNOMED/1,,,,condition_occurrence
8,2,1960-01-01 00:00:00,,SNOMED/3950001,,,,person
9,2,2020-05-05 12:00:00,,LOINC/2345-7,NaN,mg/dL,,measurement
"""


@pytest.fixture
def raw(tmp_path: Any) -> ibis.Table:
    path = tmp_path / "ehrshot.csv"
    path.write_text(CSV)
    return ibis.duckdb.connect().read_csv(str(path), all_varchar=True)


def rows(table: ibis.Table) -> list[tuple]:
    """Sorted rows, missing values as None."""
    frame = table.to_pandas().astype(object)
    found = frame.where(frame.notna(), None).itertuples(index=False, name=None)
    return sorted(found, key=repr)


def test_events_of_the_csv_with_an_index_column(raw: ibis.Table) -> None:
    events = ehrshot.read_events(raw).to_pandas()
    assert len(events) == 10
    assert events["time"].isna().sum() == 1
    assert events.loc[3, "time"] == pd.Timestamp("2020-01-02 08:00")
    assert list(events.loc[6, ["system", "code"]]) == ["RxNorm Extension", "OMOP1/2"]
    assert events.loc[4, "value"] == 98.6
    assert events.loc[5, "text"] == "yellow"
    assert events["value"].notna().sum() == 1
    assert "end" not in events


def test_events_of_the_meds_release_are_the_same(raw: ibis.Table) -> None:
    expected = ehrshot.read_events(raw).filter(ibis._.time.notnull(), ibis._.person_id == 1)
    number = raw.value.try_cast("float64")
    meds = raw.select(
        subject_id=raw.patient_id.cast("int64"),
        time=raw.start.try_cast("timestamp"),
        code="code",
        numeric_value=number.cast("float32"),
        text_value=ibis.ifelse(number.isnull(), raw.value, None),
        unit="unit",
        omop_table="omop_table",
    )
    found = ehrshot.read_events(meds).filter(ibis._.time.notnull(), ibis._.person_id == 1)
    assert rows(found) == rows(expected)


def test_an_empty_text_of_the_meds_release_is_no_result() -> None:
    """The official counts leave out what has a result, and no other event."""
    columns = {"subject_id": [1, 1], "time": [datetime(2020, 1, 2)] * 2}
    columns |= {"code": ["SNOMED/1", "LOINC/5778-6"], "text_value": ["", " yellow "]}
    empty = {"numeric_value": "float32", "unit": "string"}
    meds = ibis.memtable(columns).mutate(**{name: ibis.null(kind) for name, kind in empty.items()})
    events = ehrshot.read_events(meds)
    assert events.order_by("system").text.to_pyarrow().to_pylist() == ["yellow", None]
    none = events.limit(0).select("person_id", "time", token="code")
    counted = ehrshot.count_tokens(events, none).filter(ibis._.official)
    assert counted.token.to_pyarrow().to_pylist() == ["SNOMED/1"]


def test_unknown_columns_are_named() -> None:
    table = ibis.memtable({"patient_id": [1], "start": ["2020-01-01"]})
    with pytest.raises(ValueError, match=r"neither release.*Found: patient_id, start"):
        ehrshot.read_events(table)


def test_columns_that_are_values_of_a_person_are_not() -> None:
    raw = ibis.memtable({"CANARY": ["2"], "2020-01-01": ["x"]})
    with pytest.raises(ValueError, match=r"Does it begin with a header\?$") as raised:
        ehrshot.read_events(raw)
    assert "CANARY" not in str(raised.value)


def test_every_event_is_of_a_person_a_code_or_a_result(raw: ibis.Table) -> None:
    timeline = ehrshot.read_events(raw)
    assert rows(ehrshot.coded_rows(timeline)) == [
        (1, None, "SNOMED", "1"),
        (1, pd.Timestamp("2020-01-02 08:00"), "Visit", "IP"),
        (1, pd.Timestamp("2020-01-02 09:31"), "LOINC", "5778-6"),
        (1, pd.Timestamp("2020-01-03 23:59"), "RxNorm Extension", "OMOP1/2"),
        (2, pd.Timestamp("2020-05-05 12:00"), "LOINC", "2345-7"),
    ]
    assert rows(ehrshot.lab_rows(timeline)) == [
        (1, pd.Timestamp("2020-01-02 09:30"), "LOINC", "2345-7", 98.6, "mg/dL")
    ]
    persons = ehrshot.patient_rows(timeline).to_pandas().set_index("person_id")
    assert pd.Timestamp(persons.loc[1, "birth_date"]).date() == date(1950, 3, 1)
    assert list(persons.loc[1, ["gender", "race"]]) == ["F", "5"]
    assert persons.loc[2, ["gender", "race", "ethnicity", "region"]].isna().all()


def test_demographics_are_those_that_were_known_at_the_first_event() -> None:
    told = [
        ("2020-01-01 00:00:00", "SNOMED/3950001"),
        ("2020-01-02 18:00:00", "Race/5"),  # on the day of the first event, an hour later
        ("2020-01-02 17:00:00", "ICD10CM/I10"),
        ("2021-01-01 00:00:00", "Race/1"),
        ("2021-01-01 00:00:00", "Gender/F"),
    ]
    columns = {"patient_id": [1] * 5, "start": [when for when, _ in told]}
    columns |= {"code": [code for _, code in told], "value": [""] * 5, "unit": [""] * 5}
    timeline = ehrshot.read_events(ibis.memtable(columns))
    person = ehrshot.patient_rows(timeline).to_pandas().iloc[0]
    assert person["race"] == "5" and pd.isna(person["gender"])
    without_time = timeline.mutate(time=ibis.ifelse(ibis._.code == "F", None, ibis._.time))
    assert ehrshot.patient_rows(without_time).to_pandas()["gender"].tolist() == ["F"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["SNOMED/3950001", "MEDS_BIRTH", "Gender/F", "race/5", "A/1", "B", None]
            ),
            st.sampled_from(["1.5", "yellow", None]),
        ),
        max_size=12,
    )
)
@pytest.mark.slow
def test_no_event_is_in_two_tables_or_in_none(events: list[tuple]) -> None:
    found = [(1, "2020-01-01 00:00:00", code, value, None) for code, value in events]
    texts = dict.fromkeys(["start", "code", "value", "unit"], "string")
    timeline = ehrshot.read_events(ibis.memtable(found, schema={"patient_id": "int64"} | texts))
    described = ["SNOMED/3950001", "MEDS_BIRTH", "Gender/F", "race/5"]
    others = sum(code not in described for code, _ in events)
    tables = (ehrshot.coded_rows(timeline), ehrshot.lab_rows(timeline))
    assert sum(table.count().execute() for table in tables) == others


def test_a_code_without_a_slash_has_a_system_too() -> None:
    raw = ibis.memtable(
        {
            "subject_id": [1, 1],
            "time": [datetime(1980, 5, 5), datetime(2020, 1, 1)],
            "code": ["MEDS_BIRTH", "MEDS_DEATH"],
            "numeric_value": [None, None],
            "text_value": [None, None],
            "unit": [None, None],
        },
        schema={
            "subject_id": "int64",
            "time": "timestamp",
            "code": "string",
            "numeric_value": "float32",
            "text_value": "string",
            "unit": "string",
        },
    )
    timeline = ehrshot.read_events(raw)
    assert rows(ehrshot.coded_rows(timeline)) == [(1, datetime(2020, 1, 1), "MEDS", "MEDS_DEATH")]
    births = ehrshot.patient_rows(timeline).to_pandas()["birth_date"]
    assert pd.to_datetime(births).tolist() == [pd.Timestamp("1980-05-05")]


def test_codes_are_counted_as_a_site_spells_them() -> None:
    codes = ["SNOMED/1", "SNOMED/1 ", "STANFORD_X/a/b", "RxNorm Extension/OMOP1", None]
    table = ibis.memtable(
        {
            "patient_id": [1] * 5,
            "start": ["2020-01-01 00:00:00"] * 5,
            "code": codes,
            "value": [""] * 5,
            "unit": [""] * 5,
        }
    )
    assert rows(ehrshot.count_source_codes(ehrshot.read_events(table))) == [
        ("RxNorm Extension", "OMOP1", 1),
        ("SNOMED", "1", 2),
        ("STANFORD_X", "a/b", 1),
    ]


def test_official_counts_leave_out_results(raw: ibis.Table) -> None:
    time = datetime(2020, 1, 2, 9, 30)
    binned = ibis.memtable({"person_id": [1], "time": [time], "token": ["LOINC:2345-7:0-10"]})
    counted = ehrshot.count_tokens(ehrshot.read_events(raw), binned).to_pandas()
    official = set(counted.loc[counted["official"], "token"])
    assert "Visit/IP" in official
    assert {"LOINC/5778-6", "LOINC/2345-7=98.6"}.isdisjoint(official)
    others = set(counted.loc[~counted["official"], "token"])
    assert others >= {"LOINC/2345-7", "LOINC/5778-6", "LOINC/5778-6=yellow", "LOINC:2345-7:0-10"}


def test_results_are_in_the_base_unit_and_words_in_the_token(raw: ibis.Table) -> None:
    units = {"system": "LOINC", "code": "2345-7", "base_unit": "mmol/L", "offset": 0.0}
    known = [
        units | {"unit": "mg/dL", "factor": 0.5, "status": "converted"},
        units | {"unit": "drops", "factor": None, "status": "unconvertible"},
    ]
    conversions = ibis.memtable(pd.DataFrame(known))
    timeline = ehrshot.read_events(raw)
    found = ehrshot.valued_events(timeline, conversions)
    assert found.columns == ("person_id", "time", "token", "value")
    assert found.count().execute() == 9, "all but the one without a time"
    labs = {(token, value) for _p, _t, token, value in rows(found) if token.startswith("LOINC")}
    assert labs == {
        ("LOINC/2345-7", 49.3),
        ("LOINC/5778-6=yellow", None),
        ("LOINC/2345-7=NaN", None),
    }
    drops = timeline.mutate(unit=ibis.literal("drops"))
    assert ehrshot.valued_events(drops, conversions).value.notnull().sum().execute() == 0
