"""The model: its forms give the same numbers, and it loads where Transformers would look for it."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from clm_ler.modeling.data.packing import pack
from clm_ler.modeling.model.configuration_clm_ler import (
    POOLINGS,
    TIME_ENCODINGS,
    ClmLerConfig,
    pooled_size,
)
from clm_ler.modeling.model.lab_forecasts import expected_places
from clm_ler.modeling.model.modeling_clm_ler import (
    ClmLerForMaskedLM,
    ClmLerForSequenceClassification,
    ClmLerModel,
)

VOCABULARY, BINS, LENGTHS = 50, 4, (9, 4, 7)


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
    """Three persons of different length."""
    generator = torch.Generator().manual_seed(7)
    shape = (len(LENGTHS), max(LENGTHS))
    real = torch.arange(shape[1]) < torch.tensor(LENGTHS)[:, None]
    days = torch.randint(0, 40, shape, generator=generator).cumsum(1)
    bins = torch.randint(0, BINS + 1, shape, generator=generator)
    return {
        "input_ids": torch.randint(4, VOCABULARY, shape, generator=generator) * real,
        "token_type_ids": bins * real,
        "position_ids": days * real,
        "attention_mask": real.long(),
    }


def masked_lm(**changes: object) -> ClmLerForMaskedLM:
    torch.manual_seed(0)
    return ClmLerForMaskedLM(config(**changes))


@pytest.mark.parametrize("kind", [torch.bool, torch.long, torch.float])
def test_padding_changes_nothing(batch: dict[str, Tensor], kind: torch.dtype) -> None:
    model = masked_lm().eval()
    batch = {**batch, "attention_mask": batch["attention_mask"].to(kind)}
    changed = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 17)
    real, found = batch["attention_mask"] == 1, model(**{**batch, "input_ids": changed}).logits
    torch.testing.assert_close(found[real], model(**batch).logits[real])


@pytest.mark.parametrize("attention", ["varlen", "eager"])
def test_whichever_attention_is_chosen_no_token_attends_to_padding(
    batch: dict[str, Tensor], attention: str
) -> None:
    model = masked_lm().eval()
    padded, packed = model(**batch).logits, model(**pack(batch)).logits
    model.set_attn_implementation(attention)
    torch.testing.assert_close(model(**batch).logits, padded)
    torch.testing.assert_close(model(**pack(batch)).logits, packed)


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


def test_the_query_is_told_who_is_asked_about(batch: dict[str, Tensor]) -> None:
    """With no layer in between, its state changes with the baseline alone, padded and packed."""
    days = torch.where(torch.arange(max(LENGTHS)) < 2, 0, batch["position_ids"] + 1)
    ids = batch["input_ids"].clone()
    ids[:, 0] = ids[range(len(LENGTHS)), [length - 1 for length in LENGTHS]] = 2  # [CLS], the query
    batch = {**batch, "input_ids": ids, "position_ids": days * batch["attention_mask"]}
    person, event = (batch["input_ids"].clone() for _ in range(2))
    person[:, 1] = 5 + (person[:, 1] - 4) % (VOCABULARY - 5)
    event[:, 2] = 5 + (event[:, 2] - 4) % (VOCABULARY - 5)
    for told in (True, False):
        torch.manual_seed(0)
        asking = config(num_hidden_layers=0, pooling="query", query_token=True, query_person=told)
        model = ClmLerModel(asking).eval()

        def query(ids: Tensor, model: ClmLerModel = model) -> Tensor:
            changed = {**batch, "input_ids": ids}
            found = model(**changed).pooler_output
            torch.testing.assert_close(model(**pack(changed)).pooler_output, found)
            return found

        same = query(batch["input_ids"])
        assert torch.equal(query(event), same)
        assert torch.equal(query(person), same) is not told
        unasked = batch["input_ids"].clone()
        unasked[range(len(LENGTHS)), [length - 1 for length in LENGTHS]] = 7  # no query
        changed = unasked.clone()
        changed[:, 1] = person[:, 1]
        assert torch.equal(query(changed), query(unasked))


def test_ages_that_are_near_each_other_have_rows_that_are_alike() -> None:
    torch.manual_seed(0)
    table = ClmLerModel(config(age_waves=8)).embeddings
    years = torch.full((VOCABULARY,), -1)
    years[4:44] = torch.arange(30, 70)
    table.number_ages(years)
    rows = table.code_rows(torch.arange(VOCABULARY))
    others = [*range(4), *range(44, VOCABULARY)]
    assert torch.equal(rows[others], table.codes(torch.tensor(others)))
    apart = torch.cdist(rows[4:44], rows[4:44])
    year, decade = apart.diagonal(1).mean(), apart.diagonal(10).mean()
    assert 0 < year < decade / 3
    rows[4:44].sum().backward()
    assert not table.codes.weight.grad[4:44].any()  # no year has a row of its own


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_the_same_padded_and_packed(batch: dict[str, Tensor], pooling: str) -> None:
    torch.manual_seed(0)
    chosen = {"lab_rows": 3, "lab_forecasts": True} if "labs" in pooling else {}
    model = ClmLerModel(config(pooling=pooling, query_token="query" in pooling, **chosen)).eval()
    if chosen:
        model.embeddings.number_labs(batch["input_ids"][0, :3])
    padded = model(**batch)
    assert padded.pooler_output.shape[1] == pooled_size(model.config)
    packed = model(**pack(batch))
    torch.testing.assert_close(packed.pooler_output, padded.pooler_output, rtol=1e-4, atol=1e-5)
    states = [padded.last_hidden_state[i, :length] for i, length in enumerate(LENGTHS)]
    expected = {"cls": lambda s: s[0], "mean": lambda s: s.mean(0), "last": lambda s: s[-1]}
    expected["query"] = expected["last"]
    expected["query+mean"] = lambda s: torch.cat([s[-1], s.mean(0)])
    found = torch.stack([expected[pooling.removesuffix("+labs")](s) for s in states])
    if chosen:
        found = torch.cat([found, expected_places(padded.lab_logits)], dim=1)
    torch.testing.assert_close(padded.pooler_output, found)


def test_without_bins_there_is_no_bin_head(batch: dict[str, Tensor]) -> None:
    for model in (masked_lm(num_lab_bins=0), masked_lm(bin_loss_weight=0.0)):
        assert model.bin_head is None
        no_bins = {**batch, "token_type_ids": torch.zeros_like(batch["token_type_ids"])}
        assert model(**no_bins).bin_logits is None


def test_the_class_labels_give_a_loss(batch: dict[str, Tensor]) -> None:
    inputs = {name: batch[name] for name in list(batch)[:3]}
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
    torch.testing.assert_close(again(**batch).logits, model(**batch).logits, rtol=0, atol=0)
    encoder = AutoModel.from_pretrained(tmp_path)
    torch.testing.assert_close(
        encoder.embeddings.codes.weight, model.clm_ler.embeddings.codes.weight
    )
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    assert classifier.classifier.out_features == 3


@pytest.mark.slow
def test_a_saved_model_loads_in_a_fresh_process(batch, tmp_path) -> None:
    model = masked_lm().eval()
    model.save_pretrained(tmp_path / "model")
    torch.save(batch, tmp_path / "batch.pt")
    script = (
        "import sys, clm_ler\n"
        "assert 'torch' not in sys.modules\n"  # the data pipelines do without
        "import torch\n"
        "from transformers import AutoModelForMaskedLM\n"
        "import clm_ler.modeling\n"
        "model = AutoModelForMaskedLM.from_pretrained(sys.argv[1])\n"
        "batch = torch.load(sys.argv[2], weights_only=True)\n"
        "print(repr(model(**batch).logits.sum().item()))\n"
    )
    arguments = [str(tmp_path / "model"), str(tmp_path / "batch.pt")]
    fresh = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    assert float(fresh.stdout) == pytest.approx(model(**batch).logits.sum().item(), abs=1e-2)
