"""The checklist has every item, says what the run knows, and leaves to the author what it cannot know."""

import re

from clm_ler.corridor.page.numbers import Numbers
from clm_ler.corridor.page.parts import HOW_IT_WAS_MADE, Section
from clm_ler.pipelines.report.tripod import OPEN, checklist, items

# The parts of the 27 items of TRIPOD+AI; an item without parts has one.
PARTS = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
TITLES = {
    "Whom the task is about",
    "Records and persons",
    "What was lost in reading",
    "Vocabulary",
    "Units",
    "Pre-training",
    "Results on the test split",
    "What the predictions rest on",
    "Leakage audit",
    "Runs that made it",
    HOW_IT_WAS_MADE,
}
TASK = {"name": "t", "outcome": {"event": "flu", "days": [1, 365]}}
SPLITS = {
    name: {"persons": 40, "classes": {"0": 60, "1": 20}, "persons_by_class": {"0": 35, "1": 15}}
    for name in ("train", "valid", "test")
}
DATA = {
    "finetune_metrics": {
        "tasks": {"t": {"samples": SPLITS}},
        "selection": {"recalibration": {"t": {"method": "platt"}}},
    },
    "task_prevalence": [
        {"attribute": "year", "group": year, "suppressed": year == "2011"}
        for year in (
            "2012",
            "2019",
            "2011",
            "2015",
            "unknown",
        )  # of several tasks, one after the other
    ],
    "run_record": {"label": {"parameters": {"task": TASK}}},
}


def answers(titles, data):
    section = checklist([Section(title) for title in titles], data, Numbers(data, 10))
    return {row[0]: row[2] for row in section.tables[0].rows}


def test_every_item_is_there_once_and_in_order():
    numbers = [
        f"{item}{letter}"
        for item in range(1, 28)
        for letter in ("abcdefg"[: PARTS[item]] if item in PARTS else [""])
    ]
    assert [row["item"] for row in items()] == numbers
    assert len(numbers) == 52


def test_answers_are_in_sections_that_a_page_can_have():
    named = {title for row in items() if row["where"] for title in row["where"].split(", ")}
    assert named == TITLES


def test_what_the_run_knows_is_said():
    told = {item: re.sub("<.*?>", "", answer) for item, answer in answers(TITLES, DATA).items()}
    assert told["5b"].startswith("predictions of 2011 to 2019")
    assert told["8a"].startswith("t: flu, day 1 to 365 after the prediction")
    several = DATA | {"run_record": {"label": {"parameters": {"task": [TASK, TASK]}}}}
    assert answers(TITLES, several)["8a"].count("after the prediction") == 2
    assert "t, test: 40 persons, 20 predictions with the outcome" in told["21"]
    few = {"valid": SPLITS["valid"] | {"persons_by_class": {"0": 39, "1": 4}}}
    of_few = DATA["finetune_metrics"] | {"tasks": {"t": {"samples": SPLITS | few}}}
    said = re.sub("<.*?>", "", answers(TITLES, DATA | {"finetune_metrics": of_few})["21"])
    assert "t, valid: 40 persons, fewer than 10 persons&#39; predictions with the outcome" in said
    assert told["24"].startswith("t: on validation, platt")
    assert {"1", "3a", "10", "14", "17", "18a", "19", "25", "27c"} <= {
        item for item, answer in answers(TITLES, DATA).items() if answer == OPEN
    }


def test_without_results_their_items_are_open():
    few = answers(["Vocabulary"], {})
    assert few["23a"] == few["8a"] == few["21"] == OPEN
    assert few["9b"] == '<a href="#part-1">Vocabulary</a>'
