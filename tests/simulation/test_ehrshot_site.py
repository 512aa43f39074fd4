import pandas as pd
import pyarrow as pa
import pytest

from clm_ler.simulation import ehrshot_site
from clm_ler.simulation.options import SiteOptions

OPTIONS = SiteOptions(persons=60, events_per_person=300)


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    return ehrshot_site.event_table(OPTIONS, 1, 0).to_pandas()


def test_events_have_the_columns_of_the_benchmark(events):
    assert list(events.columns) == [
        "patient_id",
        "start",
        "end",
        "code",
        "value",
        "unit",
        "visit_id",
        "omop_table",
    ]
    assert events.code.str.contains("/").all()
    for column in ("start", "end"):
        assert events[column].dropna().str.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:00").all()


def test_birth_comes_first_and_demographics_with_it(events):
    first = events.groupby("patient_id").first()
    assert (first.code == "SNOMED/3950001").all()
    assert not events.duplicated(["patient_id", "code"])[events.code == "SNOMED/3950001"].any()
    demographics = events[events.code.str.contains("^(?:Gender|Race|Ethnicity)/")]
    birth = first.start.reindex(demographics.patient_id).to_numpy()
    assert (demographics.start.to_numpy() == birth).all()
    assert set(demographics.code) <= {
        "Gender/F",
        "Gender/M",
        *(f"Race/{number}" for number in range(1, 6)),
        "Ethnicity/Hispanic",
        "Ethnicity/Not Hispanic",
    }


def test_events_are_in_order_and_none_precedes_birth(events):
    assert events.groupby("patient_id").start.is_monotonic_increasing.all()
    assert events.patient_id.is_monotonic_increasing


def test_vocabularies_are_those_of_the_benchmark(events):
    vocabularies = set(events.code.str.partition("/")[0])
    assert {"SNOMED", "RxNorm", "LOINC", "CPT4", "HCPCS", "Visit", "CARE_SITE"} <= vocabularies
    assert not vocabularies & {"ICD10CM", "ICD9CM", "NDC", "RXNORM", "CPT"}
    assert {"Visit/IP", "Visit/OP", "Visit/ER"} <= set(events.code)


def test_inpatient_visits_last_over_midnight_and_end(events):
    stays = events[events.code == "Visit/IP"]
    assert len(stays)
    assert (stays.omop_table == "visit_occurrence").all()
    assert (stays.end.str[:10] > stays.start.str[:10]).all()


def test_nothing_known_by_the_day_lies_at_midnight(events):
    conditions = events[events.omop_table == "condition_occurrence"]
    assert (conditions.start.str[11:] == "23:59:00").mean() > 0.1
    assert not (conditions.start.str[11:] == "00:00:00").any()


def test_labs_have_numbers_and_several_spellings_of_a_unit(events):
    labs = events[events.omop_table == "measurement"]
    assert pd.to_numeric(labs.value).notna().all()
    assert {"mmol/L", "mEq/L"} <= set(labs.unit[labs.code == "LOINC/2823-3"])


def test_events_reach_the_mean_that_was_asked_for():
    options = SiteOptions(persons=60, events_per_person=2500)
    assert ehrshot_site.event_table(options, 1, 0).num_rows == 60 * 2500


def test_a_chunk_is_deterministic_and_does_not_depend_on_how_many_follow():
    many = SiteOptions(persons=450, events_per_person=300)
    more = SiteOptions(persons=600, events_per_person=300)
    first = ehrshot_site.event_table(many, 1, 0)
    assert ehrshot_site.event_table(more, 1, 0).equals(first)


def test_splits_are_thirds_of_the_patients_of_the_events(events):
    splits = ehrshot_site.split_table(OPTIONS, 1)
    assert splits.column_names == ["split", "omop_person_id"]
    assert splits["split"].value_counts().to_pylist() == [
        {"values": name, "counts": 20} for name in _order(splits)
    ]
    assert set(splits["omop_person_id"].to_pylist()) == set(events.patient_id)


def _order(splits: pa.Table) -> list[str]:
    names = dict.fromkeys(splits["split"].to_pylist())
    assert set(names) == {"train", "val", "test"}
    return list(names)
