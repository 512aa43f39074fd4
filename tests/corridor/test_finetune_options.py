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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"age_bands": (65, 18)}, "age_bands must rise"),
        ({"age_bands": ()}, "age_bands needs a year"),
        (
            {"age_bands": (65, 18), "tuneable_parameters": {"learning_rate": [1e-4]}},
            "[^:]*Value error, age_bands must rise",
        ),
        ({"time_bins": (365, 30)}, "time_bins must rise"),
        ({"proportions_per_label": (1.0,)}, "one for each of the 2 classes"),
        ({"proportions_per_label": (0.0, 0.0)}, "not all 0"),
        ({"proportions_per_label": (2.0, -1.0)}, "none below 0"),
        (
            {"tuneable_parameters": {"learning_rate": [1e-4, -1]}},
            "tuneable_parameters: learning_rate: Input should be greater than 0",
        ),
        (
            {"tuneable_parameters": {"proportions_per_label": [[1, 1, 1]]}},
            "tuneable_parameters: proportions_per_label must be one for each of the 2 classes",
        ),
    ],
)
def test_what_would_give_wrong_numbers_or_fail_in_the_training_is_refused_before(given, said):
    with pytest.raises(ValueError, match=said):
        FinetuneOptions(checkpoints="", **given)


def test_points_of_a_grid_are_settings():
    options = FinetuneOptions(checkpoints="", tuneable_parameters={"learning_rate": [1e-4, "3e-4"]})
    assert [options.settings(point).learning_rate for point in options.grid()] == [1e-4, 3e-4]
