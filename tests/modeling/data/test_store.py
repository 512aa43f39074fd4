import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.modeling.data.store import BIRTH_UNKNOWN, TOKEN_COLUMNS, TokenStore
from tests.modeling.persons import Person, make_store, make_table, persons, rows_of

PEOPLE = [Person([(0, 50, 0)], [(1, 110 + i, i)] * (i + 1), 365 * i) for i in range(5)]


@given(data=st.data(), people=st.lists(persons(), min_size=1, max_size=8))
def test_gather_gives_any_stretch_of_any_row(data, people):
    store = make_store(people, rows_per_chunk=data.draw(st.integers(1, 4)))
    rows = data.draw(st.lists(st.integers(0, len(people) - 1), max_size=10))
    starts = [data.draw(st.integers(0, len(people[row].tokens))) for row in rows]
    lengths = [
        data.draw(st.integers(0, len(people[row].tokens) - start))
        for row, start in zip(rows, starts, strict=True)
    ]
    got = rows_of(store.gather(np.array(rows, int), np.array(starts, int), np.array(lengths, int)))
    assert got == [
        people[row].tokens[start : start + length]
        for row, start, length in zip(rows, starts, lengths, strict=True)
    ]


def test_take_gives_single_values_across_chunks():
    store = make_store(PEOPLE, rows_per_chunk=2)
    rows = np.array([4, 0, 3, 3])
    assert store.take("token_type_ids", rows, np.array([5, 1, 0, 2])).tolist() == [4, 0, 0, 3]


@given(
    people=st.lists(persons(), min_size=1, max_size=8),
    rows_per_chunk=st.integers(1, 4),
    seed=st.integers(0, 100),
)
def test_rows_are_in_the_order_of_persons_wherever_they_lie(people, rows_per_chunk, seed):
    rng = np.random.default_rng(seed)
    splits = rng.choice(["train", "valid"], len(people)).tolist()
    splits[0] = "train"
    table = make_table(people, splits)
    shuffled = table.take(rng.permutation(len(people)))
    pieces = [
        pa.RecordBatch.from_pylist(piece.to_pylist(), schema=table.schema)
        for piece in shuffled.to_batches(max_chunksize=rows_per_chunk)
    ]
    for split in (None, "train"):
        store = TokenStore.from_arrow(pa.Table.from_batches(pieces), split)
        whole = TokenStore.from_arrow(table, split)
        assert store.person_id.tolist() == whole.person_id.tolist()
        assert store.split.to_pylist() == whole.split.to_pylist()
        assert store.birth_to_start.tolist() == whole.birth_to_start.tolist()
        rows = rng.integers(0, len(whole), 12)
        assert rows_of(store.gather(rows)) == rows_of(whole.gather(rows))
        index = (rng.random(12) * whole.lengths[rows]).astype(int)
        for column in TOKEN_COLUMNS:
            assert store.take(column, rows, index).tolist() == (
                whole.take(column, rows, index).tolist()
            )


def test_a_split_keeps_its_rows_only():
    splits = ["train", "valid", "train", "test", "train"]
    store = make_store(PEOPLE, splits, rows_per_chunk=2, split="train")
    assert store.person_id.tolist() == [0, 2, 4]
    assert set(store.split.to_pylist()) == {"train"}
    assert rows_of(store.gather(np.arange(3))) == [PEOPLE[i].tokens for i in (0, 2, 4)]


def test_no_token_is_copied():
    table = make_table(PEOPLE, rows_per_chunk=2)
    store = make_store(PEOPLE)  # any store has the views that the next line looks at
    assert store._chunks[0].input_ids.base is not None
    store = type(store).from_arrow(table)
    for chunk, array in zip(store._chunks, table["input_ids"].chunks, strict=True):
        assert np.shares_memory(chunk.input_ids, array.values.to_numpy())


def test_an_unknown_birth_has_a_value_of_its_own():
    store = make_store([Person([], [(1, 110, 0)], None), PEOPLE[2]])
    assert store.birth_to_start.tolist() == [BIRTH_UNKNOWN, 730]


def test_a_split_without_rows_is_an_error():
    with pytest.raises(ValueError, match="no row of split valid"):
        make_store(PEOPLE, split="valid")
