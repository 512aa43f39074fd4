from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from transformers import AutoModelForMaskedLM

from clm_ler.files.model_folder import UnfitModelError, check_folder, check_weights
from clm_ler.modeling.loading import (
    FLAVOURS,
    build_model,
    continue_from,
    encoder_of,
    load_model,
    number_labs,
)

BINS = 4
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "attention_window": 4,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.3,
}
BATCH = {
    "input_ids": torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]]),
    "token_type_ids": torch.tensor([[0, 1, 0, 5], [0, 4, 5, 0]]),
    "position_ids": torch.tensor([[0, 1, 9, 40], [0, 1, 1, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]).bool(),
}


@pytest.mark.parametrize("model_type", FLAVOURS)
def test_each_flavour_takes_our_batches_and_sees_days_and_bins(
    model_type: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = build_model(model_type, 10, BINS, SIZES).eval()
    output = model(**BATCH)
    assert output.logits.shape == (2, 4, 10)
    seen = model(**BATCH, read_out=lambda model, states, *_: model.code_logits(states))
    torch.testing.assert_close(seen, output.logits.flatten(0, 1))
    for name, changed in (("position_ids", 30), ("token_type_ids", 2)):
        values = BATCH[name].clone()
        values[0, 1] = changed
        logits = model(**{**BATCH, name: values}).logits
        assert not torch.allclose(logits[0, 3], output.logits[0, 3])
    model.save_pretrained(tmp_path)
    again = load_model(tmp_path).eval()
    torch.testing.assert_close(again(**BATCH).logits, output.logits, rtol=0, atol=0)


@pytest.mark.parametrize("model_type", FLAVOURS)
def test_each_flavour_keeps_how_it_pools(model_type: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(model_type, 10, BINS, SIZES | {"pooling": "cls"}).eval()
    model.save_pretrained(tmp_path)
    encoder = encoder_of(load_model(tmp_path))
    states = encoder(**BATCH)
    assert encoder.config.pooling == "cls"
    torch.testing.assert_close(states.pooler_output, states.last_hidden_state[:, 0])


def test_the_published_flavours_load_as_the_stock_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model("bert", 10, BINS, SIZES).eval()
    model.save_pretrained(tmp_path)
    stock = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(stock(**BATCH).logits, model(**BATCH).logits)


def test_an_earlier_model_is_continued_token_by_token() -> None:
    """The same tokens in another order, and two more: the old ones keep what they knew."""
    before = {"[PAD]": 0, "a": 1, "b": 2, "c": 3}
    now = {"[PAD]": 0, "c": 1, "new": 2, "a": 3, "newer": 4, "b": 5}
    torch.manual_seed(0)
    earlier = build_model("clm_ler", len(before), BINS, SIZES).eval()
    model = build_model("clm_ler", len(now), BINS, SIZES).eval()
    continue_from(model, now, earlier, before)
    inputs = {
        "position_ids": torch.tensor([[0, 3, 9]]),
        "token_type_ids": torch.tensor([[0, 1, 0]]),
    }
    old = earlier(input_ids=torch.tensor([[1, 2, 3]]), **inputs).logits
    new = model(input_ids=torch.tensor([[now["a"], now["b"], now["c"]]]), **inputs).logits
    torch.testing.assert_close(new[..., [now[token] for token in before]], old)


def test_what_is_known_of_labs_goes_with_their_codes() -> None:
    before, now = {"[PAD]": 0, "a": 1, "b": 2}, {"[PAD]": 0, "b": 1, "new": 2, "a": 3}
    forecast = SIZES | {"query_token": True, "lab_forecasts": True}
    torch.manual_seed(0)
    earlier = build_model("clm_ler", len(before), BINS, forecast | {"lab_rows": 2}).eval()
    number_labs(earlier, np.array([1, 2]))
    model = build_model("clm_ler", len(now), BINS, forecast | {"lab_rows": 3}).eval()
    number_labs(model, np.array([2, 3, 1]))  # new, a, b
    continue_from(model, now, earlier, before)
    rest = {
        "position_ids": torch.tensor([[0, 3, 9]]),
        "token_type_ids": torch.tensor([[0, 1, 2]]),
    }
    old = earlier.base_model(input_ids=torch.tensor([[1, 1, 2]]), **rest).lab_logits
    new = model.base_model(input_ids=torch.tensor([[3, 3, 1]]), **rest).lab_logits
    torch.testing.assert_close(new[:, 1:], old)


def test_a_vocabulary_that_shrank_is_refused() -> None:
    earlier = build_model("clm_ler", 3, BINS, SIZES)
    model = build_model("clm_ler", 2, BINS, SIZES)
    with pytest.raises(ValueError, match="lacks 1 of the 3 tokens"):
        continue_from(model, {"[PAD]": 0, "a": 1}, earlier, {"[PAD]": 0, "a": 1, "b": 2})


def test_an_earlier_model_of_other_sizes_is_refused() -> None:
    vocabulary = {"[PAD]": 0, "a": 1, "b": 2}
    earlier = build_model("clm_ler", 3, BINS, SIZES | {"hidden_size": 8})
    model = build_model("clm_ler", 3, BINS, SIZES)
    with pytest.raises(ValueError, match="other sizes"):
        continue_from(model, vocabulary, earlier, vocabulary)


def test_an_earlier_model_that_saw_time_otherwise_is_refused() -> None:
    vocabulary = {"[PAD]": 0, "a": 1, "b": 2}
    earlier = build_model("clm_ler", 3, BINS, SIZES)
    model = build_model("clm_ler", 3, BINS, SIZES | {"rope_theta": 1e6})
    with pytest.raises(ValueError, match=r"other choices: set pretrain.rope_theta=10000.0\.$"):
        continue_from(model, vocabulary, earlier, vocabulary)


def test_a_model_without_a_curve_of_ages_is_continued_with_one() -> None:
    vocabulary = {"[PAD]": 0, "a": 1, "b": 2}
    earlier = build_model("clm_ler", 3, BINS, SIZES)
    model = build_model("clm_ler", 3, BINS, SIZES | {"age_waves": 4}).eval()
    curve = model.base_model.embeddings.ages.weight.clone()
    continue_from(model, vocabulary, earlier, vocabulary)
    assert torch.equal(model.base_model.embeddings.ages.weight, curve)
    weights = [m.base_model.layers[0].mlp[0].weight for m in (model, earlier)]
    assert torch.equal(*weights)


@pytest.mark.parametrize("harm", ["cut", "sizes", "lacking", "config", "code", "pickle"])
def test_a_harmed_or_foreign_model_is_refused(harm: str, tmp_path: Path) -> None:
    build_model("clm_ler", 10, BINS, SIZES).save_pretrained(tmp_path)
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    if harm == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif harm == "sizes":
        build_model("clm_ler", 12, BINS, SIZES).save_pretrained(tmp_path / "other")
        weights.write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
        (tmp_path / "other" / "model.safetensors").unlink()
    elif harm == "lacking":
        weights.write_bytes(save({"nothing": torch.zeros(1)}))
    elif harm == "config":
        config.write_text("{")
    elif harm == "code":
        config.write_text('{"model_type": "clm_ler", "auto_map": {"AutoModel": "evil.Model"}}')
    else:
        torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises((UnfitModelError, RuntimeError)):
        check_folder(tmp_path)
        check_weights(load_model(tmp_path), tmp_path)


@pytest.mark.parametrize("model_type", FLAVOURS)
def test_a_model_as_it_was_saved_fits(model_type: str, tmp_path: Path) -> None:
    build_model(model_type, 10, BINS, SIZES).save_pretrained(tmp_path)
    check_folder(tmp_path)
    check_weights(load_model(tmp_path), tmp_path)
