"""A kit is looked at before anything reads it."""

import pytest
from kedro.pipeline import Node, Pipeline

from clm_ler.files.kit import HEAD, Kit, Part
from clm_ler.files.model_folder import UnfitModelError
from clm_ler.hooks import current
from clm_ler.hooks.kit import KitHooks

PREDICT = Pipeline([Node(len, "trained_finetuned_model", "predictions", name="predict")])


@pytest.fixture
def begin(tmp_path):
    """Begin a run with a kit of these parts."""

    def run(*places, pipeline=PREDICT, given=True):
        Kit({place: Part("text", "a part") for place in places}, {}).save_pretrained(tmp_path)
        token = current._RUN.set(current.Run(None, {"kit": tmp_path} if given else {}, {}))
        try:
            KitHooks().before_pipeline_run(pipeline)
        finally:
            current._RUN.reset(token)

    return run


def test_a_whole_kit_is_used(begin):
    begin(f"{HEAD}/config.json")


def test_a_kit_without_a_fine_tuned_model_predicts_nothing(begin):
    with pytest.raises(UnfitModelError, match=r"has no fine-tuned model.*docs/kit\.md"):
        begin("06_models/pretrained_model/config.json")
    begin("06_models/pretrained_model/config.json", pipeline=Pipeline([]))


def test_a_changed_one_is_named_before_a_node_runs(begin, tmp_path):
    begin(f"{HEAD}/config.json")
    (tmp_path / HEAD / "other.json").write_text("{}")
    with pytest.raises(UnfitModelError, match=r"other\.json is not listed"):
        begin(f"{HEAD}/config.json")


def test_without_a_kit_there_is_nothing_to_look_at(begin, tmp_path):
    (tmp_path / "stray").write_text("")
    begin("task.json", given=False)
