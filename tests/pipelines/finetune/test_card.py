from types import SimpleNamespace

import pyarrow as pa
import pytest

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.pipelines.finetune.card import write_card


@pytest.mark.parametrize(
    ("without", "outcome", "told"),
    [
        (30, 12, "42 | 12 |"),
        (30, 4, "34 | fewer than 10 |"),
        (4, 30, "34 | all but fewer than 10 |"),
        (0, 30, "30 | 30 |"),
    ],
)
def test_no_subtraction_tells_a_number_below_the_floor(without, outcome, told):
    classes = {label: n for label, n in {"0": without, "1": outcome}.items() if n}
    samples = {"train": {"persons": without + outcome, "classes": classes}}
    metrics = {
        "tasks": {"t": {"samples": samples}},
        "selection": {"best": "0", "trainings": {"0": {"settings": {}}}, "recalibration": {}},
    }
    model = SimpleNamespace(config=SimpleNamespace(model_type="clm_ler"), num_parameters=lambda: 1)
    nobody = pa.table({"task": [], "split": [], "label": [], "persons": []})
    options = FinetuneOptions(checkpoints="c", min_persons=10)
    card = write_card(model, metrics, nobody, options)
    assert f"| t | train | {without + outcome} | {told}" in card
