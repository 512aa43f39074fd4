from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate.data_loader import skip_first_batches

from clm_ler.modeling.data.windows import WindowOptions, cut, evaluation_windows
from clm_ler.modeling.objectives.mlm import Mlm, MlmOptions
from clm_ler.modeling.objectives.mlm_metrics import CodeSystems
from clm_ler.modeling.training.loaders import BatchRecipe, evaluation_loader, train_loader
from tests.modeling.persons import IDS, TOKENS, VOCABULARY, Person, make_store

SIZE = WindowOptions(override_maxlen=16)
OBJECTIVE = Mlm(MlmOptions(), VOCABULARY, CodeSystems.from_tokens(TOKENS))
RECIPE = BatchRecipe(OBJECTIVE, VOCABULARY, SIZE, tokens_per_batch=64, seed=1)


@pytest.fixture(scope="module")
def store():
    rng = np.random.default_rng(0)
    people = []
    for number in range(50):
        days = np.cumsum(rng.integers(0, 30, rng.integers(1, 40)))
        codes = rng.integers(IDS["ICD10CM:0"], len(IDS), len(days))
        events = [
            (int(d - days[0]) + 1, int(c), int(c) % 11) for d, c in zip(days, codes, strict=True)
        ]
        people.append(Person([(0, IDS[f"AGE:{number}"], 0)], events, number * 365))
    return make_store(people, rows_per_chunk=9)


def train_batches(store, workers=0):
    return train_loader(replace(RECIPE, workers=workers), store, epochs=3)


def evaluation_batches(store, seed=1):
    return evaluation_loader(replace(RECIPE, seed=seed), store, np.arange(len(store)))


def epoch_of(loader, epoch):
    loader.dataset.set_epoch(epoch)
    return list(loader)


def same(left, right):
    return len(left) == len(right) and all(map(equal, left, right))


def equal(left, right):
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[name], right[name]) for name in left)
    return torch.equal(left, right)


def test_train_batches_decode_to_windows_of_the_store(store):
    for batch in epoch_of(train_batches(store), 1):
        ids = batch["input_ids"].clone()
        ids.view(-1)[batch["targets"]["masked_index"]] = batch["targets"]["labels"]
        real = batch["attention_mask"]
        assert (ids[~real] == 0).all() and (batch["position_ids"][~real] == 0).all()
        assert (ids[real] > 3).sum() + len(ids) == real.sum()  # all but [CLS] are true tokens
        assert (ids[:, 0] == IDS["[CLS]"]).all() and (batch["position_ids"][:, 2] == 1).all()
        # Codes tell their bins here, so that both targets can be checked against each other.
        bins = batch["targets"]["labels"] % 11
        assert (batch["targets"]["bin_labels"] == torch.where(bins > 0, bins, -100)).all()


def test_evaluation_is_the_recent_windows_with_fixed_masks(store):
    loader = evaluation_batches(store)
    first = epoch_of(loader, 0)
    assert same(first, epoch_of(loader, 1))
    assert not same(first, list(evaluation_batches(store, seed=2)))
    windows = evaluation_windows(store, np.arange(len(store)), SIZE)
    tokens = cut(store, windows, VOCABULARY)
    assert sum(int(batch["attention_mask"].sum()) for batch in first) == tokens.offsets[-1]


def test_train_masks_differ_between_epochs(store):
    loader = train_batches(store)
    masked = [
        torch.cat([batch["targets"]["masked_index"] for batch in epoch_of(loader, epoch)])
        for epoch in (0, 1)
    ]
    assert not torch.equal(*[index[:20] for index in masked])


def test_workers_do_not_change_a_batch(store):
    alone, helped = train_batches(store), train_batches(store, workers=2)
    for epoch in (1, 2):  # the workers live on from one epoch to the next
        assert same(epoch_of(alone, epoch), epoch_of(helped, epoch))


def test_resuming_in_the_middle_of_an_epoch_is_exact(store):
    whole = epoch_of(train_batches(store), 2)
    resumed = skip_first_batches(train_batches(store), 3)
    resumed.dataset.set_epoch(2)
    assert same(list(resumed), whole[3:])
