import numpy as np
import pytest

from clm_ler.simulation import deaths, hospital
from clm_ler.simulation.options import CohortOptions

OPTIONS = CohortOptions(persons=500, chunk_persons=500)


@pytest.fixture(scope="module")
def tables():
    made = {"visit": deaths.visit_table, "death": deaths.death_table}
    made["lab"] = hospital.lab_table
    return {name: table(OPTIONS, 3, 0).to_pandas() for name, table in made.items()}


def test_nobody_is_seen_after_death(tables):
    died = tables["death"].set_index("person_id")["death_datetime"]
    assert died.index.is_unique
    assert 0.02 < len(died) / OPTIONS.persons < 0.2
    for name, column in (("visit", "visit_start_datetime"), ("lab", "measurement_datetime")):
        rows = tables[name].join(died, "person_id", "inner")
        late = rows[column] > rows["death_datetime"]
        assert late.mean() < 0.001, name  # dates that are placeholders


def test_who_dies_in_hospital_dies_at_the_end_of_the_last_stay(tables):
    stays = tables["visit"].query("visit_source_value == 'IP'")
    ends = stays.groupby("person_id")["visit_end_datetime"].last()
    died = tables["death"].set_index("person_id")["death_datetime"]
    by_the_minute = died[~died.str.endswith("00:00:00")]
    assert len(by_the_minute) > 5
    known = ends[by_the_minute.index].dropna()
    assert (known == by_the_minute[known.index]).all()


def test_visits_end_and_a_few_stays_have_no_end(tables):
    visits = tables["visit"]
    known = visits.dropna(subset=["visit_end_datetime"])
    assert (known["visit_end_datetime"] > known["visit_start_datetime"]).all()
    unknown = visits[visits["visit_end_datetime"].isna()]
    assert set(unknown["visit_source_value"]) == {"IP"}
    assert np.isclose(len(unknown) / (visits["visit_source_value"] == "IP").sum(), 0.01, atol=0.02)
