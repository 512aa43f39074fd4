import pytest
from pydantic import ValidationError

from clm_ler.pipelines.split.nodes import _with_keys, assign_splits
from clm_ler.pipelines.split.options import SplitOptions

PERSONS = {"person_id": "int64"}
DEMOGRAPHICS = PERSONS | {"region": "string"}
OPTIONS = SplitOptions()


def assign(as_table, persons, predefined=None, pretrained=None, options=OPTIONS):
    if predefined is not None:
        predefined = as_table(predefined, {"person_id": "int64", "split": "string"})
    if pretrained is not None:
        pretrained = as_table([(person,) for person in pretrained], PERSONS)
    regions = (None, "north", "south")
    demographics = as_table([(person, regions[person % 3]) for person in persons], DEMOGRAPHICS)
    numbers = as_table([], {"person_id": "int64", "own_id": "string"})
    frame = assign_splits(demographics, predefined, pretrained, numbers, options).execute()
    assert frame.person_id.is_unique
    return dict(zip(frame.person_id, frame.split, strict=True))


def test_the_digest_decides_alone(as_table):
    splits = assign(as_table, range(1, 2001))
    some = assign(as_table, range(1, 2001, 7))
    assert all(splits[person] == split for person, split in some.items())
    shares = {name: list(splits.values()).count(name) / 2000 for name in ("train", "valid", "test")}
    assert shares == pytest.approx({"train": 0.7, "valid": 0.15, "test": 0.15}, abs=0.03)


def test_another_salt_deals_out_anew(as_table):
    other = assign(as_table, range(100), options=SplitOptions(salt="other"))
    assert other != assign(as_table, range(100))


def test_a_share_of_one_takes_all(as_table):
    options = SplitOptions(train_ratio=1.0, validation_ratio=0.0, test_ratio=0.0)
    assert set(assign(as_table, range(500), options=options).values()) == {"train"}


def test_predefined_splits_decide_alone(as_table):
    splits = assign(
        as_table, [1, 2, 3], predefined=[(1, "test"), (1, "test"), (2, "train"), (9, "test")]
    )
    assert splits == {1: "test", 2: "train"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, "train"), (1, "test")], "1 persons are in more than one split, 0 in one"),
        ([(1, "dev"), (2, None)], "2 in one that is none of train, valid, test"),
    ],
)
def test_predefined_splits_are_checked(as_table, rows, message):
    with pytest.raises(ValueError, match=message):
        assign(as_table, [1, 2], predefined=rows)


def test_a_table_of_splits_without_a_header_is_told_without_its_columns(as_table):
    splits = as_table([(1,)], {"CANARY": "int64"})
    with pytest.raises(ValueError, match=r"^predefined_splits: .*begin with a header") as raised:
        _with_keys(splits, "predefined_splits", "person_id", "split")
    assert "CANARY" not in str(raised.value)


def test_persons_of_the_pretraining_are_only_in_train(as_table):
    pretrained = set(range(500))
    splits = assign(as_table, range(2000), pretrained=pretrained)
    assert {splits[person] for person in pretrained} == {"train"}
    shares = {name: list(splits.values()).count(name) / 2000 for name in ("train", "valid", "test")}
    assert shares == pytest.approx({"train": 0.7, "valid": 0.15, "test": 0.15}, abs=0.03)


def test_pretraining_on_more_than_the_train_share_is_an_error(as_table):
    with pytest.raises(ValueError, match="used 80 of 100 persons, more than train_ratio"):
        assign(as_table, range(100), pretrained=range(80))


def test_ratios_have_to_add_up():
    with pytest.raises(ValidationError, match="add up to"):
        SplitOptions(train_ratio=0.9)


def test_sites_may_be_held_out(as_table):
    options = SplitOptions(test_regions=["south", "west"])
    splits = assign(as_table, range(1500), options=options, pretrained=range(0, 300, 3))
    assert {person for person, split in splits.items() if split == "test"} == {*range(2, 1500, 3)}
    assert {splits[person] for person in range(0, 300, 3)} == {"train"}
    assert list(splits.values()).count("valid") == pytest.approx(1000 * 0.15 / 0.85, abs=40)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"options": SplitOptions(test_regions=["south"])}, "test_regions: 2 persons are in"),
        ({"options": SplitOptions(test_regions=["west"])}, "no person of `demographics` has such"),
        ({"predefined": [(2, "test"), (3, "train")]}, "predefined_splits: 1 persons are in valid"),
    ],
)
def test_nobody_is_tested_on_who_was_pretrained_on(as_table, given, message):
    with pytest.raises(ValueError, match=message):
        assign(as_table, range(9), pretrained=[2, 3, 5], **given)
