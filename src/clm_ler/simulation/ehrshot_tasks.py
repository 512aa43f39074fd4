"""The 15 tasks of the EHRSHOT benchmark on the simulated site, with true probabilities.

Prediction times and label definitions are those of the benchmark: 23:59 of the day of admission
or discharge, a minute before a lab result, a day before a chest X-ray report.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.special import expit, ndtr

from clm_ler.simulation import codes, ehrshot_site, streams
from clm_ler.simulation.disease import severity
from clm_ler.simulation.disease_tables import CONDITION, LAB, LABS
from clm_ler.simulation.ehrshot_site import Site, end_of_day
from clm_ler.simulation.options import SiteOptions
from clm_ler.simulation.recognition import diagnosis_probability
from clm_ler.simulation.texts import choose, clock
from clm_ler.simulation.visits import LONG_STAY

NEW_DIAGNOSES = {
    "new_hypertension": "hypertension",
    "new_hyperlipidemia": "hyperlipidemia",
    "new_pancan": "pancreatic_cancer",
    "new_celiac": "celiac",
    "new_lupus": "lupus",
    "new_acutemi": "coronary_disease",
}


@dataclass(frozen=True)
class LabTask:
    """The reported values at which a lab is mildly, moderately and severely abnormal.

    The benchmark's bounds are strict in most places (platelets below 150); here they are the last
    value, in the precision of the report and the lab's base unit, that still is abnormal (149).
    """

    lab: str
    cuts: tuple[float, float, float]
    low: bool = True


LAB_TASKS = {
    "lab_thrombocytopenia": LabTask("Platelets", (149, 99, 49)),
    "lab_hyperkalemia": LabTask("Potassium", (5.6, 6.1, 7.1), low=False),
    "lab_hypoglycemia": LabTask("Glucose", (70, 62, 53)),  # 3.9, 3.5 and 3 mmol/L
    "lab_hyponatremia": LabTask("Sodium", (135, 129, 124)),
    "lab_anemia": LabTask("Hemoglobin", (11.9, 10.9, 6.9)),
}

# The 14 findings in the order of their bits, most significant first: a bias, what adds to its
# log odds for each unit of severity of a condition, and for each unit of acuity of a stay.
FINDINGS: dict[str, tuple[float, dict[str, float], float]] = {
    "No Finding": (0.0, {}, 0.0),
    "Enlarged Cardiomediastinum": (-4.6, {"heart_failure": 0.8, "coronary_disease": 0.4}, 0.2),
    "Cardiomegaly": (-3.6, {"heart_failure": 1.5, "hypertension": 0.4}, 0.0),
    "Lung Lesion": (-4.1, {"copd": 0.7, "pancreatic_cancer": 1.2, "tobacco_dependence": 0.5}, 0.0),
    "Lung Opacity": (-3.0, {"copd": 0.6, "heart_failure": 0.4}, 0.5),
    "Edema": (-4.0, {"heart_failure": 1.3, "ckd": 0.6}, 0.4),
    "Consolidation": (-4.2, {"copd": 0.5}, 0.6),
    "Pneumonia": (-4.0, {"copd": 0.7, "asthma": 0.3}, 0.5),
    "Atelectasis": (-3.6, {"obesity": 0.4}, 0.6),
    "Pneumothorax": (-4.4, {"copd": 1.2}, 0.2),
    "Pleural Effusion": (-3.6, {"heart_failure": 1.0, "cirrhosis": 0.9}, 0.4),
    "Pleural Other": (-4.4, {"lupus": 1.4}, 0.0),
    "Fracture": (-4.1, {"dementia": 0.9, "osteoarthritis": 0.6}, 0.0),
    "Support Devices": (-3.2, {"pancreatic_cancer": 0.6, "atrial_fibrillation": 0.5}, 0.8),
}
CERTAIN = 0.45  # share of the reports without a finding that say so
SHOTS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128)
ALL = -1
REPLICATES = 5
TASKS = (
    "guo_los",
    "guo_readmission",
    "guo_icu",
    *LAB_TASKS,
    *NEW_DIAGNOSES,
    "chexpert",
)


@dataclass(frozen=True)
class Labels:
    """The labels of a task; one row each.

    Attributes:
        row: The person, as a row of the site's persons.
        time: Of the prediction (days).
        value: 0 or 1, a class of 0 to 3 (labs), or 14 bits (chexpert).
        probability: Of a positive given the hidden state, [rows, sub tasks].
    """

    row: np.ndarray
    time: np.ndarray
    value: np.ndarray
    probability: np.ndarray

    def take(self, index: np.ndarray) -> "Labels":
        """Return the chosen rows."""
        return Labels(**{name: values[index] for name, values in vars(self).items()})


def sub_tasks(task: str) -> tuple[str, ...]:
    """Return what a task is evaluated on: itself, or the 14 findings of chexpert."""
    return tuple(FINDINGS) if task == "chexpert" else (task,)


def draw_task(site: Site, task: str, rng: np.random.Generator) -> Labels:
    """Return the labels of a task for a chunk of the site, by person, time and value."""
    if task in NEW_DIAGNOSES:
        labels = _new_diagnosis(site, NEW_DIAGNOSES[task])
    elif task in LAB_TASKS:
        labels = _abnormal_lab(site, LAB_TASKS[task])
    elif task == "chexpert":
        labels = _chest_xrays(site, rng)
    else:
        labels = _operational(site, task)
    return labels.take(np.lexsort((labels.value, labels.time, labels.row)))


def _operational(site: Site, task: str) -> Labels:
    stays = site.chart.admissions
    if task == "guo_readmission":
        return Labels(
            stays.row, end_of_day(stays.discharge), stays.readmitted, stays.readmission[:, None]
        )
    time = end_of_day(stays.time)
    if task == "guo_icu":
        return Labels(stays.row, time, ~np.isnan(stays.icu), stays.icu_transfer[:, None])
    long_stay = stays.discharge - stays.time >= LONG_STAY
    return Labels(stays.row, time, long_stay, stays.long_stay[:, None])


def _new_diagnosis(site: Site, name: str) -> Labels:
    """Return discharges of persons free of a disease, and whether it is coded within a year."""
    row, time = site.chart.admissions.row, end_of_day(site.chart.admissions.discharge)
    diagnosis = site.chart.persons.diagnosis[row, CONDITION[name]]
    # A follow-up of a year: the benchmark itself calls those without one negative.
    free = (diagnosis > time + 1) & (time + 365 < site.chart.persons.end[row])
    row, time, diagnosis = row[free], time[free], diagnosis[free]
    probability = diagnosis_probability(
        site.chart.persons, site.chart.admissions, row, time + 1, time + 365, name
    )
    return Labels(row, time, diagnosis <= time + 365, probability[:, None])


def _abnormal_lab(site: Site, task: LabTask) -> Labels:
    """Return every result of a lab: its class, and the probability that it is abnormal at all."""
    lab = LABS[LAB[task.lab]]
    rows = np.flatnonzero(site.labs.item == LAB[task.lab])
    # Values are rounded: a cut stands for all values up to half a step beyond it.
    half_step, sign = 0.5 * 10.0**-lab.decimals, 1 if task.low else -1
    edges = np.array(task.cuts) + sign * half_step
    beyond = sign * (edges[:, None] - site.labs.value[rows]) > 0
    probability = ndtr(sign * (edges[0] - site.labs.mean[rows]) / lab.noise)
    minute_before = site.labs.time[rows] - 1 / 1440
    return Labels(site.labs.row[rows], minute_before, beyond.sum(axis=0), probability[:, None])


def _chest_xrays(site: Site, rng: np.random.Generator) -> Labels:
    """Return chest X-ray reports.

    "No Finding" is the absence of all but devices, where the report is certain of it.
    """
    facts, visits = site.procedures, site.chart.visits
    taken = np.flatnonzero(facts.item == codes.CHEST_XRAY)
    row, time = facts.row[taken], facts.time[taken] + 2 / 24
    acuity = visits.acuity[facts.visit[taken]]
    probability = np.empty((len(taken), len(FINDINGS)))
    for number, (bias, conditions, per_acuity) in enumerate(FINDINGS.values()):
        odds = bias + per_acuity * acuity
        for name, weight in conditions.items():
            odds = odds + weight * severity(site.chart.persons, row, time, CONDITION[name])
        probability[:, number] = expit(odds)
    draw = rng.random(probability.shape)
    found = draw < probability
    probability[:, 0] = CERTAIN * np.prod(1 - probability[:, 1:-1], axis=1)
    found[:, 0] = ~found[:, 1:-1].any(axis=1) & (draw[:, 0] < CERTAIN)
    bits = found @ (1 << np.arange(len(FINDINGS))[::-1])
    return Labels(row, time - 1, bits, probability)


@dataclass(frozen=True)
class Benchmark:
    """What lies in ``benchmark/``: labels and shots by task; and the true probabilities."""

    labels: dict[str, pa.Table]
    shots: dict[str, dict[str, dict[str, dict[str, dict[str, list]]]]]
    truth: pa.Table


def draw_benchmark(options: SiteOptions, seed: int) -> Benchmark:
    """Return labels, shots and truth of every task."""
    drawn: dict[str, list[TaskRows]] = {task: [] for task in TASKS}
    for chunk in range(ehrshot_site.chunks(options)):
        site = ehrshot_site.draw_site(options, seed, chunk)
        for task in TASKS:
            rng = streams.stream(seed, chunk, f"ehrshot {task}")
            drawn[task].append(_task_rows(site, draw_task(site, task, rng)))
    tasks = {
        task: _joined(parts, options.most_labels, streams.stream(seed, 0, f"ehrshot thin {task}"))
        for task, parts in drawn.items()
    }
    return Benchmark(
        labels={task: _label_file(task, rows) for task, rows in tasks.items()},
        shots={task: draw_shots(task, rows) for task, rows in tasks.items()},
        truth=pa.concat_tables(_truth(task, rows) for task, rows in tasks.items()),
    )


@dataclass(frozen=True)
class TaskRows:
    """The labels of a task of the whole site, by patient, time and value."""

    patient_id: np.ndarray
    time: np.ndarray
    value: np.ndarray
    probability: np.ndarray
    split: np.ndarray


def _task_rows(site: Site, labels: Labels) -> TaskRows:
    return TaskRows(
        patient_id=site.chart.persons.person_id[labels.row],
        time=labels.time,
        value=labels.value.astype("int64"),
        probability=labels.probability,
        split=site.split[labels.row],
    )


def _joined(parts: list[TaskRows], most: int, rng: np.random.Generator) -> TaskRows:
    """Return the labels of all chunks, at most so many of each split, whatever their value."""
    together = {n: np.concatenate([vars(part)[n] for part in parts]) for n in vars(parts[0])}
    splits = [np.flatnonzero(together["split"] == split) for split in SPLIT.values()]
    kept = np.sort(np.concatenate([rng.permutation(rows)[:most] for rows in splits]))
    return TaskRows(**{name: values[kept] for name, values in together.items()})


def _label_file(task: str, rows: TaskRows) -> pa.Table:
    """Return ``labeled_patients.csv``."""
    boolean = task.startswith(("guo_", "new_"))
    value = (
        choose(["False", "True"], rows.value) if boolean else pa.array(rows.value).cast("string")
    )
    return pa.table(
        {
            "patient_id": rows.patient_id,
            "prediction_time": clock(rows.time),
            "value": value,
            "label_type": pa.repeat("boolean" if boolean else "categorical", len(rows.value)),
        }
    )


def _truth(task: str, rows: TaskRows) -> pa.Table:
    """Return the probability of a positive in each sub task, one row per label row."""
    minutes = np.round(rows.time * 1440).astype("int64") * 60
    return pa.concat_tables(
        pa.table(
            {
                "task": pa.repeat(task, len(minutes)),
                "sub_task": pa.repeat(sub_task, len(minutes)),
                "patient_id": rows.patient_id,
                "prediction_time": pa.array(minutes)
                .cast(pa.timestamp("s"))
                .cast(pa.timestamp("us")),
                "probability": rows.probability[:, number],
            }
        )
        for number, sub_task in enumerate(sub_tasks(task))
    )


def binary(task: str, number: int, value: np.ndarray) -> np.ndarray:
    """Return the evaluated label (0 or 1) of a sub task from the raw labels."""
    if task == "chexpert":
        return value >> (len(FINDINGS) - 1 - number) & 1
    return (value >= 1).astype("int64")


def draw_shots(task: str, rows: TaskRows) -> dict[str, dict[str, dict[str, dict[str, list]]]]:
    """Return ``all_shots_data.json`` of a task, by sub task, k and replicate.

    Drawn as the benchmark draws them: per class, up to 128 labels without replacement, topped up
    with replacement, of which k shots are the first k. "-1" is every label.
    """
    parts = {name: np.flatnonzero(rows.split == SPLIT[name]) for name in ("train", "val")}
    times = np.array(clock(rows.time).to_pylist())
    iso = np.char.replace(times.astype(str), " ", "T")
    found: dict[str, dict[str, dict[str, dict[str, list]]]] = {}
    for number, sub_task in enumerate(sub_tasks(task)):
        label = binary(task, number, rows.value)
        shots = found[sub_task] = {}
        pools = [_pools(label, parts, replicate) for replicate in range(REPLICATES)]
        for k in (*SHOTS, ALL):
            shots[str(k)] = {
                str(replicate): _shot(rows.patient_id, iso, label, parts, _first(pool, parts, k))
                for replicate, pool in enumerate(pools if k != ALL else pools[:1])
            }
    return found


SPLIT = {name: number for number, name in enumerate(ehrshot_site.SPLITS)}
Pools = dict[str, list[np.ndarray]]


def _pools(label: np.ndarray, parts: dict[str, np.ndarray], replicate: int) -> Pools:
    """Return 128 positions of each class, as positions within the split."""
    return {
        name: [_pool(np.flatnonzero(label[part] == value), replicate) for value in (0, 1)]
        for name, part in parts.items()
    }


def _pool(members: np.ndarray, replicate: int) -> np.ndarray:
    rng, most = np.random.RandomState(replicate), max(SHOTS)
    if not len(members):
        return members
    chosen = rng.choice(members, min(len(members), most), replace=False)
    more = rng.choice(members, most - len(chosen), replace=True)
    return np.concatenate([chosen, more])


def _first(pool: Pools, parts: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    if k == ALL:
        return {name: np.arange(len(part)) for name, part in parts.items()}
    return {name: np.concatenate([members[:k] for members in pool[name]]) for name in parts}


def _shot(
    patient_id: np.ndarray,
    time: np.ndarray,
    label: np.ndarray,
    parts: dict[str, np.ndarray],
    chosen: dict[str, np.ndarray],
) -> dict[str, list]:
    shot: dict[str, list] = {}
    for name, part in parts.items():
        rows = part[chosen[name]]
        shot[f"patient_ids_{name}_k"] = patient_id[rows].tolist()
        shot[f"label_times_{name}_k"] = time[rows].tolist()
        shot[f"label_values_{name}_k"] = label[rows].tolist()
        shot[f"{name}_idxs"] = chosen[name].tolist()
    return shot
