"""Samples between tables and arrays."""

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_ler.modeling.data.samples import UNKNOWN, Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.evaluation.counts import last_visible_days

PER_SAMPLE = [
    "sample_id",
    "person_id",
    "prediction_time",
    "split",
    "n_positions",
    "prediction_day",
]


def wide_samples(samples: ir.Table) -> pd.DataFrame:
    """Return one row per sample, by ``sample_id``: ``PER_SAMPLE``, then a label column per task."""
    long = samples.order_by("sample_id", "task").to_pandas()
    once = long[PER_SAMPLE].drop_duplicates("sample_id").set_index("sample_id")
    labels = long.pivot(index="sample_id", columns="task", values="label")
    return once.join(labels.fillna(UNKNOWN).astype("int64")).reset_index()


def tasks_of(frame: pd.DataFrame) -> list[str]:
    """Return the tasks of :func:`wide_samples`."""
    return list(frame.columns[len(PER_SAMPLE) :])


def store_rows(store: TokenStore, person_ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the store's row of each person, all of whom it has."""
    order = np.argsort(store.person_id)
    return order[np.searchsorted(store.person_id, person_ids, sorter=order)]


def to_samples(frame: pd.DataFrame, store: TokenStore) -> Samples:
    """Return the samples as rows of the store; labels of one task are a vector."""
    labels = frame[tasks_of(frame)].to_numpy()
    return Samples(
        rows=store_rows(store, frame["person_id"].to_numpy()),
        ends=frame["n_positions"].to_numpy(np.int64),
        labels=labels[:, 0] if labels.shape[1] == 1 else labels,
    )


def prediction_days(frame: pd.DataFrame, store: TokenStore, samples: Samples) -> NDArray[np.int64]:
    """Return the day of each prediction in the person's count, the last visible one without a time."""
    last = last_visible_days(store, samples.rows, samples.ends)
    days = frame["prediction_day"].to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isnan(days), last, np.nan_to_num(days)).astype(np.int64)
