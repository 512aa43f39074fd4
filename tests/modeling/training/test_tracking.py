import sys
from types import SimpleNamespace

import pytest

from clm_ler.modeling.training.tracking import tracker


@pytest.mark.parametrize(
    ("wandb", "expected"),
    [(None, "none"), (SimpleNamespace(run=None), "none"), (SimpleNamespace(run=object()), "wandb")],
)
def test_training_reports_to_a_run_that_is_open(wandb, expected, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    assert tracker() == expected
