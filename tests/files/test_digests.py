from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.files.digests import digest, json_sha256

KINDS = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=4),
    pa.large_string(): st.text(max_size=4),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.list_(pa.int32()): st.lists(st.none() | st.integers(-9, 9), max_size=3),
    pa.list_(pa.string()): st.lists(st.none() | st.text(max_size=2), max_size=3),
    pa.list_(pa.list_(pa.int8())): st.lists(st.lists(st.integers(0, 3), max_size=2), max_size=2),
}
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=3)
PARTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def columns(draw):
    """Values of some type, and places to cut them at."""
    kind = draw(st.sampled_from(list(KINDS)))
    values = draw(st.lists(st.none() | KINDS[kind], max_size=8))
    cuts = sorted(draw(st.lists(st.integers(0, len(values)), max_size=3)))
    return kind, values, cuts


@given(columns())
def test_chunks_leave_no_trace(column):
    kind, values, cuts = column
    whole = pa.array(values, kind)
    parts = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(values)], strict=True)]
    copied = [pa.array(part.to_pylist(), kind) for part in parts]
    assert (
        digest(whole)
        == digest(pa.chunked_array(parts, kind))
        == digest(pa.chunked_array(copied, kind))
    )


@given(columns(), columns())
def test_columns_have_one_digest_only_if_they_are_equal(one, other):
    left, right = (pa.array(values, kind) for kind, values, _cuts in (one, other))
    same = left.type == right.type and repr(left.to_pylist()) == repr(right.to_pylist())
    assert (digest(left) == digest(right)) == same


@given(st.lists(PARTS, max_size=4), st.lists(PARTS, max_size=4))
def test_no_two_lists_of_parts_have_one_digest(one, other):
    def typed(part):  # as Python compares them, True is 1
        if isinstance(part, dict):
            return {name: typed(value) for name, value in part.items()}
        return list(map(typed, part)) if isinstance(part, list) else (type(part), part)

    assert (digest(*one) == digest(*other)) == (typed(one) == typed(other))


def test_the_order_of_a_mapping_makes_no_difference():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": 2})


def test_arrays_are_told_apart_by_type_and_shape():
    numbers = np.arange(6)
    arrays = [numbers, numbers.astype("int32"), numbers.reshape(2, 3), numbers.reshape(3, 2)]
    arrays += [numbers.astype("datetime64[s]"), numbers[:0], numbers[:0].reshape(0, 2)]
    assert len({digest(array) for array in arrays}) == len(arrays)
    assert digest(numbers[::2]) == digest(numbers[::2].copy())


def test_digests_are_the_same_in_every_process_and_version():
    column = pa.array(["a", None, "bc"])
    parts = [1, "text", b"bytes", None, {"lists": [column, np.array([1.5])]}, 9999]
    assert digest(*parts) == "f1a93f84e1ce046a4a11a2f36a71d899"
    assert json_sha256({"[PAD]": 0}) == (
        "15448ab8b2559895ea07e97a6aff869a6bec420d7ce13e02e91a177f6f1b19fa"
    )


@pytest.mark.parametrize(
    "part", [datetime(2020, 1, 1), {1, 2}, np.array(["a", None]), pa.array([{"a": 1}])]
)
def test_what_has_no_digest_is_refused(part):
    with pytest.raises(TypeError, match="No digest of a"):
        digest(part)
