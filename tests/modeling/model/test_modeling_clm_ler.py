"""The model: its forms give the same numbers, and it loads where Transformers would look for it."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from clm_ler.modeling.model.configuration_clm_ler import POOLINGS, TIME_ENCODINGS, ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import (
    ClmLerForMaskedLM,
    ClmLerForSequenceClassification,
    ClmLerModel,
    pack,
)

VOCABULARY, BINS, LENGTHS = 50, 4, (9, 4, 7)
INPUTS = ("input_ids", "token_type_ids", "position_ids", "attention_mask")


def config(**changes: object) -> ClmLerConfig:
    sizes = {
        "vocab_size": VOCABULARY,
        "num_lab_bins": BINS,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 400,
        "hidden_dropout_prob": 0.0,
        "initializer_range": 0.3,
    }
    return ClmLerConfig(**(sizes | changes))


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Three persons of different length, with masked codes and masked lab bins."""
    generator = torch.Generator().manual_seed(7)
    shape = (len(LENGTHS), max(LENGTHS))
    real = torch.arange(shape[1]) < torch.tensor(LENGTHS)[:, None]
    days = torch.randint(0, 40, shape, generator=generator).cumsum(1)
    bins = torch.randint(0, BINS + 1, shape, generator=generator)
    masked_index = torch.tensor([2, 5, 10, 20, 24])
    return {
        "input_ids": torch.randint(4, VOCABULARY, shape, generator=generator) * real,
        "token_type_ids": bins * real,
        "position_ids": days * real,
        "attention_mask": real.long(),
        "masked_index": masked_index,
        "labels": torch.randint(4, VOCABULARY, (5,), generator=generator),
        "bin_labels": torch.tensor([1, -100, 4, -100, 2]),
        "bin_only_index": torch.tensor([3, 8, 22]),
        "bin_only_labels": torch.tensor([4, 1, 2]),
    }


def masked_lm(**changes: object) -> ClmLerForMaskedLM:
    torch.manual_seed(0)
    return ClmLerForMaskedLM(config(**changes))


def loss_and_gradients(
    model: ClmLerForMaskedLM, batch: dict[str, object]
) -> tuple[Tensor, dict[str, Tensor]]:
    model.zero_grad()
    loss = model(**batch).loss
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("time_encoding", TIME_ENCODINGS)
@pytest.mark.parametrize("attention", ["sdpa", "varlen"])
def test_padded_and_packed_give_the_same_loss_and_gradients(
    batch: dict[str, Tensor], time_encoding: str, attention: str
) -> None:
    model = masked_lm(time_encoding=time_encoding)
    padded_loss, padded = loss_and_gradients(model, batch)
    model.set_attn_implementation(attention)
    packed_loss, packed = loss_and_gradients(model, pack(batch))
    torch.testing.assert_close(packed_loss, padded_loss)
    for name, gradient in padded.items():
        torch.testing.assert_close(packed[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_masked_positions_alone_give_the_loss_of_all_positions(batch: dict[str, Tensor]) -> None:
    model = masked_lm().eval()
    dense = {name: torch.full(batch["input_ids"].shape, -100) for name in ("labels", "bin_labels")}
    for name, values in dense.items():
        values.view(-1)[batch["masked_index"]] = batch[name]
    everywhere = {**batch, **dense, "masked_index": None}
    torch.testing.assert_close(model(**everywhere).loss, model(**batch).loss)


def test_padding_changes_nothing(batch: dict[str, Tensor]) -> None:
    model = masked_lm().eval()
    changed = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 17)
    torch.testing.assert_close(
        model(**{**batch, "input_ids": changed}).logits, model(**batch).logits
    )


def test_days_reach_the_model_unless_it_is_told_to_see_order_only(
    batch: dict[str, Tensor],
) -> None:
    other_days = {**batch, "position_ids": batch["position_ids"].flip(0) * 2}
    change = {}
    for time_encoding in TIME_ENCODINGS:
        model = masked_lm(time_encoding=time_encoding).eval()
        difference = model(**other_days).logits - model(**batch).logits
        change[time_encoding] = difference.abs().max().item()
    assert change["order"] == 0
    assert change["rope_days"] > 1e-3
    assert change["day_embedding"] > 1e-3


def test_only_the_days_between_events_matter_to_rotary_days(batch: dict[str, Tensor]) -> None:
    model = masked_lm().eval()
    shifted = {**batch, "position_ids": batch["position_ids"] + 100}
    torch.testing.assert_close(model(**shifted).logits, model(**batch).logits, rtol=1e-4, atol=1e-4)


def test_the_loss_is_that_of_the_pair_of_code_and_bin(batch: dict[str, Tensor]) -> None:
    del batch["bin_only_index"], batch["bin_only_labels"]
    model = masked_lm(bin_loss_weight=0.5).eval()
    output = model(**batch)
    codes = output.logits.log_softmax(-1)[torch.arange(5), batch["labels"]]
    labs = batch["bin_labels"] != -100
    bins = output.bin_logits[labs].log_softmax(-1)[torch.arange(3), batch["bin_labels"][labs] - 1]
    torch.testing.assert_close(output.loss, -(codes.sum() + 0.5 * bins.sum()) / 5)


def test_a_bin_masked_alone_is_told_from_the_code_that_stays(batch: dict[str, Tensor]) -> None:
    model = masked_lm().eval()
    index, truth = batch["bin_only_index"], batch["bin_only_labels"]
    with_them = model(**batch).loss
    states = model.clm_ler(**{name: batch[name] for name in INPUTS}).last_hidden_state
    codes = model.clm_ler.embeddings.codes(batch["input_ids"].flatten()[index])
    logits = model.bin_head(states.flatten(0, 1)[index] + codes).log_softmax(-1)
    alone = -logits[torch.arange(3), truth - 1].sum() / 5
    del batch["bin_only_index"], batch["bin_only_labels"]
    torch.testing.assert_close(with_them, model(**batch).loss + alone)


def test_a_step_in_pieces_has_the_loss_and_gradients_of_the_whole(
    batch: dict[str, Tensor],
) -> None:
    model = masked_lm()
    whole, gradients = loss_and_gradients(model, batch)
    model.zero_grad()
    pieces = [
        model(**part, num_items_in_batch=5).loss for part in (rows(batch, 0, 1), rows(batch, 1, 3))
    ]
    sum(pieces).backward()
    torch.testing.assert_close(sum(pieces).detach(), whole)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-6, msg=name)


def rows(batch: dict[str, Tensor], first: int, last: int) -> dict[str, Tensor]:
    """Return these rows of a padded batch, with their targets."""
    length = batch["input_ids"].shape[1]
    chosen = (batch["masked_index"] >= first * length) & (batch["masked_index"] < last * length)
    targets = {name: batch[name][chosen] for name in ("masked_index", "labels", "bin_labels")}
    targets["masked_index"] = targets["masked_index"] - first * length
    alone = batch["bin_only_index"] // length
    alone = (alone >= first) & (alone < last)
    targets["bin_only_index"] = batch["bin_only_index"][alone] - first * length
    targets["bin_only_labels"] = batch["bin_only_labels"][alone]
    return {name: v[first:last] for name, v in batch.items() if name not in targets} | targets


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_the_same_padded_and_packed(batch: dict[str, Tensor], pooling: str) -> None:
    torch.manual_seed(0)
    model = ClmLerModel(config(pooling=pooling)).eval()
    inputs = {name: batch[name] for name in INPUTS}
    padded = model(**inputs)
    packed = model(**pack(inputs))
    torch.testing.assert_close(packed.pooler_output, padded.pooler_output, rtol=1e-4, atol=1e-5)
    states = [padded.last_hidden_state[i, :length] for i, length in enumerate(LENGTHS)]
    expected = {"cls": lambda s: s[0], "mean": lambda s: s.mean(0), "last": lambda s: s[-1]}
    torch.testing.assert_close(
        padded.pooler_output, torch.stack([expected[pooling](s) for s in states])
    )


def test_without_bins_there_is_no_bin_head(batch: dict[str, Tensor]) -> None:
    for model in (masked_lm(num_lab_bins=0), masked_lm(bin_loss_weight=0.0)):
        assert model.bin_head is None
        no_bins = {**batch, "token_type_ids": torch.zeros_like(batch["token_type_ids"])}
        assert model(**no_bins).bin_logits is None


def test_the_class_labels_give_a_loss(batch: dict[str, Tensor]) -> None:
    inputs = {name: batch[name] for name in INPUTS[:3]}
    single = ClmLerForSequenceClassification(config(num_labels=3))
    output = single(**inputs, labels=torch.tensor([0, 2, 1]))
    assert output.logits.shape == (3, 3) and output.loss > 0
    several = ClmLerForSequenceClassification(
        config(num_labels=2, problem_type="multi_label_classification")
    )
    assert several(**inputs, labels=torch.tensor([[0, 1], [1, 1], [0, 0]])).loss > 0


def test_varlen_refuses_attention_dropout(batch: dict[str, Tensor]) -> None:
    model = masked_lm(attention_probs_dropout_prob=0.1)
    model.set_attn_implementation("varlen")
    with pytest.raises(ValueError, match="attention_probs_dropout_prob=0"):
        model(**pack(batch))


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="time_encoding is one of"):
        config(time_encoding="relative_key_query")
    with pytest.raises(ValueError, match="pooling is one of"):
        config(pooling="max")
    with pytest.raises(ValueError, match="even multiple"):
        config(hidden_size=15, num_attention_heads=3)


def test_a_saved_model_loads_through_the_auto_classes(batch, tmp_path) -> None:
    model = masked_lm().eval()
    model.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    again = AutoModelForMaskedLM.from_pretrained(tmp_path)
    torch.testing.assert_close(again(**batch).loss, model(**batch).loss, rtol=0, atol=0)
    encoder = AutoModel.from_pretrained(tmp_path)
    torch.testing.assert_close(
        encoder.embeddings.codes.weight, model.clm_ler.embeddings.codes.weight
    )
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    assert classifier.classifier.out_features == 3


def test_a_saved_model_loads_in_a_fresh_process(batch, tmp_path) -> None:
    model = masked_lm().eval()
    model.save_pretrained(tmp_path / "model")
    torch.save(batch, tmp_path / "batch.pt")
    script = (
        "import sys, clm_ler\n"
        "assert 'torch' not in sys.modules\n"  # the data pipelines do without
        "import torch\n"
        "from transformers import AutoModelForMaskedLM\n"
        "model = AutoModelForMaskedLM.from_pretrained(sys.argv[1])\n"
        "batch = torch.load(sys.argv[2], weights_only=True)\n"
        "print(repr(model(**batch).loss.item()))\n"
    )
    arguments = [str(tmp_path / "model"), str(tmp_path / "batch.pt")]
    fresh = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    assert float(fresh.stdout) == pytest.approx(model(**batch).loss.item(), abs=1e-6)
