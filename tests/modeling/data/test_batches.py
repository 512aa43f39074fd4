import numpy as np
import pytest
from accelerate.data_loader import BatchSamplerShard
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.modeling.data.batches import PlannedBatches, plan_batches
from clm_ler.modeling.data.windows import NO_QUERY, Windows

lengths_of_rows = st.lists(st.integers(1, 300), min_size=1, max_size=60)


def windows_of(lengths):
    rows = np.arange(len(lengths))
    zero = np.zeros(len(lengths), np.int32)
    none = np.full(len(lengths), NO_QUERY, np.int32)
    return Windows(rows, zero, zero, np.array(lengths, np.int32) - 1, none, none)


def sampler(lengths, **options):
    return PlannedBatches(lambda epoch: windows_of(lengths), 400, seed=7, **options)


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
