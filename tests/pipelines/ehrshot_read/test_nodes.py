import ibis
import pandas as pd

from clm_ler.pipelines.ehrshot_read import nodes

SPLITS = ibis.memtable({"omop_person_id": [1, 2], "split": ["train", "val"]})


def labels(*values: str) -> ibis.Table:
    times = [f"2020-01-0{day} 23:59:00" for day in range(1, len(values) + 1)]
    return ibis.memtable(
        {
            "patient_id": [2, 1, 1][: len(values)],
            "prediction_time": times,
            "value": list(values),
            "label_type": ["boolean"] * len(values),
        }
    )


def test_samples_of_all_tasks_are_numbered_within_task_and_split() -> None:
    files = {
        "new_celiac/labeled_patients": lambda: labels("True"),
        "guo_los/labeled_patients": lambda: labels("True", "False", "True"),
        "notes/labeled_patients": lambda: labels("no task of the benchmark"),
    }
    found = nodes.read_samples(files, SPLITS).to_pandas()
    rows = found[["sub_task", "split", "row", "person_id", "label"]]
    assert rows.to_numpy().tolist() == [
        ["guo_los", "train", 0, 1, 0],
        ["guo_los", "train", 1, 1, 1],
        ["guo_los", "valid", 0, 2, 1],
        ["new_celiac", "valid", 0, 2, 1],
    ]
    assert found["prediction_time"].iloc[0] == pd.Timestamp("2020-01-02 23:59")


def test_splits_go_by_the_names_of_the_project() -> None:
    assert nodes.read_splits(SPLITS).to_pandas()["split"].tolist() == ["train", "valid"]
