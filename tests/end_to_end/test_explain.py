"""``explain`` on what the chain has trained."""

import shutil

import pytest

from clm_ler.tokens import system_of

FEW = {"samples": 24, "checked": 8, "occluded": 2, "labs": 2, "min_persons": 3}


@pytest.fixture(scope="module")
def place(chain, storage, tmp_path_factory):
    """A copy of the finished chain."""
    place = tmp_path_factory.mktemp("explain") / "data"
    shutil.copytree(storage, place)
    return place


@pytest.fixture(scope="module")
def explained(chain, place, kedro_run):
    samples = chain.load("samples")
    test = samples.filter(samples.split == "test").to_pandas()
    someone = int(test["person_id"].iloc[0])  # as the command line reads it
    return kedro_run(place, ["explain"], explain=FEW | {"person": someone})


def test_contributions_add_up_sample_by_sample(explained):
    rows = explained.load("contributions").to_pandas()
    rows["told"] = rows[["from_code", "from_bin", "from_day"]].sum(axis=1)
    by_sample = rows.groupby("sample_id").agg(
        told=("told", "sum"), at=("log_odds", "first"), start=("baseline_log_odds", "first")
    )
    assert len(by_sample) == 24
    assert (by_sample["told"] - (by_sample["at"] - by_sample["start"])).abs().max() < 0.02
    assert (rows["days_before"] >= 0).all()
    assert rows.loc[rows["bin"].notna(), "token"].map(system_of).eq("LOINC").all()


def test_the_checks_say_how_far_to_trust(explained):
    checks = explained.load("explanation_checks")
    assert checks["samples"] == 24
    assert checks["gap"] <= 0.01
    assert {"value", "lower", "upper"} == set(checks["deletion"])


def test_what_is_shared_tells_of_no_few(explained):
    summary = explained.load("contribution_summary").to_pandas()
    assert (summary["persons"] >= 3).all()
    assert "Hemoglobin A1c" in set(summary["name"])
    labs = explained.load("lab_counterfactuals").to_pandas()
    assert labs["token"].nunique() == 2
    assert labs["risk"].between(0, 1).all()
    assert labs.groupby("token")["risk"].nunique().min() > 1


def test_figures_show_what_the_tables_say(explained):
    summary = explained.load("contribution_summary").to_pandas()
    bars = explained.load("contribution_figure").data[0]
    assert len(bars.y) == min(len(summary), 25)
    timeline = explained.load("person_timeline")
    assert any(trace.name == "risk" for trace in timeline.data)
    assert any(trace.name == "LOINC" for trace in timeline.data)


def test_predictions_may_come_with_reasons(place, kedro_run):
    catalog = kedro_run(place, ["predict"], predict={"reasons": 2})
    reasons = catalog.load("prediction_reasons").to_pandas()
    predicted = catalog.load("predictions").to_pandas()
    assert set(reasons["person_id"]) == set(predicted["person_id"])
    assert reasons.groupby("person_id")["rank"].apply(list).map(tuple).isin([(1,), (1, 2)]).all()
    assert set(reasons["task"]) == {"diabetes_1y"}
    assert set(reasons["name"].dropna()) <= set(catalog.load("code_names").to_pandas()["name"])
    assert reasons["name"].notna().any()


def test_a_task_that_the_model_lacks_is_named(explained, storage, kedro_run):
    with pytest.raises(ValueError, match="the model has no task 'none', but diabetes_1y"):
        kedro_run(storage, ["explain"], explain={"task": "none"})
