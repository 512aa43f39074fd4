"""PyHealth on the dataset of ``peers.py``, with PyHealth's own classes; run with the Python that has it.

    python benchmarks/peers_pyhealth.py DIR PLACE

A visit is a day with events, none after the prediction time; a lab's code ends with the decile of its value among the
training split. Trains each model on the training split, keeps its best epoch on the tuning split, and writes the risks
of the rows held out below PLACE.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pyhealth.datasets import SampleEHRDataset, get_dataloader
from pyhealth.models import RETAIN, Transformer
from pyhealth.trainer import Trainer

EPOCHS = 20


def read_events(folder: Path, split: str) -> pd.DataFrame:
    """Return the events of a split, in the order of their time."""
    events = pd.read_parquet(folder / "meds" / "data" / split)
    return events.sort_values(["subject_id", "time"], na_position="first")


def decile_edges(events: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the inner deciles of each code's values."""
    labs = events.dropna(subset=["numeric_value"]).groupby("code")["numeric_value"]
    return {code: np.quantile(values, np.arange(1, 10) / 10) for code, values in labs}


def with_deciles(events: pd.DataFrame, edges: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return events with the decile of a value behind its code."""
    codes = events["code"].astype(object).copy()
    for code, rows in events.dropna(subset=["numeric_value"]).groupby("code"):
        bins = np.searchsorted(edges.get(code, []), rows["numeric_value"])
        codes[rows.index] = [f"{code}//{number}" for number in bins]
    return events.assign(code=codes)


def samples(folder: Path, split: str, edges: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return PyHealth's samples of a split, one for each label."""
    persons = dict(list(with_deciles(read_events(folder, split), edges).groupby("subject_id")))
    found = []
    labels = pd.read_parquet(folder / "labels" / split)
    for number, label in enumerate(labels.itertuples()):
        events = persons[label.subject_id]
        static = events.loc[events["time"].isna(), "code"].tolist()
        seen = events[events["time"] <= label.prediction_time]
        age = (label.prediction_time - seen["time"].iloc[0]).days // 3652
        seen = seen[seen["code"] != "MEDS_BIRTH"]
        visits = seen.groupby(seen["time"].dt.date)["code"].agg(list).tolist()
        found.append(
            {
                "patient_id": str(label.subject_id),
                "visit_id": str(number),
                "visits": visits,
                "person": [[*static, f"AGE//{age}"]],
                "label": int(label.boolean_value),
            }
        )
    return found


def main() -> None:
    """Train and apply each model."""
    folder, place = map(Path, sys.argv[1:])
    edges = decile_edges(read_events(folder, "train"))
    splits = {
        split: SampleEHRDataset(samples(folder, split, edges))
        for split in ("train", "tuning", "held_out")
    }
    loaders = {
        split: get_dataloader(rows, batch_size=32, shuffle=split == "train")
        for split, rows in splits.items()
    }
    for kind in (Transformer, RETAIN):
        torch.manual_seed(0)
        model = kind(splits["train"], ["visits", "person"], "label", mode="binary")
        trainer = Trainer(
            model, metrics=["roc_auc"], device="cpu", output_path=str(place), exp_name=kind.__name__
        )
        trainer.train(loaders["train"], loaders["tuning"], epochs=EPOCHS, monitor="roc_auc")
        _, risks, _ = trainer.inference(loaders["held_out"])
        rows = pd.read_parquet(folder / "labels" / "held_out").assign(risk=risks.ravel())
        rows.to_parquet(place / f"{kind.__name__}.parquet", index=False)


if __name__ == "__main__":
    main()
