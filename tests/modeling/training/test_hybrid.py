"""The hybrid of a fine-tuned model: it is what was chosen, and the same when it is read again."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.metrics import roc_auc_score

from clm_ler.modeling.data.samples import NO_LABEL
from clm_ler.modeling.evaluation.combining import BOTH, CANDIDATES, MODEL, RANKS, WINDOWED
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForSequenceClassification
from clm_ler.modeling.training.hybrid import DESCRIPTION, Hybrid, HybridInputs, fit_hybrid

ROWS, FEATURES, HIDDEN = 300, 12, 16
SPLITS = np.array(["train", "train", "valid", "test"] * (ROWS // 4))


def make_model(labels=2, **changes):
    torch.manual_seed(0)
    sizes = {"hidden_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ClmLerConfig(vocab_size=9, intermediate_size=32, num_labels=labels, **sizes)
    config.problem_type = "single_label_classification"
    for name, value in changes.items():
        setattr(config, name, value)
    return ClmLerForSequenceClassification(config)


def draw(in_model, in_windowed, outputs=1, seed=0):
    """Outcomes, and inputs that know of them what the arguments say."""
    generator = np.random.default_rng(seed)
    risk = generator.normal(size=(ROWS, outputs))
    labels = (risk + 0.3 * generator.normal(size=risk.shape) > 0.2).astype(np.int64)
    noise = generator.normal(size=(3, ROWS, outputs))
    windowed = sp.random(ROWS, FEATURES, 0.4, "csr", dtype=np.float32, random_state=seed).tolil()
    windowed[:, :outputs] = in_windowed * risk + noise[0]
    embeddings = generator.normal(size=(ROWS, HIDDEN)).astype(np.float32)
    probabilities = 1 / (1 + np.exp(-(in_model * risk + noise[1])))
    return labels, HybridInputs(probabilities, embeddings, windowed.tocsr())


def auroc(labels, scores):
    test = SPLITS == "test"
    return roc_auc_score(labels[test], scores[test])


@pytest.mark.parametrize(("in_model", "in_windowed", "expected"), [(9, 0, MODEL), (0, 9, WINDOWED)])
def test_what_knows_the_outcome_is_chosen(in_model, in_windowed, expected):
    labels, inputs = draw(in_model, in_windowed)
    hybrid = fit_hybrid(make_model(), inputs, labels[:, 0], SPLITS)
    assert set(hybrid.outputs[0].validation_auroc) == set(CANDIDATES)
    chosen = hybrid.outputs[0]
    assert chosen.validation_auroc[chosen.chosen] >= chosen.validation_auroc[expected] > 0.9
    found = hybrid.predict(inputs)
    assert found.shape == (ROWS, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert auroc(labels[:, 0], found[:, 1]) > 0.9


def test_two_halves_of_the_truth_make_a_better_whole():
    labels, inputs = draw(1, 1, seed=3)
    hybrid = fit_hybrid(make_model(), inputs, labels[:, 0], SPLITS)
    assert hybrid.outputs[0].chosen in (RANKS, BOTH)
    ours = auroc(labels[:, 0], hybrid.predict(inputs)[:, 1])
    assert ours > auroc(labels[:, 0], inputs.probabilities[:, 0])


@pytest.mark.parametrize("chosen", CANDIDATES)
def test_a_saved_hybrid_predicts_the_same(chosen, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "clm_ler.modeling.training.hybrid.choose_combination",
        lambda labels, scores: (chosen, dict.fromkeys(scores, 0.5)),
    )
    labels, inputs = draw(1, 1)
    hybrid = fit_hybrid(make_model(), inputs, labels[:, 0], SPLITS)
    hybrid.save_pretrained(tmp_path / "hybrid")
    again = Hybrid.from_pretrained(tmp_path / "hybrid")
    np.testing.assert_array_equal(again.predict(inputs), hybrid.predict(inputs))
    one = HybridInputs(inputs.probabilities[5:6], inputs.embeddings[5:6], inputs.windowed[5:6])
    np.testing.assert_allclose(again.predict(one), hybrid.predict(inputs)[5:6], rtol=1e-9)
    suffixes = {file.suffix for file in (tmp_path / "hybrid").iterdir()}
    assert suffixes <= {".json", ".safetensors", ".txt"}
    again.check(make_model())
    with pytest.raises(ValueError, match="another finetuned_model"):
        torch.manual_seed(1)
        again.check(ClmLerForSequenceClassification(make_model().config))


def test_several_tasks_have_an_output_each_and_may_lack_labels():
    labels, inputs = draw(1, 1, outputs=2)
    labels[::5, 1] = NO_LABEL
    model = make_model(problem_type="multi_label_classification")
    hybrid = fit_hybrid(model, inputs, labels, SPLITS)
    assert len(hybrid.outputs) == 2
    assert hybrid.predict(inputs).shape == (ROWS, 2)


def test_classes_are_probabilities_together():
    labels, inputs = draw(1, 1, outputs=3)
    hybrid = fit_hybrid(make_model(labels=3), inputs, labels.argmax(axis=1), SPLITS)
    np.testing.assert_allclose(hybrid.predict(inputs).sum(axis=1), 1)


def test_without_outputs_it_can_be_kept_too(tmp_path):
    Hybrid().save_pretrained(tmp_path)
    assert Hybrid.from_pretrained(tmp_path) == Hybrid()


def test_other_features_are_refused(tmp_path):
    labels, inputs = draw(0, 9)
    hybrid = fit_hybrid(make_model(), inputs, labels[:, 0], SPLITS)
    narrow = HybridInputs(inputs.probabilities, inputs.embeddings, inputs.windowed[:, :-1])
    with pytest.raises(ValueError, match="fitted on 12 summaries and embeddings of width 16, not"):
        hybrid.predict(narrow)
    hybrid.save_pretrained(tmp_path)
    described = json.loads((tmp_path / DESCRIPTION).read_text())
    for change, match in (({"features": 3}, "does not fit"), ({"version": 0}, "version 0")):
        (tmp_path / DESCRIPTION).write_text(json.dumps(described | change))
        with pytest.raises(ValueError, match=match):
            Hybrid.from_pretrained(tmp_path)
