import hashlib
import uuid
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clm_ler.pipelines.split.nodes import assign_splits
from clm_ler.pipelines.split.options import SplitOptions
from clm_ler.tables.persons import (
    are_numbers,
    check_ids,
    list_ids,
    person_key,
    with_keys,
    with_own_ids,
)
from clm_ler.tables.sources import unfiltered
from tests.engines import both_engines
from tests.pipelines.preprocess.site import rows


def key_of(text):
    """What the key of a text is, in plain Python."""
    return int(hashlib.md5(text.encode()).hexdigest()[:15], 16)


def keys(as_table, ids, kind="string"):
    table = as_table(list(enumerate(ids)), {"n": "int64", "id": kind})
    # As text: Spark's results come through pandas, whose whole numbers with nulls are not exact.
    found = table.select("n", key=person_key(table.id).cast("string")).order_by("n").to_pyarrow()
    return [key and int(key) for key in found["key"].to_pylist()]


UUID = str(uuid.UUID(int=7))


@both_engines
def test_a_number_is_its_own_key_and_a_text_has_that_of_its_digest(as_table):
    found = {
        "7": 7,
        "-5": -5,
        " 42\t": 42,
        "007": 7,
        "7.0": 7,
        str(2**63 - 1): 2**63 - 1,
        str(2**63): key_of(str(2**63)),
        "3.7": key_of("3.7"),
        "1e3": key_of("1e3"),
        "1_000": key_of("1_000"),
        "P-001": key_of("P-001"),
        " é ": key_of("é"),
        "P\N{NO-BREAK SPACE}": key_of("P"),
        UUID: key_of(UUID),
        " ": None,
        None: None,
    }
    assert keys(as_table, found) == list(found.values())


@both_engines
@pytest.mark.parametrize(
    ("kind", "ids", "expected"),
    [
        ("int32", [7, None], [7, None]),
        ("float64", [7.0, 7.5, None], [7, None, None]),
        ("float64", [float("nan"), float("inf"), 1e300], [None, None, None]),
        ("decimal(12, 2)", [*map(Decimal, ("7", "6.5", "7.5")), None], [7, None, None, None]),
        ("decimal(38, 0)", [7, 2**40, None], [7, 2**40, None]),
    ],
)
def test_numbers_of_any_type(as_table, kind, ids, expected):
    assert keys(as_table, ids, kind) == expected


@settings(suppress_health_check=list(HealthCheck), max_examples=20)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)))
def test_keys_are_whole_numbers_of_60_bits(as_table, texts):
    for text, key in zip(texts, keys(as_table, [f"x{text}" for text in texts]), strict=True):
        assert key == key_of(f"x{text}".rstrip(" \t\r\n\xa0\u202f\ufeff"))
        assert 0 <= key < 2**60


def patients(as_table, ids, kind="string"):
    return with_keys(unfiltered(as_table([(one,) for one in ids], {"person_id": kind})))


@both_engines
def test_the_list_of_ids_has_those_that_are_no_numbers(as_table):
    listed = list_ids(patients(as_table, ["a", "a", " b", "7", None]))
    assert rows(listed) == sorted([(key_of("a"), "a"), (key_of("b"), "b")], key=repr)
    named = with_own_ids(as_table([(key_of("a"),), (7,)], {"person_id": "int64"}), listed)
    assert dict(rows(named)) == {key_of("a"): "a", 7: "7"}


@both_engines
def test_nothing_changes_where_all_ids_are_numbers(as_table):
    listed = list_ids(patients(as_table, [1, 2], "int64"))
    assert are_numbers(listed)
    people = as_table([(1,), (2,)], {"person_id": "int64"})
    assert with_own_ids(people, listed).columns == ("person_id",)


def test_two_ids_with_one_key_are_refused(as_table):
    check_ids(patients(as_table, ["7", "8", "a", "a", None, ""]))
    with pytest.raises(ValueError, match=r"^patient: 1 keys stand for several ids each.*concat"):
        check_ids(patients(as_table, ["7", "007", "a"]))


def test_splits_given_by_text_ids_find_their_persons(as_table):
    demographics = as_table([(key_of("a"),), (key_of("b"),)], {"person_id": "int64"})
    given_splits = as_table(
        [("a", "test"), ("c", "train")], {"person_id": "string", "split": "string"}
    )
    listed = list_ids(patients(as_table, ["a", "b"]))
    splits = assign_splits(demographics, given_splits, None, listed, SplitOptions())
    assert rows(splits, "own_id", "split") == [("a", "test")]
