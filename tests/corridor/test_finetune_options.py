import pytest

from clm_ler.corridor.finetune_options import FinetuneOptions


def test_a_grid_without_points_is_refused():
    with pytest.raises(ValueError, match="tuneable_parameters: learning_rate has no value to try"):
        FinetuneOptions(checkpoints="", tuneable_parameters={"learning_rate": []})
    assert len(FinetuneOptions(checkpoints="").grid()) == 1
