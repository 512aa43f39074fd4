import json
import math

import numpy as np
import pytest
import torch

from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.objectives.mlm import MlmOptions, maskable_tokens
from clm_ler.modeling.objectives.mlm_metrics import (
    CodeSystems,
    context_free_predictors,
    count_unigrams,
    results_table,
    score,
    summarise,
)
from tests.modeling.records import BINS, WORDS, records, tokenizer

SYSTEMS = CodeSystems.from_tokens(["[PAD]", "A:1", "A:2", "B:1"])
TARGETS = {"labels": torch.tensor([1, 2, 3]), "bin_labels": torch.tensor([-100, 2, 4])}
LOGITS = torch.tensor([[0.0, 3.0, 1.0, 2.0], [0.0, 3.0, 1.0, 2.0], [9.0, 0.0, 0.0, 8.0]])
BIN_LOGITS = torch.tensor([[9.0, 0, 0, 0], [0, 0, 9.0, 0], [0, 0, 0, 9.0]])


def test_the_summary_is_that_of_counting_by_hand() -> None:
    result = summarise(score(TARGETS, LOGITS, BIN_LOGITS, SYSTEMS), SYSTEMS)
    nll = -LOGITS.log_softmax(-1)[torch.arange(3), TARGETS["labels"]].double()
    bin_nll = -BIN_LOGITS.log_softmax(-1)[[1, 2], [1, 3]].double()
    assert result["n"] == 3
    assert result["loss"] == pytest.approx(nll.mean().item(), abs=1e-6)
    assert result["perplexity"] == pytest.approx(math.exp(nll.mean()), abs=1e-5)
    assert result["joint_loss"] == pytest.approx(((nll.sum() + bin_nll.sum()) / 3).item(), abs=1e-6)
    assert result["accuracy"] == pytest.approx({"top1": 1 / 3, "top5": 1, "top10": 1})
    assert {name: values["n"] for name, values in result["by_system"].items()} == {"A": 2, "B": 1}
    assert result["by_system"]["A"]["accuracy"]["top1"] == 0.5
    assert result["lab_bins"]["n"] == 2
    assert (result["lab_bins"]["exact"], result["lab_bins"]["within_one"]) == (0.5, 1)


def test_logits_that_tell_nothing_hit_nothing_by_themselves() -> None:
    targets = {"labels": torch.arange(100)}
    systems = CodeSystems.from_tokens([f"A:{number}" for number in range(100)])
    for value in (0.0, math.nan):
        logits = torch.full((100, 100), value)
        accuracy = summarise(score(targets, logits, None, systems), systems)["accuracy"]
        assert accuracy == pytest.approx({"top1": 0.01, "top5": 0.05, "top10": 0.1})


def test_sums_add_up() -> None:
    parts = [
        score({n: v[i : i + 1] for n, v in TARGETS.items()}, LOGITS[[i]], BIN_LOGITS[[i]], SYSTEMS)
        for i in range(3)
    ]
    torch.testing.assert_close(sum(parts), score(TARGETS, LOGITS, BIN_LOGITS, SYSTEMS))


def test_the_table_takes_figures_by_name_whatever_their_order() -> None:
    """As they come back from JSON with sorted keys: top1, top10, top5."""
    result = summarise(score(TARGETS, LOGITS, BIN_LOGITS, SYSTEMS), SYSTEMS) | {"baselines": {}}
    result["accuracy"] = {"top1": 0.1, "top5": 0.5, "top10": 0.9}
    again = json.loads(json.dumps(result, sort_keys=True))
    assert list(again["accuracy"]) == ["top1", "top10", "top5"]
    assert results_table(again) == results_table(result)
    assert "| 0.100 | 0.500 | 0.900 |" in results_table(result)


@pytest.fixture(scope="module")
def store() -> TokenStore:
    return TokenStore.from_arrow(records(), split="train")


def test_unigrams_are_the_counts_of_what_may_be_masked(store: TokenStore) -> None:
    vocabulary = Vocabulary.from_tokenizer(tokenizer())
    maskable = maskable_tokens(vocabulary, MlmOptions())
    counts = count_unigrams(store, maskable, BINS)
    tokens = store.gather(np.arange(len(store)))
    expected = np.bincount(tokens.input_ids, minlength=len(WORDS)) * maskable
    np.testing.assert_array_equal(counts.codes, expected)
    assert counts.codes[WORDS.index("AGE:50")] == 0
    lab = tokens.input_ids == WORDS.index("LOINC:4548-4")
    np.testing.assert_array_equal(
        counts.bins[WORDS.index("LOINC:4548-4")],
        np.bincount(tokens.token_type_ids[lab], minlength=BINS + 1)[1:],
    )


def test_baselines_are_distributions_and_know_what_they_are_told(store: TokenStore) -> None:
    vocabulary = Vocabulary.from_tokenizer(tokenizer())
    counts = count_unigrams(store, maskable_tokens(vocabulary, MlmOptions()), BINS)
    systems = CodeSystems.from_tokens(WORDS)
    lab, code = WORDS.index("LOINC:4548-4"), WORDS.index("ICD10CM:0")
    batch = {
        "input_ids": torch.tensor([[2, 3, code, code, code], [2, 3, code + 1, code + 2, 0]]),
        "targets": {"masked_index": torch.tensor([1, 6]), "labels": torch.tensor([lab, code])},
    }
    probability = {
        name: predict(batch).exp()
        for name, predict in context_free_predictors(counts, systems).items()
    }
    for values in probability.values():
        torch.testing.assert_close(values.sum(dim=1), torch.ones(2), rtol=0, atol=1e-4)
    assert probability["unigram_in_system"][0, lab] == pytest.approx(1, abs=1e-4)
    own = probability["own_history"]
    assert own[0, code] == pytest.approx(
        0.5 + 0.5 * probability["unigram"][0, code].item(), abs=1e-4
    )
    torch.testing.assert_close(own[1, code], 0.5 * probability["unigram"][1, code])
