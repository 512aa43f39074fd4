"""What comes back from a site is told of enough persons only, and the page tells the same."""

import json

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.pipelines.site.options import SiteOptions
from clm_ler.pipelines.site.report import write_site_report
from clm_ler.pipelines.site.summary import (
    attribution,
    outcomes,
    recalibrate_site,
    summarise_site,
    understood,
)

N = 300
RNG = np.random.default_rng(3)
SCORES = RNG.normal(-1, 1.5, N)
OPTIONS = SiteOptions(min_persons=10, replicates=20)
KEYS = {"person_id": np.arange(N), "prediction_time": pd.Timestamp("2020-01-01")}
SECRET = "someone"  # a group of one person


def tables(task="t", positives=N):
    risks = expit(SCORES)
    labels = (RNG.random(N) < risks) & (np.arange(N) < positives)
    shown = [[1 - risk, risk] for risk in risks]
    race = np.where(np.arange(N) == 5, SECRET, np.where(np.arange(N) % 2, "A", "B"))
    predictions = pd.DataFrame(KEYS | {"task": "t", "probabilities": shown})
    labelled = pd.DataFrame(KEYS | {"task": task, "label": labels.astype(int)})
    persons = pd.DataFrame(
        {
            "person_id": np.arange(N),
            "birth_date": pd.Timestamp("1970-01-01"),
            "gender": "F",
            "race": race,
            "ethnicity": None,
        }
    )
    return [ibis.memtable(frame) for frame in (predictions, labelled, persons)]


ROWS = ibis.memtable(
    [
        ("diagnosis", "all", 100, 40),
        ("diagnosis", None, 88, 40),
        ("diagnosis", "code without a token", 12, 9),
        ("lab", "all", 60, 30),
        ("lab", None, 50, 30),
        ("procedure", "all", 7, 3),
        ("patient", "all", 300, 300),
    ],
    schema={"table": "string", "reason": "string", "rows": "int64", "persons": "int64"},
)
LABS = ibis.memtable(
    [(None, 45, 30), ("no unit", 5, 5)],
    schema={"reason": "string", "rows": "int64", "persons": "int64"},
)
TOKENS = ibis.memtable({"system": ["K", "K"], "code": ["1", "2"], "persons": [10, 9]})
WEIGHTS = ibis.memtable(
    {"token": ["K:1", "K:2", "L:3", "AGE:40", "other"], "weight": [3.0, 1.0, 4.0, 9.0, 9.0]}
)
HOME = {"test_split_at_home": {"t": {"auroc": {"value": 0.9, "lower": 0.8, "upper": 1.0}}}}


def summary(contributions=WEIGHTS, **changes):
    given = tables(**changes)
    rungs = recalibrate_site(*given, OPTIONS)
    reading = PreprocessOptions(tables={})
    home = reading.model_dump(mode="json") | {"once_a_day": False}
    kit = {"clm_ler": "1.0", "tasks": ["t"], "format": 1}
    kit["reading"] = {name: home[name] for name in ("once_a_day", "results")}
    rest = [ROWS, LABS, TOKENS, contributions, kit, HOME]
    options = FinetuneOptions(checkpoints="none")
    return summarise_site(*given, rungs, *rest, options, reading, OPTIONS)


@pytest.fixture(scope="module")
def whole():
    return summary()


def test_shares_are_of_tables_of_enough_persons():
    assert understood(ROWS, LABS, 10) == [
        {"table": "diagnosis", "rows": 100, "persons": 40, "share": 0.88},
        {"table": "lab", "rows": 60, "persons": 30, "share": 0.75},
    ]


def test_weight_is_found_where_enough_persons_have_the_token():
    found = {row["system"]: row for row in attribution(WEIGHTS, TOKENS, 10)}
    assert found["K"] == {"system": "K", "weight": 4.0, "share": 0.75}
    assert found["all"] == {"system": "all", "weight": 8.0, "share": 0.375}
    assert attribution(None, TOKENS, 10) is None


def test_every_label_is_measured_and_small_groups_are_not(whole):
    task = whole["tasks"]["t"]
    assert task["n"] == N
    assert task["at_home"] == HOME["test_split_at_home"]["t"]
    assert whole["predictions"] == {"n": N, "persons": N}
    groups = {(row["attribute"], row["group"]) for row in task["subgroups"]}
    assert ("age", "50-59") in groups
    assert ("ethnicity", "unknown") in groups
    assert SECRET not in json.dumps(whole)
    races = [row["group"] for row in task["subgroups"] if row["attribute"] == "race"]
    assert len(races) == 2  # the smaller large group is hidden with the one person


def test_the_page_has_the_numbers_and_nobody(whole):
    page = write_site_report(whole, OPTIONS)
    assert f'value="{whole["tasks"]["t"]["auroc"]["value"]!r}"' in page
    assert "t: how good its risks are" in page
    assert "intercept and slope" in page
    assert SECRET not in page
    assert whole["reads_otherwise"] == ["once_a_day"]
    assert "This site reads once_a_day otherwise" in page


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task": "another"}, "so its quality here is unknown"),
        ({"positives": 9}, "Fewer than 10 persons are with, or without, the outcome of t"),
    ],
)
def test_without_labels_or_of_few_nothing_is_said_of_how_good_it_is(changes, told):
    found = summary(contributions=None, **changes)
    assert all(task["suppressed"] for task in found["tasks"].values())
    page = write_site_report(found, OPTIONS)
    assert told in page
    assert "how good its risks are" not in page


def test_labels_of_a_task_that_the_kit_does_not_predict_are_named(caplog):
    recalibrate_site(*tables(task="outcome"), OPTIONS)
    assert (
        "site_labels are of task outcome, and the kit predicts t: they are not used" in caplog.text
    )


def test_each_class_but_the_first_is_an_outcome():
    predictions, labels, persons = tables()
    three = predictions.mutate(probabilities=ibis.array([0.2, 0.3, 0.5]))
    found = {outcome.name: outcome for outcome in outcomes(three, labels, persons)}
    assert found.keys() == {"t = 1", "t = 2"}
    assert set(found["t = 2"].risks) == {0.5}
    assert found["t = 2"].labels.sum() == 0
    # Of class 1 nothing is said either: its numbers might tell those of a rarer class.
    assert found["t = 1"].fewest == 0
    assert recalibrate_site(three, labels, persons, OPTIONS) == {}
