"""The tasks of EHRSHOT, and how their files become binary samples."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from clm_ler.tokens import SPLITS

GROUPS = {
    "operational_outcomes": ("guo_los", "guo_readmission", "guo_icu"),
    "lab_values": (
        "lab_thrombocytopenia",
        "lab_hyperkalemia",
        "lab_hypoglycemia",
        "lab_hyponatremia",
        "lab_anemia",
    ),
    "new_diagnoses": (
        "new_hypertension",
        "new_hyperlipidemia",
        "new_pancan",
        "new_celiac",
        "new_lupus",
        "new_acutemi",
    ),
    "chexpert": ("chexpert",),
}
SCOPE_NAMES = {
    "operational_outcomes": "Operational outcomes",
    "lab_values": "Anticipating lab results",
    "new_diagnoses": "Assignment of new diagnoses",
    "chexpert": "Chest X-ray findings",
    "14 tasks": "Mean of the 14 tasks",
    "macro": "Mean of the groups",
}
TASKS = tuple(task for tasks in GROUPS.values() for task in tasks)
GROUP_OF = {task: group for group, tasks in GROUPS.items() for task in tasks}

# The bits of a chexpert label, the most significant one first.
FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)

SUB_TASKS = (*(task for task in TASKS if task != "chexpert"), *FINDINGS)

_SPLITS = {"val": "valid", "tuning": "valid", "held_out": "test"}
_NAMES = ("train", "val", "test", "tuning", "held_out")  # of splits, in either release
_VALUES = ("value", "boolean_value", "integer_value", "float_value")
_WORDS = {"true": 1, "false": 0}


def read_splits(splits: pd.DataFrame) -> pd.DataFrame:
    """Return person_id and split (train, valid, test) from either release's file of splits.

    Raises:
        ValueError: If a column is missing, or a person is in several splits or in none of the three.
    """
    person = "omop_person_id" if "omop_person_id" in splits else "subject_id"
    _require(splits, (person, "split"), "ehrshot_splits")
    read = pd.DataFrame(
        {
            "person_id": _whole(splits[person], "ehrshot_splits: persons"),
            "split": splits["split"].astype(str).replace(_SPLITS),
        }
    ).drop_duplicates(ignore_index=True)
    if unknown := int((~read["split"].isin(SPLITS)).sum()):
        raise ValueError(
            f"ehrshot_splits: {unknown} persons are in a split that is none of {', '.join(_NAMES)}."
        )
    if repeated := int((read["person_id"].value_counts() > 1).sum()):
        raise ValueError(f"ehrshot_splits: {repeated} persons are in several splits.")
    return read


def read_labels(task: str, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the binary samples of a task's file: task, sub_task, person_id, prediction_time, label.

    Rows are sorted by person and time, ties as in the file, because the shots count on it. A lab
    is positive from 1 (any abnormal grade); ``chexpert`` has one sub-task for each finding.

    Args:
        task: Its id, such as ``guo_los``.
        labels: ``labeled_patients.csv`` or ``labels.parquet``.

    Raises:
        ValueError: If a column is missing or a value is no label.
    """
    person = "patient_id" if "patient_id" in labels else "subject_id"
    _require(labels, (person, "prediction_time"), f"labels of {task}")
    given = labels["prediction_time"]
    times = pd.to_datetime(given, format="ISO8601", errors="coerce", utc=True)
    times = times.dt.tz_localize(None).astype("datetime64[us]")
    if unread := int(times.isna().sum()):
        raise ValueError(f"labels of {task}: {unread} prediction times cannot be read.")
    samples = pd.DataFrame(
        {
            "task": task,
            "person_id": _whole(labels[person], f"labels of {task}: persons"),
            "prediction_time": times,
            "label": _integers(labels, task),
        }
    ).sort_values(["person_id", "prediction_time"], kind="stable", ignore_index=True)
    parts = [
        samples.assign(sub_task=sub_task, label=label.astype("int8"))
        for sub_task, label in _binary(task, samples["label"])
    ]
    return pd.concat(parts, ignore_index=True)


def number_rows(samples: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Return the samples with ``split`` and ``row``, their number within sub-task and split.

    ``train_idxs`` and ``val_idxs`` of the shots are such numbers.
    """
    known = samples.merge(splits, on="person_id", how="left")
    if known["split"].isna().any():
        persons = known.loc[known["split"].isna(), "person_id"].nunique()
        raise ValueError(f"ehrshot_splits: {persons} persons with labels are in no split.")
    return known.assign(row=known.groupby(["sub_task", "split"]).cumcount())


def task_of(partition: str) -> str:
    """Return the task that a file of labels or shots is about: the folder it lies in."""
    return PurePosixPath(partition).parts[0]


def present_tasks(partitions: Iterable[str]) -> list[str]:
    """Return the files of the tasks that there are, in the benchmark's order."""
    found = {task_of(name): name for name in partitions}
    return [found[task] for task in TASKS if task in found]


def check_present(
    found: Iterable[str], wanted: Iterable[str], files: str = "ehrshot_labels"
) -> None:
    """Refuse to evaluate tasks that there are no labels of, or none of the other ``files``."""
    if missing := sorted(set(wanted) - set(found)):
        raise ValueError(f"{files} has no file for {', '.join(missing)}.")


def shot_rows(
    shots: Mapping[str, Any],
    sub_task: str,
    k: int,
    replicate: int,
    samples: Mapping[str, pd.DataFrame],
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the row numbers of a draw in the train and the validation split; None for no draw.

    Args:
        shots: ``all_shots_data.json`` of the task.
        sub_task: The task itself, or a finding.
        k: Positive and negative samples each; -1 for all.
        replicate: The number of the draw.
        samples: The sub-task's samples by split, in the order of their rows.

    Raises:
        ValueError: If the labels that the draw names are not those of its rows.
    """
    draw = shots.get(sub_task, {}).get(str(k), {}).get(str(replicate))
    if draw is None:
        return None
    rows = []
    for ours, theirs in (("train", "train"), ("valid", "val")):
        index = np.asarray(draw[f"{theirs}_idxs"], np.int64)
        labels = samples[ours]["label"].to_numpy()
        stated = np.asarray(draw[f"label_values_{theirs}_k"], np.int64)
        if len(index) and (index.max() >= len(labels) or (labels[index] != stated).any()):
            raise ValueError(
                f"ehrshot_shots: the draw {sub_task}, k={k}, replicate={replicate} does not fit "
                "the labels: it was made from other files or splits."
            )
        rows.append(index)
    return rows[0], rows[1]


def _integers(labels: pd.DataFrame, task: str) -> pd.Series:
    """Return the labels as integers, whichever column and spelling they come in."""
    columns = [name for name in _VALUES if name in labels and labels[name].notna().any()]
    if not columns:
        raise ValueError(f"labels of {task}: none of {', '.join(_VALUES)} is filled.")
    text = labels[columns[0]].astype(str).str.strip().str.lower().replace(_WORDS)
    values = _whole(text, f"labels of {task}: values")
    most = _highest(task)
    if outside := int((~values.between(0, most)).sum()):
        raise ValueError(f"labels of {task}: {outside} values are not from 0 to {most}.")
    return values


def _highest(task: str) -> int:
    """Return the highest label: a bit for each finding, the grade of a lab, else yes or no."""
    if task == "chexpert":
        return 2 ** len(FINDINGS) - 1
    return 4 if task.startswith("lab_") else 1


def _whole(column: pd.Series, place: str) -> pd.Series:
    """Return whole numbers as int64.

    Raises:
        ValueError: With the number of rows that are none: 1.7 is not 1.
    """
    numbers = pd.to_numeric(column, errors="coerce").astype(object)
    unfit = ~numbers.map(
        lambda number: number == number and abs(number) < 2**63 and number % 1 == 0
    )
    if unfit.any():
        raise ValueError(f"{place}: {int(unfit.sum())} rows have no whole number.")
    return numbers.map(int).astype("int64")


def _binary(task: str, values: pd.Series) -> list[tuple[str, pd.Series]]:
    if task == "chexpert":
        last = len(FINDINGS) - 1
        return [(name, values // 2 ** (last - bit) % 2) for bit, name in enumerate(FINDINGS)]
    return [(task, values >= 1)]


def _require(frame: pd.DataFrame, columns: tuple[str, ...], name: str) -> None:
    if missing := sorted(set(columns) - set(frame.columns)):
        raise ValueError(f"{name}: no column {', '.join(missing)}.")
