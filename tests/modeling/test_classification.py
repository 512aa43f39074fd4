"""Fine-tuning on a store where one code decides the label."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from clm_ler.modeling.classification import (
    UNKNOWN,
    FineTuning,
    FineTuningData,
    Samples,
    auroc_score,
    classification_loss,
    epoch_samples,
    fine_tune,
    load_result,
)
from clm_ler.modeling.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.inference import predict_logits
from clm_ler.modeling.modeling_clm_ler import ClmLerForMaskedLM
from tests.modeling.test_inference import FIRST_CODE, TOKENS, VOCABULARY, WINDOW, make_store

FAST = FineTuning(
    pooling="mean",
    probe_first=False,
    learning_rate=1e-2,
    num_train_epochs=4,
    tokens_per_batch=128,
    hidden_dropout_prob=0.0,
)


@pytest.fixture(scope="module")
def pretrained() -> ClmLerForMaskedLM:
    torch.manual_seed(0)
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
    samples = Samples(np.arange(120), ends, labels)
    return FineTuningData(
        store=store,
        vocabulary=VOCABULARY,
        window=WINDOW,
        train=samples[:80],
        valid=samples[80:],
        num_labels=classes if tasks == 1 else tasks,
        seed=1,
    )


def run(directory, pretrained, data, settings):
    return fine_tune(directory, {"settings": str(settings)}, pretrained, data, settings)


@pytest.mark.parametrize("method", ["full", "last_layers", "frozen"])
def test_every_method_learns_what_decides_the_label(tmp_path, pretrained, method):
    result = run(tmp_path, pretrained, make_data(), replace(FAST, method=method, probe_first=True))
    assert result["validation_auroc"] > 0.85


def test_only_the_last_layers_change(tmp_path, pretrained):
    run(tmp_path, pretrained, make_data(), replace(FAST, method="last_layers"))
    before, after = pretrained.clm_ler, load_result(tmp_path).clm_ler
    same = {
        name
        for name, values in before.state_dict().items()
        if torch.equal(values, after.state_dict()[name])
    }
    assert {name.split(".")[1] for name in same if name.startswith("layers")} == {"0"}
    assert "embeddings.codes.weight" in same


def test_several_classes(tmp_path, pretrained):
    result = run(tmp_path, pretrained, make_data(classes=3), replace(FAST, probe_first=True))
    assert result["validation_auroc"] > 0.8
    assert load_result(tmp_path).config.problem_type == "single_label_classification"


def test_several_tasks_with_unknown_labels(tmp_path, pretrained):
    data = make_data(tasks=2)
    data.train.labels[::3, 1] = UNKNOWN
    result = run(tmp_path, pretrained, data, replace(FAST, probe_first=True))
    assert result["validation_auroc"] > 0.8
    assert load_result(tmp_path).config.problem_type == "multi_label_classification"


def test_a_finished_training_is_kept_and_a_changed_one_replaced(tmp_path, pretrained):
    data, settings = make_data(), replace(FAST, num_train_epochs=1)
    first = run(tmp_path, pretrained, data, settings)
    weights = (tmp_path / "result" / "model.safetensors").stat().st_mtime_ns
    assert run(tmp_path, pretrained, data, settings) == first
    assert (tmp_path / "result" / "model.safetensors").stat().st_mtime_ns == weights
    run(tmp_path, pretrained, data, replace(settings, learning_rate=1e-3))
    assert (tmp_path / "result" / "model.safetensors").stat().st_mtime_ns != weights


def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(
    tmp_path, pretrained, monkeypatch
):
    from clm_ler.modeling import classification

    data, settings = make_data(), replace(FAST, num_train_epochs=3, early_stopping_patience=9)
    whole = run(tmp_path / "whole", pretrained, data, settings)
    calls, evaluate = [], classification.validation_auroc

    def fail_later(model, data):
        calls.append(0)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return evaluate(model, data)

    monkeypatch.setattr(classification, "validation_auroc", fail_later)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", pretrained, data, settings)
    assert not (tmp_path / "killed" / "result").exists()
    monkeypatch.undo()
    assert run(tmp_path / "killed", pretrained, data, settings) == whole
    logits = [
        predict_logits(
            load_result(tmp_path / name), data.store, np.arange(9), None, VOCABULARY, WINDOW
        )
        for name in ("whole", "killed")
    ]
    assert np.array_equal(*logits)


def test_the_initial_head_is_kept_where_training_makes_it_worse(tmp_path, pretrained):
    settings = replace(FAST, probe_first=True, learning_rate=10.0)
    result = run(tmp_path, pretrained, make_data(), settings)
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


def test_every_epoch_draws_anew():
    labels = np.repeat([0, 1], [50, 5])
    draws = [epoch_samples(labels, epoch, 1, None, 1).tolist() for epoch in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_auroc_score_of_tasks_leaves_unknown_labels_out():
    labels = np.array([[0, 1], [1, 0], [0, UNKNOWN], [1, UNKNOWN]])
    logits = np.array([[0.0, 2], [1, 1], [2, 9], [3, 0]])
    assert auroc_score(labels, logits) == pytest.approx((0.75 + 1) / 2)


def test_loss_weighs_classes_and_ignores_unknown_labels():
    logits = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    plain = classification_loss(logits, torch.tensor([0, 1]))
    heavy = classification_loss(logits, torch.tensor([0, 1]), torch.tensor([9.0, 1.0]))
    assert heavy > plain
    tasks = classification_loss(logits, torch.tensor([[0, 1], [UNKNOWN, 1]]))
    assert tasks == pytest.approx((np.log(2) + 2 * np.log1p(np.exp(-1))) / 3)
