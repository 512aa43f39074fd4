import pytest

from clm_ler.corridor.finetune_options import FinetuneOptions


def test_a_grid_without_points_is_refused():
    with pytest.raises(ValueError, match="tuneable_parameters: learning_rate has no value to try"):
        FinetuneOptions(checkpoints="", tuneable_parameters={"learning_rate": []})
    assert len(FinetuneOptions(checkpoints="").grid()) == 1


def test_only_what_changes_a_training_can_be_tuned():
    with pytest.raises(
        ValueError, match=r"override_maxlen is nothing that can be tuned\. These can:"
    ):
        FinetuneOptions(checkpoints="", tuneable_parameters={"override_maxlen": [128, 256]})
