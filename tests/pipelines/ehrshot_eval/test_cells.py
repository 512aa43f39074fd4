"""One cell against the protocol written plainly with scikit-learn."""

import json
from dataclasses import replace

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import resample

from clm_ler.pipelines.ehrshot_eval import results
from clm_ler.pipelines.ehrshot_eval.cells import (
    Cell,
    SubTask,
    cell_name,
    fit_cell,
    list_cells,
    warn_of_gaps,
)
from clm_ler.pipelines.ehrshot_eval.features import Features, embedding_features
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions, HeadOptions

GRID = {"C": (1e-6, 1e-2, 1.0)}
HEAD = HeadOptions(estimator="logistic", grid=GRID)
BOOTSTRAPS = 40
METRICS = {"auroc": roc_auc_score, "auprc": average_precision_score, "brier": brier_score_loss}


def draw_samples(rows: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "person_id": np.sort(generator.integers(0, rows // 3, rows)) + 1000 * seed,
            "prediction_time": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(np.arange(rows), unit="h"),
            "label": generator.integers(0, 2, rows).astype(np.int8),
        }
    )


@pytest.fixture
def sub_task() -> SubTask:
    sizes = {"train": 60, "valid": 40, "test": 90}
    parts = {split: draw_samples(size, seed) for seed, (split, size) in enumerate(sizes.items())}
    return SubTask("guo_los", "guo_los", parts)


@pytest.fixture
def features(sub_task: SubTask) -> Features:
    everyone = pd.concat(sub_task.by_split.values(), ignore_index=True).sample(
        frac=1, random_state=0
    )
    generator = np.random.default_rng(7)
    vectors = generator.normal(size=(len(everyone), 6)).astype(np.float32)
    vectors[:, 0] += 0.8 * everyone["label"].to_numpy()
    table = pa.Table.from_pandas(everyone[["person_id", "prediction_time"]], preserve_index=False)
    embedding = pa.array(list(vectors), pa.list_(pa.float32()))
    return embedding_features(ibis.memtable(table.append_column("embedding", embedding)), [4, 2])


@pytest.fixture
def cell(sub_task: SubTask) -> Cell:
    train = np.array([3, 50, 17, 8, 22, 41, 30, 2, 11, 12])
    return Cell(sub_task, "clm_ler", "lr_lbfgs", 5, 2, train, np.arange(0, 40, 2))


def plain_protocol(cell: Cell, features: Features) -> tuple[dict, np.ndarray]:
    """Section by section what the official evaluation does for one cell."""
    parts = cell.sub_task.by_split
    train, valid = parts["train"].iloc[cell.train_rows], parts["valid"].iloc[cell.valid_rows]
    scaler = MaxAbsScaler().fit(features.rows(train))
    x_train, x_valid = (
        scaler.transform(features.rows(train)),
        scaler.transform(features.rows(valid)),
    )
    aurocs = [
        roc_auc_score(
            valid["label"],
            LogisticRegression(C=c, max_iter=1000)
            .fit(x_train, train["label"])
            .predict_proba(x_valid)[:, 1],
        )
        for c in GRID["C"]
    ]
    best = {"C": GRID["C"][int(np.argmax(aurocs))]}
    model = LogisticRegression(**best).fit(x_train, train["label"])
    probability = model.predict_proba(scaler.transform(features.rows(parts["test"])))[:, 1]
    return best, probability.astype(np.float64)


def test_a_cell_is_the_protocol(cell: Cell, features: Features) -> None:
    row = fit_cell(cell, features, HEAD, BOOTSTRAPS).to_pylist()[0]
    best, probability = plain_protocol(cell, features)
    assert json.loads(row["model_hparams"]) == best
    np.testing.assert_array_equal(row["probability"], probability)

    test = cell.sub_task.by_split["test"]
    labels = test["label"].to_numpy()
    patients = np.unique(test["person_id"])
    official = results.official_rows(pd.DataFrame([row])).set_index("score")
    assert list(official.reset_index().columns.sort_values()) == sorted(results.OFFICIAL_COLUMNS)
    for name, metric in METRICS.items():
        resampled = []
        for seed in range(BOOTSTRAPS):
            drawn = resample(patients, random_state=seed)
            times = [(drawn == patient).sum() for patient in test["person_id"]]
            resampled.append(metric(labels, probability, sample_weight=times))
        expected = {
            "value": metric(labels, probability),
            "mean": np.mean(resampled),
            "std": np.std(resampled, ddof=1),
            "lower": np.percentile(resampled, 2.5),
            "upper": np.percentile(resampled, 97.5),
        }
        for column, value in expected.items():
            assert official.loc[name, column] == pytest.approx(value, abs=1e-12), (name, column)


def test_a_name_stands_for_a_content(cell: Cell, features: Features, sub_task: SubTask) -> None:
    name = cell_name(cell, features, HEAD, BOOTSTRAPS)
    assert name == cell_name(cell, features, HEAD, BOOTSTRAPS)
    other_head = HeadOptions(estimator="logistic", grid={"C": (1.0,)})
    other_features = Features(features.rows, features.digest + "x")
    relabelled = sub_task.by_split["test"].assign(label=1)
    other_labels = SubTask("guo_los", "guo_los", {**sub_task.by_split, "test": relabelled})
    other_cell = Cell(other_labels, "clm_ler", "lr_lbfgs", 5, 2, cell.train_rows, cell.valid_rows)
    others = {
        cell_name(cell, features, other_head, BOOTSTRAPS),
        cell_name(cell, other_features, HEAD, BOOTSTRAPS),
        cell_name(cell, features, HEAD, BOOTSTRAPS + 1),
        cell_name(other_cell, features, HEAD, BOOTSTRAPS),
    }
    assert len(others | {name}) == 5


def test_cells_are_shots_times_heads(sub_task: SubTask, caplog: pytest.LogCaptureFixture) -> None:
    labels = sub_task.by_split["train"]["label"].to_numpy()
    positive = int(np.flatnonzero(labels)[0])

    def drawn(rows: list[int]) -> dict:
        return {
            "train_idxs": rows,
            "label_values_train_k": labels[rows].tolist(),
            "val_idxs": [],
            "label_values_val_k": [],
        }

    everyone = drawn(list(range(60)))
    shots = {"guo_los": {"1": {"0": drawn([positive])}, "2": {"0": everyone, "1": everyone}}}
    shots["guo_los"]["-1"] = {"0": everyone}
    options = EhrshotOptions(
        shots=(1, 2, -1),
        replicates=2,
        heads={"a": HEAD, "b": HEAD},
        models={"clm_ler": ("a", "b"), "count": ("a",)},
        checkpoints="checkpoints",
    )
    cells = list_cells(sub_task, shots, options)
    assert sorted((cell.k, cell.replicate, cell.model, cell.head) for cell in cells) == sorted(
        (k, replicate, model, head)
        for k, replicate in ((2, 0), (2, 1), (-1, 0))
        for model, head in (("clm_ler", "a"), ("clm_ler", "b"), ("count", "a"))
    )
    negative = sub_task.by_split["test"].assign(label=0)
    other = replace(sub_task, name="b", by_split={**sub_task.by_split, "test": negative})
    again = [replace(cells[0], k=1, replicate=replicate) for replicate in (0, 1)]
    warn_of_gaps([(sub_task, cells), (other, [*cells, *again])], options)
    few, blind = caplog.messages
    assert few.startswith("1 of 2 sub-tasks") and few.endswith(f"({sub_task.name}).")
    assert blind == "1 of 2 sub-tasks have test samples of one class: no AUROC (b)."
