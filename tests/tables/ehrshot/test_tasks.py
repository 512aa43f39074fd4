import numpy as np
import pandas as pd
import pytest

from clm_ler.tables.ehrshot import tasks

SPLITS = pd.DataFrame({"person_id": [1, 2, 3], "split": ["train", "valid", "test"]})


def labels(values: list, times: list[str] | None = None, persons: list[int] | None = None):
    return pd.DataFrame(
        {
            "patient_id": persons or [1] * len(values),
            "prediction_time": times or ["2020-01-01 23:59:00"] * len(values),
            "value": values,
            "label_type": "boolean",
        }
    )


@pytest.mark.parametrize(
    "values", [["True", "False"], [True, False], ["1", "0"], ["true", "FALSE"]]
)
def test_boolean_labels_in_any_spelling(values: list) -> None:
    assert tasks.read_labels("guo_los", labels(values))["label"].tolist() == [1, 0]


def test_both_time_formats_are_one_time() -> None:
    read = tasks.read_labels(
        "guo_los", labels(["True"] * 2, ["2010-04-08 23:59:00", "2010-04-08T23:59:00"])
    )
    assert read["prediction_time"].nunique() == 1


def test_a_lab_is_positive_from_one() -> None:
    read = tasks.read_labels("lab_anemia", labels([0, 1, 2, 3]))
    assert read["label"].tolist() == [0, 1, 1, 1]


def test_the_first_finding_is_the_most_significant_of_fourteen_bits() -> None:
    read = tasks.read_labels("chexpert", labels([8192, 1, 8192 + 2]))
    wide = read.groupby("sub_task")["label"].apply(list)
    assert len(wide) == 14
    assert wide["No Finding"] == [1, 0, 1]
    assert wide["Support Devices"] == [0, 1, 0]
    assert wide["Fracture"] == [0, 0, 1]
    assert sum(map(sum, wide)) == 4


def test_the_labels_of_the_meds_release() -> None:
    meds = pd.DataFrame(
        {
            "subject_id": [2, 1],
            "prediction_time": pd.to_datetime(["2020-01-01", "2020-01-02"]),
            "boolean_value": [None, None],
            "integer_value": [3, 0],
        }
    )
    read = tasks.read_labels("lab_anemia", meds)
    assert read[["person_id", "label"]].to_numpy().tolist() == [[1, 0], [2, 1]]


def test_what_is_no_label_is_counted() -> None:
    with pytest.raises(ValueError, match="guo_los: values: 3 rows have no whole number"):
        tasks.read_labels("guo_los", labels(["True", "maybe", None, "1.7"]))


def test_what_is_no_person_or_no_time_is_counted_and_not_quoted() -> None:
    nobody = labels(["True"] * 2).assign(patient_id=["canary", "1"])
    with pytest.raises(ValueError, match="persons: 1 rows have no whole number") as raised:
        tasks.read_labels("guo_los", nobody)
    assert "canary" not in str(raised.value)
    with pytest.raises(ValueError, match="guo_los: 1 prediction times cannot be read"):
        tasks.read_labels("guo_los", labels(["True"], ["canary"]))


def test_a_person_is_in_one_split() -> None:
    twice = pd.DataFrame({"omop_person_id": [1, 1, 2, 2], "split": ["val", "test", "val", "val"]})
    with pytest.raises(ValueError, match="ehrshot_splits: 1 persons are in several splits"):
        tasks.read_splits(twice)


def test_rows_are_numbered_within_the_split_and_ties_keep_their_order() -> None:
    times = ["2020-01-02 00:00:00", "2020-01-01 00:00:00", "2020-01-01 00:00:00"]
    read = tasks.read_labels("lab_anemia", labels([1, 0, 2], times, [1, 3, 1]))
    numbered = tasks.number_rows(read, SPLITS)
    assert numbered["split"].tolist() == ["train", "train", "test"]
    assert numbered["row"].tolist() == [0, 1, 0]
    assert numbered["label"].tolist() == [1, 1, 0]
    tied = tasks.read_labels("lab_anemia", labels([3, 0, 1, 0]))
    assert tied["label"].tolist() == [1, 0, 1, 0]


def test_persons_in_no_split_are_counted() -> None:
    read = tasks.read_labels("guo_los", labels(["True"], persons=[9]))
    with pytest.raises(ValueError, match="1 persons with labels are in no split"):
        tasks.number_rows(read, SPLITS)


def test_splits_of_either_release() -> None:
    assets = pd.DataFrame(
        {"Unnamed: 0": [0, 1], "split": ["val", "test"], "omop_person_id": [5, 6]}
    )
    meds = pd.DataFrame({"subject_id": [5, 6], "split": ["tuning", "held_out"]})
    assert tasks.read_splits(assets).equals(tasks.read_splits(meds))


def shots(train: list[int], stated: list[int]) -> dict:
    draw = {
        "train_idxs": train,
        "label_values_train_k": stated,
        "val_idxs": [0],
        "label_values_val_k": [True],
    }
    return {"guo_los": {"1": {"0": draw}}}


def test_shots_are_rows_of_their_split() -> None:
    by_split = {
        "train": pd.DataFrame({"label": [0, 1, 1]}),
        "valid": pd.DataFrame({"label": [1]}),
    }
    train, valid = tasks.shot_rows(shots([2, 0], [1, 0]), "guo_los", 1, 0, by_split)
    assert (train.tolist(), valid.tolist()) == ([2, 0], [0])
    assert tasks.shot_rows(shots([2, 0], [1, 0]), "guo_los", 8, 0, by_split) is None
    with pytest.raises(ValueError, match="does not fit the labels"):
        tasks.shot_rows(shots([0, 1], [1, 0]), "guo_los", 1, 0, by_split)
    with pytest.raises(ValueError, match="does not fit the labels"):
        tasks.shot_rows(shots([0, 7], [0, 1]), "guo_los", 1, 0, by_split)


def test_files_come_in_the_order_of_the_benchmark() -> None:
    files = ["chexpert/x", "guo_icu/x", "figures/x", "guo_los/x"]
    assert tasks.present_tasks(files) == ["guo_los/x", "guo_icu/x", "chexpert/x"]


def test_a_missing_task_is_named() -> None:
    tasks.check_present(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="no file for c"):
        tasks.check_present(["a", "b"], ["a", "c"])


def test_the_groups_hold_the_fifteen_tasks() -> None:
    assert len(tasks.TASKS) == 15
    assert len(tasks.SUB_TASKS) == 28
    assert len(np.unique(tasks.SUB_TASKS)) == 28


@pytest.mark.parametrize("split", ["validation", None])
def test_a_split_that_is_none_is_refused(split) -> None:
    splits = pd.DataFrame({"subject_id": [1, 2], "split": ["train", split]})
    with pytest.raises(ValueError, match="1 persons are in a split that is none of train, val"):
        tasks.read_splits(splits)


@pytest.mark.parametrize(
    ("task", "value", "most"),
    [("guo_los", 2, 1), ("guo_los", -1, 1), ("chexpert", 2**14, 2**14 - 1), ("lab_anemia", 5, 4)],
)
def test_a_label_that_is_none_is_refused(task, value, most) -> None:
    labels = pd.DataFrame({"patient_id": [1], "prediction_time": ["2020-01-01"], "value": [value]})
    with pytest.raises(ValueError, match=f"labels of {task}: 1 values are not from 0 to {most}"):
        tasks.read_labels(task, labels)


def test_times_with_a_zone_are_those_of_utc() -> None:
    times = ["2020-01-01T01:00:00Z", "2020-01-01T02:00:00+01:00", "2020-01-01 01:00:00"]
    labels = pd.DataFrame({"patient_id": [1, 2, 3], "prediction_time": times, "value": [0, 1, 0]})
    read = tasks.read_labels("guo_los", labels)["prediction_time"]
    assert (read == pd.Timestamp("2020-01-01 01:00")).all()
