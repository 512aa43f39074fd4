from datetime import date, datetime
from typing import Any

import ibis
import pandas as pd
import pytest

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


def test_unknown_columns_are_named() -> None:
    table = ibis.memtable({"patient_id": [1], "start": ["2020-01-01"]})
    with pytest.raises(ValueError, match=r"neither release.*Found: patient_id, start"):
        ehrshot.read_events(table)


def test_translation_gives_an_event_one_token_or_none(raw: ibis.Table) -> None:
    events = ehrshot.read_events(raw)
    translations = ibis.memtable(
        {
            "source_system": ["LOINC", "Gender", "Visit"],
            "source_code": ["2345-7", "F", "IP"],
            "vocab_token": ["LOINC:2345-7", "GENDER:F", "CPT:99221"],
            "method": ["direct", "demographic", "relation"],
            "rank": [2, 1, 4],
        }
    )
    translated = ehrshot.translate(events, translations)
    assert rows(ehrshot.coded_events(translated)) == [
        (1, pd.Timestamp("2020-01-02 08:00"), "CPT", "99221"),
        (2, pd.Timestamp("2020-05-05 12:00"), "LOINC", "2345-7"),
    ]
    assert rows(ehrshot.lab_events(translated)) == [
        (1, pd.Timestamp("2020-01-02 09:30"), "LOINC", "2345-7", 98.6, "mg/dL")
    ]
    persons = ehrshot.demographics(events, translated).to_pandas().set_index("person_id")
    assert pd.Timestamp(persons.loc[1, "birth_date"]).date() == date(1950, 3, 1)
    assert persons.loc[1, "gender"] == "F"
    assert pd.isna(persons.loc[1, "race"])
    ledger = ehrshot.event_ledger(events, translated).to_pandas()
    assert ledger["events"].tolist() == [10, 9, 4, 2, 1]


def test_identity_translations_keep_visits_and_demographics(raw: ibis.Table) -> None:
    events = ehrshot.read_events(raw)
    translated = ehrshot.translate(events, ehrshot.identity_translations(events))
    coded = ehrshot.coded_events(translated).to_pandas()
    assert set(coded["system"] + "/" + coded["code"]) == {
        "Visit/IP",
        "LOINC/5778-6",
        "RxNorm Extension/OMOP1/2",
        "LOINC/2345-7",
    }
    persons = ehrshot.demographics(events, translated).to_pandas().set_index("person_id")
    assert list(persons.loc[1, ["gender", "race"]]) == ["F", "5"]


def test_official_counts_leave_out_results(raw: ibis.Table) -> None:
    time = datetime(2020, 1, 2, 9, 30)
    binned = ibis.memtable({"person_id": [1], "time": [time], "token": ["LOINC:2345-7:0-10"]})
    counted = ehrshot.count_tokens(ehrshot.read_events(raw), binned).to_pandas()
    official = set(counted.loc[counted["official"], "token"])
    assert "Visit/IP" in official
    assert {"LOINC/5778-6", "LOINC/2345-7=98.6"}.isdisjoint(official)
    others = set(counted.loc[~counted["official"], "token"])
    assert others >= {"LOINC/2345-7", "LOINC/5778-6", "LOINC/5778-6=yellow", "LOINC:2345-7:0-10"}


def test_ancestors_of_counted_codes() -> None:
    tokens = ibis.memtable({"token": ["SNOMED/7", "LOINC/1"], "official": [True, False]})
    concept = ibis.memtable(
        {
            "concept_id": ["70", "80", "90"],
            "vocabulary_id": ["SNOMED", "SNOMED", "LOINC"],
            "concept_code": ["7", "8", "1"],
        }
    )
    ancestor = ibis.memtable(
        {"ancestor_concept_id": ["70", "80", "80"], "descendant_concept_id": ["70", "70", "90"]}
    )
    found = ehrshot.token_ancestors(tokens, concept, ancestor)
    assert rows(found) == [("SNOMED/7", "SNOMED/7"), ("SNOMED/7", "SNOMED/8")]


def test_without_a_vocabulary_codes_have_no_ancestors() -> None:
    tokens = ibis.memtable({"token": ["SNOMED/7"], "official": [True]})
    found = ehrshot.token_ancestors(tokens, None, None)
    assert found.columns == ("token", "ancestor")
    assert rows(found) == []
