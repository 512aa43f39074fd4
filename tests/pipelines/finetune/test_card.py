from types import SimpleNamespace

import pyarrow as pa
import pytest

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.pipelines.finetune.card import write_card


@pytest.mark.parametrize(
    ("without", "outcome", "told"),
    [
        (30, 12, "42 | 12 |"),
        (30, 4, "34 | fewer than 10 persons' |"),
        (4, 30, "34 | all but fewer than 10 persons' |"),
        (0, 30, "30 | 30 |"),
    ],
)
def test_no_subtraction_tells_a_number_below_the_floor(without, outcome, told):
    classes = {label: n for label, n in {"0": without, "1": outcome}.items() if n}
    assert f"| t | train | {without + outcome} | {told}" in card_of(classes, classes)


def test_samples_of_few_persons_are_not_told_however_many_they_are():
    card = card_of({"0": 40, "1": 12}, {"0": 40, "1": 2})
    assert "| 52 | fewer than 10 persons' |" in card


def card_of(classes, persons_by_class):
    """The card of a task with so many samples, and persons, of each class."""
    persons = sum(persons_by_class.values())
    found = {"persons": persons, "classes": classes, "persons_by_class": persons_by_class}
    metrics = {
        "tasks": {"t": {"samples": {"train": found}}},
        "selection": {"best": "0", "trainings": {"0": {"settings": {}}}, "recalibration": {}},
    }
    model = SimpleNamespace(config=SimpleNamespace(model_type="clm_ler"), num_parameters=lambda: 1)
    nobody = pa.table({"task": [], "split": [], "label": [], "persons": []})
    options = FinetuneOptions(checkpoints="c", min_persons=10)
    return write_card(model, metrics, nobody, options)
