import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, skip_first_batches
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.modeling.data.batches import (
    PlannedBatches,
    mlm_evaluation_loader,
    mlm_train_loader,
    plan_batches,
)
from clm_ler.modeling.data.windows import WindowOptions, Windows, cut, evaluation_windows
from clm_ler.modeling.objectives.mlm import MaskingOptions
from tests.modeling.persons import IDS, VOCABULARY, Person, make_store

lengths_of_rows = st.lists(st.integers(1, 300), min_size=1, max_size=60)
BUDGET, SIZE, MASKING = 64, WindowOptions(max_length=16), MaskingOptions()


def windows_of(lengths):
    rows = np.arange(len(lengths))
    zero = np.zeros(len(lengths), np.int32)
    return Windows(rows, zero, zero, np.array(lengths, np.int32) - 1)


def sampler(lengths, **options):
    return PlannedBatches(lambda epoch: windows_of(lengths), 400, seed=7, **options)


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


def train_loader(store, epochs=3, **options):
    return mlm_train_loader(
        store, VOCABULARY, SIZE, MASKING, BUDGET, seed=1, epochs=epochs, **options
    )


def evaluation_loader(store, seed=1, **options):
    return mlm_evaluation_loader(store, VOCABULARY, SIZE, MASKING, BUDGET, seed=seed, **options)


def epoch_of(loader, epoch):
    loader.dataset.set_epoch(epoch)
    return list(loader)


def same(left, right):
    return len(left) == len(right) and all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(left, right, strict=True)
    )


@given(lengths_of_rows, st.integers(1, 1000), st.none() | st.integers(0, 99), st.data())
def test_a_plan_holds_every_row_once_within_the_budget(lengths, budget, seed, data):
    rng = None if seed is None else np.random.default_rng(seed)
    fewest = len(plan_batches(np.array(lengths), budget))
    count = data.draw(st.none() | st.integers(min(2 * fewest, len(lengths)), len(lengths)))
    plan = plan_batches(np.array(lengths), budget, rng, count)
    batches = [plan[number] for number in range(len(plan))]
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert count is None or len(plan) == count
    for rows in batches:
        widest = max(lengths[row] for row in rows)
        assert len(rows) == 1 or len(rows) * widest <= budget


def test_a_plan_cannot_have_more_batches_than_rows():
    with pytest.raises(ValueError, match="3 rows in 1 batches cannot make 4"):
        plan_batches(np.array([5, 5, 5]), 100, count=4)


def test_little_is_padding():
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(4.9, 0.75, 16_000), 5, 512).astype(int)
    plan = plan_batches(lengths, 16_384, rng)
    sizes = [len(plan[number]) * lengths[plan[number]].max() for number in range(len(plan))]
    assert 1 - lengths.sum() / sum(sizes) < 0.03


@given(lengths_of_rows, st.integers(1, 4), st.integers(1, 3))
def test_ranks_share_every_row_in_equal_steps(lengths, ranks, epochs):
    if len(lengths) < 4 * ranks:
        return
    batches = sampler(lengths, epochs=epochs, processes=ranks)
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        shards = [
            list(BatchSamplerShard(batches, ranks, rank, even_batches=False))
            for rank in range(ranks)
        ]
        assert {len(shard) for shard in shards} == {len(batches) // ranks}
        rows = [index.windows.rows for shard in shards for index in shard]
        assert sorted(np.concatenate(rows).tolist()) == list(range(len(lengths)))


def test_epochs_differ_and_repeat_exactly():
    lengths = np.random.default_rng(0).integers(1, 300, 200)
    orders = []
    for epoch in (0, 1, 0):
        batches = sampler(lengths, epochs=2)
        batches.set_epoch(epoch)
        orders.append([index.windows.rows.tolist() for index in batches])
    assert orders[0] == orders[2] != orders[1]


def test_every_epoch_has_as_many_steps_though_its_windows_differ():
    lengths = {0: [300] * 40, 1: [20] * 40}
    batches = PlannedBatches(lambda epoch: windows_of(lengths[epoch]), 600, seed=1, epochs=2)
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        assert len(list(batches)) == len(batches) == 20


def test_train_batches_decode_to_windows_of_the_store(store):
    for batch in epoch_of(train_loader(store), 1):
        ids = batch["input_ids"].clone()
        ids.view(-1)[batch["masked_index"]] = batch["labels"]
        real = batch["attention_mask"]
        assert (ids[~real] == 0).all() and (batch["position_ids"][~real] == 0).all()
        assert (ids[real] > 3).sum() + len(ids) == real.sum()  # all but [CLS] are true tokens
        assert (ids[:, 0] == IDS["[CLS]"]).all() and (batch["position_ids"][:, 2] == 1).all()
        # Codes tell their bins here, so that both targets can be checked against each other.
        bins = batch["labels"] % 11
        assert (batch["bin_labels"] == torch.where(bins > 0, bins, -100)).all()


def test_evaluation_is_the_recent_windows_with_fixed_masks(store):
    loader = evaluation_loader(store)
    first = epoch_of(loader, 0)
    assert same(first, epoch_of(loader, 1))
    assert not same(first, list(evaluation_loader(store, seed=2)))
    windows = evaluation_windows(store, np.arange(len(store)), SIZE)
    tokens = cut(store, windows, VOCABULARY)
    assert sum(int(batch["attention_mask"].sum()) for batch in first) == tokens.offsets[-1]


def test_train_masks_differ_between_epochs(store):
    loader = train_loader(store)
    masked = [
        torch.cat([batch["masked_index"] for batch in epoch_of(loader, epoch)]) for epoch in (0, 1)
    ]
    assert not torch.equal(*[index[:20] for index in masked])


def test_workers_do_not_change_a_batch(store):
    alone, helped = train_loader(store), train_loader(store, workers=2)
    for epoch in (1, 2):  # the workers live on from one epoch to the next
        assert same(epoch_of(alone, epoch), epoch_of(helped, epoch))


def test_resuming_in_the_middle_of_an_epoch_is_exact(store):
    whole = epoch_of(train_loader(store), 2)
    resumed = skip_first_batches(train_loader(store), 3)
    resumed.dataset.set_epoch(2)
    assert same(list(resumed), whole[3:])
