"""Fine-tuning on a store where one code decides the label.

Run as a script it fine-tunes in the directory it is given, so that a test can kill it.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clm_ler.modeling import inference
from clm_ler.modeling.data.samples import NO_LABEL, Samples
from clm_ler.modeling.loading import build_model
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForMaskedLM
from clm_ler.modeling.training.checkpoints import last_checkpoint
from clm_ler.modeling.training.finetuning import (
    FineTuningData,
    auroc_score,
    classification_loss,
    epoch_samples,
    fine_tune,
    load_result,
)
from clm_ler.modeling.training.options import FineTuning
from clm_ler.modeling.training.trainer import batch_arguments
from tests.modeling.test_inference import FIRST_CODE, TOKENS, VOCABULARY, WINDOW, make_store

pytestmark = pytest.mark.slow  # it trains models

FAST = FineTuning(
    pooling="mean",
    probe_first=False,
    learning_rate=1e-2,
    num_train_epochs=4,
    tokens_per_batch=128,
    hidden_dropout_prob=0.0,
)


LONG = replace(FAST, num_train_epochs=12, early_stopping_patience=99)


@pytest.fixture(scope="module")
def pretrained() -> ClmLerForMaskedLM:
    return make_pretrained()


def make_pretrained(seed: int = 0) -> ClmLerForMaskedLM:
    torch.manual_seed(seed)
    config = ClmLerConfig(
        vocab_size=len(TOKENS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    return ClmLerForMaskedLM(config)


def make_data(classes: int = 2, tasks: int = 1) -> FineTuningData:
    """120 persons of five events; the class is how often one code occurs, the last class is open."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(FIRST_CODE + tasks, len(TOKENS), (120, 5))
    labels = rng.integers(0, classes, (120, tasks))
    for task in range(tasks):
        for place in range(classes - 1):
            hit = labels[:, task] > place
            tokens[hit, task * (classes - 1) + place] = FIRST_CODE + task
    store = make_store([[(d + 1, int(t), 0) for d, t in enumerate(row)] for row in tokens])
    ends = np.full(120, 7)
    labels = labels[:, 0] if tasks == 1 else labels
    samples = Samples(np.arange(120), ends, np.zeros(120, np.int64), labels)
    return FineTuningData(
        store=store,
        vocabulary=VOCABULARY,
        window=WINDOW,
        train=samples[:80],
        valid=samples[80:],
        num_labels=classes if tasks == 1 else tasks,
        seed=1,
    )


@pytest.mark.parametrize("method", ["full", "last_layers", "frozen"])
def test_every_method_learns_what_decides_the_label(tmp_path, pretrained, method):
    result = fine_tune(
        tmp_path, pretrained, make_data(), replace(FAST, method=method, probe_first=True)
    )
    assert result["validation_auroc"] > 0.85


@pytest.mark.parametrize("model_type", ["bert", "longformer"])
@pytest.mark.parametrize("method", ["full", "last_layers", "frozen"])
def test_the_published_flavours_are_fine_tuned_too(tmp_path, model_type, method):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    pretrained = build_model(model_type, len(TOKENS), 4, sizes | {"attention_window": 4})
    settings = replace(FAST, method=method, probe_first=True)
    assert fine_tune(tmp_path, pretrained, make_data(), settings)["validation_auroc"] > 0.85
    before, after = (
        pretrained.base_model.state_dict(),
        load_result(tmp_path).base_model.state_dict(),
    )
    changed = {name for name, values in before.items() if not torch.equal(values, after[name])}
    whose = {"full": "", "last_layers": "encoder.layer.1", "frozen": "nothing"}[method]
    assert bool(changed) == (method != "frozen") and all(n.startswith(whose) for n in changed)


def test_only_the_last_layers_change(tmp_path, pretrained):
    fine_tune(tmp_path, pretrained, make_data(), replace(FAST, method="last_layers"))
    before, after = pretrained.clm_ler, load_result(tmp_path).clm_ler
    same = {
        name
        for name, values in before.state_dict().items()
        if torch.equal(values, after.state_dict()[name])
    }
    assert {name.split(".")[1] for name in same if name.startswith("layers")} == {"0"}
    assert "embeddings.codes.weight" in same


def test_several_classes(tmp_path, pretrained):
    result = fine_tune(tmp_path, pretrained, make_data(classes=3), replace(FAST, probe_first=True))
    assert result["validation_auroc"] > 0.8
    assert load_result(tmp_path).config.problem_type == "single_label_classification"


def test_several_tasks_with_unknown_labels(tmp_path, pretrained):
    data = make_data(tasks=2)
    data.train.labels[::3, 1] = NO_LABEL
    result = fine_tune(tmp_path, pretrained, data, replace(FAST, probe_first=True))
    assert result["validation_auroc"] > 0.8
    assert load_result(tmp_path).config.problem_type == "multi_label_classification"


def test_a_finished_training_is_kept_and_a_changed_one_replaced(tmp_path, pretrained):
    data, settings = make_data(), replace(FAST, num_train_epochs=1)
    first = fine_tune(tmp_path, pretrained, data, settings)
    weights = (tmp_path / "result" / "model.safetensors").stat().st_mtime_ns
    assert fine_tune(tmp_path, pretrained, data, settings) == first
    assert (tmp_path / "result" / "model.safetensors").stat().st_mtime_ns == weights
    fine_tune(tmp_path, pretrained, data, replace(settings, learning_rate=1e-3))
    assert (tmp_path / "result" / "model.safetensors").stat().st_mtime_ns != weights


@pytest.mark.parametrize("changed", ["model", "labels", "history"])
def test_a_training_is_of_a_model_and_of_data_too(tmp_path, pretrained, changed):
    """With the same settings, in the same directory: nothing goes on from another's weights."""
    settings, data = replace(FAST, num_train_epochs=1), make_data()
    first = fine_tune(tmp_path / "one", pretrained, data, settings)
    other, others = pretrained, data
    if changed == "model":
        other = make_pretrained(seed=1)
    elif changed == "labels":
        train = replace(data.train, labels=1 - data.train.labels)
        others = replace(data, train=train)
    else:
        others = replace(data, train=replace(data.train, ends=data.train.ends - 1))
    fresh = fine_tune(tmp_path / "two", other, others, settings)
    assert fine_tune(tmp_path / "one", other, others, settings) == fresh != first


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(tmp_path):
    script = [sys.executable, "-m", "tests.modeling.training.test_finetuning"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # as many threads, the same sums
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = subprocess.Popen([*script, str(killed)], env=environment)
    while not (killed / "checkpoint-8" / "complete").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (killed / "result").exists(), "it was to be killed before its end"
    for folder in (whole, killed):
        subprocess.run([*script, str(folder)], env=environment, check=True)
    histories = [(folder / "result" / "training.json").read_text() for folder in (whole, killed)]
    assert histories[0] == histories[1]
    weights = [load_result(folder).state_dict() for folder in (whole, killed)]
    for name, values in weights[0].items():
        assert torch.equal(values, weights[1][name]), name


@pytest.mark.parametrize("changes", [{"num_train_epochs": 0.6}, {"early_stopping_patience": 1}])
def test_killed_after_its_last_step_it_trains_no_further(tmp_path, pretrained, changes):
    data, settings = make_data(), replace(FAST, **changes)
    first = fine_tune(tmp_path, pretrained, data, settings)
    whole, checkpoint = (tmp_path / "result").rename(tmp_path / "whole"), last_checkpoint(tmp_path)
    assert fine_tune(tmp_path, pretrained, data, settings) == first
    assert last_checkpoint(tmp_path) == checkpoint
    weights = "model.safetensors"
    assert (tmp_path / "result" / weights).read_bytes() == (whole / weights).read_bytes()


def test_the_initial_head_is_kept_where_training_makes_it_worse(tmp_path, pretrained):
    settings = replace(FAST, probe_first=True, learning_rate=10.0)
    result = fine_tune(tmp_path, pretrained, make_data(), settings)
    assert result["validation_auroc"] == result["history"][0]["auroc"]
    assert json.loads((tmp_path / "result" / "training.json").read_text()) == result


@pytest.mark.parametrize(
    ("proportions", "most", "expected"),
    [
        (None, None, [60, 20, 10]),
        ((1, 1, 1), None, [10, 10, 10]),
        ((4, 2, 0.5), None, [40, 20, 5]),
        (None, 3, [30, 20, 10]),
        ((1, 1, 0), 5, [20, 20, 0]),
    ],
)
def test_classes_in_proportion(proportions, most, expected):
    labels = np.repeat([0, 1, 2], [60, 20, 10])
    chosen = epoch_samples(labels, 0, 1, proportions, most)
    assert np.bincount(labels[chosen], minlength=3).tolist() == expected
    assert len(np.unique(chosen)) == len(chosen)


def test_the_scarcest_class_is_used_up_whatever_the_rounding():
    labels = np.repeat([0, 1], [1000, 4])
    chosen = epoch_samples(labels, 0, 1, (0.05, 0.95), None)
    assert (labels[chosen] == 1).sum() == 4


def test_every_epoch_draws_anew():
    labels = np.repeat([0, 1], [50, 5])
    draws = [epoch_samples(labels, epoch, 1, None, 1).tolist() for epoch in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_training_is_where_inference_is(tmp_path):
    arguments = batch_arguments(tmp_path, eval_steps=1, metric_for_best_model="auroc")
    assert arguments.device.type == inference.device().type
    assert arguments.use_cpu == (inference.device().type == "cpu"), "nothing else, such as mps"


def test_auroc_score_of_tasks_leaves_unknown_labels_out():
    labels = np.array([[0, 1], [1, 0], [0, NO_LABEL], [1, NO_LABEL]])
    logits = np.array([[0.0, 2], [1, 1], [2, 9], [3, 0]])
    assert auroc_score(labels, logits) == pytest.approx((0.75 + 1) / 2)


def test_loss_weighs_classes_and_ignores_unknown_labels():
    logits = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    plain = classification_loss(logits, torch.tensor([0, 1]))
    heavy = classification_loss(logits, torch.tensor([0, 1]), torch.tensor([9.0, 1.0]))
    assert heavy > plain
    tasks = classification_loss(logits, torch.tensor([[0, 1], [NO_LABEL, 1]]))
    assert tasks == pytest.approx((np.log(2) + 2 * np.log1p(np.exp(-1))) / 3)


if __name__ == "__main__":
    fine_tune(Path(sys.argv[1]), make_pretrained(), make_data(), LONG)
