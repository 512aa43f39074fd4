import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clm_ler.simulation import ehrshot_site, ehrshot_tasks
from clm_ler.simulation.codes import DIAGNOSES
from clm_ler.simulation.ehrshot_tasks import LAB_TASKS, TASKS, Benchmark, sub_tasks
from clm_ler.simulation.options import SiteOptions

OPTIONS = SiteOptions(most_labels=1_000_000)
SEED = 42
CHEXPERT = [
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
]


@pytest.fixture(scope="module")
def benchmark() -> Benchmark:
    return ehrshot_tasks.draw_benchmark(OPTIONS, SEED)


@pytest.fixture(scope="module")
def split() -> pd.Series:
    table = ehrshot_site.split_table(OPTIONS, SEED).to_pandas()
    return table.set_index("omop_person_id")["split"]


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    return ehrshot_site.event_table(OPTIONS, SEED, 0).to_pandas()


def labels_of(benchmark: Benchmark, task: str) -> pd.DataFrame:
    frame = benchmark.labels[task].to_pandas()
    boolean = frame.label_type.iloc[0] == "boolean"
    frame["number"] = (frame.value == "True") if boolean else frame.value.astype(int)
    frame["number"] = frame["number"].astype(int)
    frame["prediction_time"] = pd.to_datetime(frame.prediction_time)
    return frame


def test_there_are_the_15_tasks_with_their_kinds_of_label(benchmark):
    assert len(TASKS) == 15
    assert set(benchmark.labels) == set(benchmark.shots) == set(TASKS)
    for task in TASKS:
        labels = benchmark.labels[task].to_pandas()
        assert list(labels.columns) == ["patient_id", "prediction_time", "value", "label_type"]
        if task.startswith(("guo_", "new_")):
            assert set(labels.label_type) == {"boolean"}
            assert set(labels.value) == {"True", "False"}
        else:
            assert set(labels.label_type) == {"categorical"}
            most = 16_383 if task == "chexpert" else 3
            assert labels.value.astype(int).between(0, most).all()


def test_labels_are_sorted_by_patient_time_and_value(benchmark):
    for task in TASKS:
        labels = labels_of(benchmark, task)
        keys = ["patient_id", "prediction_time", "number"]
        assert labels[keys].equals(labels[keys].sort_values(keys, ignore_index=True))


def test_every_sub_task_has_both_classes_in_every_split(benchmark, split):
    for task in TASKS:
        labels = labels_of(benchmark, task)
        for number in range(len(sub_tasks(task))):
            value = ehrshot_tasks.binary(task, number, labels.number.to_numpy())
            found = set(zip(labels.patient_id.map(split), value, strict=True))
            assert len(found) == 6, task


def test_chexpert_has_its_14_findings_most_significant_first(benchmark):
    assert list(sub_tasks("chexpert")) == CHEXPERT
    bits = labels_of(benchmark, "chexpert").number.to_numpy()
    finding = {
        name: ehrshot_tasks.binary("chexpert", number, bits) for number, name in enumerate(CHEXPERT)
    }
    assert (finding["No Finding"] == bits // 8192).all()
    assert (finding["Support Devices"] == bits % 2).all()
    sick = np.any([finding[name] for name in CHEXPERT[1:-1]], axis=0)
    assert not (finding["No Finding"] & sick).any()
    # A report may be certain of nothing, as many of the benchmark's are.
    assert 0.1 < (bits == 0).mean() < 0.6


def test_labels_agree_with_their_true_probabilities(benchmark):
    truth = benchmark.truth.to_pandas()
    for task in TASKS:
        labels = labels_of(benchmark, task)
        for number, name in enumerate(sub_tasks(task)):
            rows = truth[(truth.task == task) & (truth.sub_task == name)]
            assert (rows.patient_id.to_numpy() == labels.patient_id.to_numpy()).all()
            value = ehrshot_tasks.binary(task, number, labels.number.to_numpy())
            # Labels of a patient hang together: count patients, with a margin of 5 deviations.
            gap = pd.Series(value - rows.probability.to_numpy())
            sums = gap.groupby(rows.patient_id.to_numpy()).sum()
            assert abs(sums.sum()) < 5 * np.sqrt((sums**2).sum()) + 1, (task, name)
            assert roc_auc_score(value, rows.probability) > 0.58, (task, name)


@pytest.mark.parametrize("task", ["guo_los", "guo_icu"])
def test_admission_tasks_predict_at_the_end_of_the_admission_day(benchmark, events, task):
    stays = events[events.code == "Visit/IP"]
    start, end = pd.to_datetime(stays.start), pd.to_datetime(stays.end)
    labels = labels_of(benchmark, task)
    labels = labels[labels.patient_id.isin(events.patient_id)]
    expected = stays.assign(time=start.dt.normalize() + pd.Timedelta("23h59min"))
    expected["long"] = (end - start >= pd.Timedelta(days=7)).astype(int)
    merged = labels.merge(
        expected, left_on=["patient_id", "prediction_time"], right_on=["patient_id", "time"]
    )
    assert len(merged) == len(labels) == len(stays)
    if task == "guo_los":
        assert (merged.number == merged.long).all()


def test_icu_labels_are_transfers_after_the_prediction(benchmark, events):
    units = events[events.code == ehrshot_site.ICU]
    transfers = set(zip(units.patient_id, units.start, strict=True))
    labels = labels_of(benchmark, "guo_icu")
    labels = labels[labels.patient_id.isin(events.patient_id)]
    assert len(transfers) == labels.number.sum()
    after = labels[labels.number == 1].groupby("patient_id").prediction_time.min()
    first = pd.to_datetime(units.groupby("patient_id").start.min())
    assert (first > after.reindex(first.index)).all()


def test_readmission_is_another_stay_within_30_days_of_discharge(benchmark, events):
    stays = events[events.code == "Visit/IP"]
    stays = stays.assign(start=pd.to_datetime(stays.start), end=pd.to_datetime(stays.end))
    following = stays.groupby("patient_id").start.shift(-1)
    stays["time"] = stays.end.dt.normalize() + pd.Timedelta("23h59min")
    stays["again"] = (following - stays.time <= pd.Timedelta(days=30)).astype(int)
    labels = labels_of(benchmark, "guo_readmission")
    labels = labels[labels.patient_id.isin(events.patient_id)]
    merged = labels.merge(
        stays, left_on=["patient_id", "prediction_time"], right_on=["patient_id", "time"]
    )
    assert len(merged) == len(stays)
    assert (merged.number == merged.again).all()


def official_class(task: str, value: float, unit: str) -> int:
    """The benchmark's rule on a reported value and unit."""
    if task == "lab_thrombocytopenia":
        return sum(value < cut for cut in (150, 100, 50))
    if task == "lab_hyperkalemia":
        return sum(value > cut for cut in (5.5, 6, 7))
    if task == "lab_hypoglycemia":
        mmol = value / 18 if unit == "mg/dL" else value
        return (mmol <= 3.9) + (mmol < 3.5) + (mmol < 3)
    if task == "lab_hyponatremia":
        return (value <= 135) + (value < 130) + (value < 125)
    grams = value * 10 if unit == "g/dL" else value
    return sum(round(grams, 6) < cut for cut in (120, 110, 70))


@pytest.mark.parametrize("task", LAB_TASKS)
def test_lab_labels_follow_from_the_results_a_minute_later(benchmark, events, task):
    code = {
        "Platelets": "LOINC/777-3",
        "Potassium": "LOINC/2823-3",
        "Glucose": "LOINC/2345-7",
        "Sodium": "LOINC/2951-2",
        "Hemoglobin": "LOINC/718-7",
    }[LAB_TASKS[task].lab]
    results = events[events.code == code]
    results = results.assign(
        time=pd.to_datetime(results.start) - pd.Timedelta(minutes=1),
        label=[
            official_class(task, float(value), unit)
            for value, unit in zip(results.value, results.unit, strict=True)
        ],
    )
    labels = labels_of(benchmark, task)
    labels = labels[labels.patient_id.isin(events.patient_id)]
    expected = results.sort_values(["patient_id", "time", "label"])
    assert (labels.patient_id.to_numpy() == expected.patient_id.to_numpy()).all()
    assert (labels.prediction_time.to_numpy() == expected.time.to_numpy()).all()
    assert (labels.number.to_numpy() == expected.label.to_numpy()).all()


@pytest.mark.parametrize("task", ehrshot_tasks.NEW_DIAGNOSES)
def test_new_diagnoses_are_first_coded_within_a_year_of_discharge(benchmark, events, task):
    heads = DIAGNOSES.groups[ehrshot_tasks.NEW_DIAGNOSES[task]]
    codes = [f"SNOMED/{code.snomed}" for head in heads for code in DIAGNOSES.family(head)]
    coded = events[events.code.isin(codes)]
    first = pd.to_datetime(coded.groupby("patient_id").start.min())
    labels = labels_of(benchmark, task)
    labels = labels[labels.patient_id.isin(events.patient_id)]
    days = (labels.patient_id.map(first) - labels.prediction_time).dt.total_seconds() / 86_400
    positive = labels.number == 1
    assert days[positive].between(0, 367).all()
    assert (days[~positive].fillna(np.inf) > 363).all()


def test_labels_are_thinned_to_the_most_asked_for_whatever_their_value(benchmark, split):
    thinned = ehrshot_tasks.draw_benchmark(OPTIONS.model_copy(update={"most_labels": 1500}), SEED)
    for task in ("lab_anemia", "chexpert", "guo_los"):
        every, some = labels_of(benchmark, task), labels_of(thinned, task)
        by_split = every.patient_id.map(split).value_counts()
        assert (
            some.patient_id.map(split).value_counts().to_dict()
            == by_split.clip(upper=1500).to_dict()
        )
        assert (some.number > 0).mean() == pytest.approx((every.number > 0).mean(), abs=0.03)
        keys = ["patient_id", "prediction_time", "number"]
        assert len(some[keys].drop_duplicates().merge(every[keys].drop_duplicates())) == len(
            some[keys].drop_duplicates()
        )
        rows = thinned.truth["task"].to_pandas().eq(task).sum()
        assert rows == len(some) * len(sub_tasks(task))


def test_shots_are_those_of_the_benchmark(benchmark, split):
    labels = labels_of(benchmark, "guo_los")
    shots = benchmark.shots["guo_los"]["guo_los"]
    assert list(shots) == [*map(str, (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 128)), "-1"]
    assert all(list(shots[k]) == ["0", "1", "2", "3", "4"] for k in shots if k != "-1")
    assert list(shots["-1"]) == ["0"]
    train = labels[labels.patient_id.map(split) == "train"].reset_index(drop=True)
    for k, replicates in shots.items():
        for shot in replicates.values():
            rows = train.iloc[shot["train_idxs"]]
            assert shot["patient_ids_train_k"] == rows.patient_id.tolist()
            assert shot["label_values_train_k"] == rows.number.tolist()
            times = rows.prediction_time.dt.strftime("%Y-%m-%dT%H:%M:%S")
            assert shot["label_times_train_k"] == times.tolist()
            expected = len(train) if k == "-1" else 2 * int(k)
            assert len(rows) == len(shot["label_values_val_k"]) or k == "-1"
            assert len(rows) == expected


def test_shots_nest_balance_and_differ_between_replicates(benchmark):
    shots = benchmark.shots["lab_anemia"]["lab_anemia"]
    for part in ("train", "val"):
        few, many = (shots[k]["3"][f"{part}_idxs"] for k in ("4", "16"))
        assert few[:4] == many[:4]
        assert few[4:] == many[16:20]
        assert sum(shots["16"]["3"][f"label_values_{part}_k"]) == 16
    assert shots["16"]["0"]["train_idxs"] != shots["16"]["1"]["train_idxs"]


def test_chexpert_has_shots_for_each_finding(benchmark):
    assert list(benchmark.shots["chexpert"]) == CHEXPERT


def test_benchmark_is_deterministic():
    options = SiteOptions(persons=60)
    once = ehrshot_tasks.draw_benchmark(options, 3)
    ehrshot_site.draw_site.cache_clear()
    again = ehrshot_tasks.draw_benchmark(options, 3)
    assert once.truth.equals(again.truth)
    assert once.shots == again.shots
    assert all(once.labels[task].equals(again.labels[task]) for task in TASKS)
