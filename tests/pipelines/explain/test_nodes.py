"""What contributions say together: tables in, tables out."""

from types import SimpleNamespace

import ibis
import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from clm_ler.pipelines.explain import figures, nodes
from clm_ler.pipelines.explain.estimates import clustered_mean, clustered_ratio
from clm_ler.pipelines.explain.options import ExplainOptions
from clm_ler.pipelines.explain.person import draw_person

FEW = ExplainOptions(min_persons=2)


def contributions(rows):
    """Rows of (sample, person, token, from_code, from_bin, from_day)."""
    columns = ["sample_id", "person_id", "token", "from_code", "from_bin", "from_day"]
    frame = pd.DataFrame(rows, columns=columns).assign(log_odds=1.0, baseline_log_odds=0.0, gap=0.0)
    return ibis.memtable(frame)


ROWS = [
    ("a", 1, "LOINC:1", 0.1, 0.2, 0.0),
    ("a", 1, "LOINC:1", -0.1, 0.1, 0.1),
    ("a", 1, "ICD10CM:X", 0.5, 0.0, 0.0),
    ("b", 2, "LOINC:1", 0.0, -0.4, 0.0),
    ("b", 2, "ICD10CM:Y", -0.2, 0.0, 0.0),
    ("c", 3, "ICD10CM:Y", 0.6, 0.0, -0.2),
]


def test_a_token_weighs_over_all_samples_and_raises_those_that_have_it():
    names = ibis.memtable({"token": ["LOINC:1"], "name": ["Glucose"]})
    found = nodes.summarise_contributions(contributions(ROWS), names, FEW).to_pandas()
    rows = found.set_index("token")
    assert list(found["token"]) == ["LOINC:1", "ICD10CM:Y"]
    assert rows.loc["LOINC:1", "weight"] == pytest.approx((0.3 + 0.1 + 0.4) / 3)
    assert rows.loc["LOINC:1", "raises"] == pytest.approx((0.4 - 0.4) / 2)
    assert rows.loc["LOINC:1", "of_bin"] == pytest.approx((0.3 - 0.4) / 2)
    assert rows.loc["LOINC:1", ["persons", "mentions"]].tolist() == [2, 3]
    assert rows["name"].tolist() == ["Glucose", "ICD10CM:Y"]


def test_what_few_persons_have_is_put_together_and_told_of_many_only():
    rows = [*ROWS, ("d", 4, "ICD10CM:Z", 0.1, 0.0, 0.0)]
    found = nodes.summarise_contributions(contributions(rows), None, FEW).to_pandas()
    assert "ICD10CM:X" not in set(found["token"])
    other = found.set_index("token").loc["other"]
    assert other["persons"] == 2
    assert other["weight"] == pytest.approx((0.5 + 0.1) / 4)
    alone = nodes.summarise_contributions(contributions(ROWS), None, FEW).to_pandas()
    assert "other" not in set(alone["token"])


def test_the_share_of_contributions_on_known_causes():
    labels = pd.DataFrame({"sample_id": ["a", "b", "c"], "outcome": [1, 0, 1]})
    asked = SimpleNamespace(frame=labels, task="outcome", label=1)
    causes = ibis.memtable({"task": ["outcome", "another"], "token": ["LOINC:1", "ICD10CM:Y"]})
    found = nodes.on_causes(contributions(ROWS), causes, asked, 2)
    assert found["true_positives"] == 2
    assert found["share_of_contributions"]["value"] == pytest.approx(0.4 / (0.9 + 0.4))
    assert found["share_of_tokens"]["value"] == pytest.approx(2 / 4)
    assert nodes.on_causes(contributions(ROWS), None, asked, 2) is None
    assert nodes.on_causes(contributions(ROWS), causes, asked, 3) is None, "of two persons only"
    unknown = causes.filter(causes.task == "another")
    assert nodes.on_causes(contributions(ROWS), unknown, asked, 2) is None


def test_intervals_are_of_persons_not_of_samples():
    values = np.repeat(np.arange(20.0), 30)
    one_each = clustered_mean(np.arange(20.0), np.arange(20))
    many_each = clustered_mean(values, np.repeat(np.arange(20), 30))
    assert one_each == pytest.approx(many_each)
    assert clustered_mean(np.full(3, np.nan), np.arange(3)) is None
    assert clustered_ratio([], [], np.array([])) is None


def test_figures_of_nothing_are_figures():
    empty = nodes.summarise_contributions(contributions(ROWS[:1]), None, FEW)
    assert figures.plot_contributions(empty).layout.title.text
    columns = {"token": "string", "name": "string", "persons": "int64", "bin": "string"}
    none = ibis.memtable([], schema=columns | {"risk": "float64"})
    assert figures.plot_counterfactuals(none).layout.title.text


@pytest.mark.parametrize(
    ("given", "person"), [(1000005, "1000005"), ("1000005", "1000005"), ("0012", "0012")]
)
def test_an_id_may_be_a_number_as_the_command_line_reads_it(given, person):
    assert TypeAdapter(ExplainOptions).validate_python({"person": given}).person == person


def test_labs_of_the_same_name_are_moved_apart():
    rows = [("LOINC:1", 0.1), ("LOINC:1", 0.2), ("LOINC:2", 0.6), ("LOINC:2", 0.8)]
    frame = pd.DataFrame(rows, columns=["token", "risk"]).assign(name="Glucose", bin=["a", "b"] * 2)
    figure = figures.plot_counterfactuals(ibis.memtable(frame))
    assert [list(line.y) for line in figure.data] == [[0.1, 0.2], [0.6, 0.8]]
    assert "Glucose moves the mean risk most: 60.0% to 80.0%" in figure.layout.title.text


@pytest.mark.parametrize(
    ("person", "said"),
    [
        (1, "no test sample of 'asked'"),  # of another task
        (2, "no test sample of 'asked'"),  # of another split
        (-3, "no test sample of 'asked'"),  # unknown
        (2**63, "whole numbers"),
        ("x", "whole numbers"),
    ],
)
def test_who_has_no_test_sample_of_the_task_is_said_in_a_line(person, said):
    columns = ["person_id", "split", "task"]
    rows = [(1, "test", "another"), (2, "train", "asked")]
    samples = ibis.memtable(pd.DataFrame(rows, columns=columns))
    ids = ibis.memtable([], schema={"person_id": "int64", "own_id": "string"})
    model = SimpleNamespace(config=SimpleNamespace(tasks=["asked", "another"]))
    options = ExplainOptions(person=person)  # as --params=explain.person=1000005 gives it
    with pytest.raises(ValueError, match=said):
        draw_person(samples, None, None, model, ids, None, options)
    with pytest.raises(ValueError, match="the model has no task 'x', but asked, another"):
        draw_person(samples, None, None, model, ids, None, ExplainOptions(person="1", task="x"))


def test_an_id_that_is_a_number_is_known_beside_others_that_are_texts():
    """Only ids that are not their own key are listed."""
    rows = [(1, "train", "asked"), (7, "test", "another")]
    samples = ibis.memtable(pd.DataFrame(rows, columns=["person_id", "split", "task"]))
    ids = ibis.memtable([(7, "P-7")], schema={"person_id": "int64", "own_id": "string"})
    model = SimpleNamespace(config=SimpleNamespace(tasks=["asked", "another"]))
    for person, said in (("1", "no test sample"), ("P-7", "no test sample"), ("x", "no such")):
        with pytest.raises(ValueError, match=said):
            draw_person(samples, None, None, model, ids, None, ExplainOptions(person=person))
