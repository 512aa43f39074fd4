"""What a classifier sees of a sample: rows of a matrix, made when they are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from clm_ler.modeling.evaluation.event_counts import EventCounts, Instants
from clm_ler.modeling.evaluation.probes import Labels, Matrix, Probe, fit_probe
from clm_ler.pipelines.ehrshot_eval.finetuning import Encoder, Positions, fit_fine_tuned
from clm_ler.pipelines.ehrshot_eval.options import HeadOptions

Data = tuple[Any, Labels]  # a matrix, or what the head's own classifier takes
Fit = Callable[[HeadOptions, Data, Data, int], Probe]


def fit_head(head: HeadOptions, train: Data, validation: Data, seed: int) -> Probe:
    """Return the head's classifier on a matrix of features."""
    if head.estimator == "finetune":
        raise ValueError("A head that fine-tunes goes with the model clm_ler_finetuned only.")
    return fit_probe(head.estimator, head.grid, train, validation, seed)


@dataclass(frozen=True)
class Features:
    """One kind of features, and how a classifier is fitted on them.

    Attributes:
        rows: Gives the matrix of samples (``person_id``, ``prediction_time``), a row for each.
        digest: Changes when the features do.
        fit: Takes a head, training and validation features and labels, and a seed.
    """

    rows: Callable[[pd.DataFrame], Matrix]
    digest: str
    fit: Fit = fit_head


def embedding_features(times: pd.DataFrame, vectors: NDArray[np.float32]) -> Features:
    """Return one vector for each person and prediction time, which ``times`` lists."""
    instants, by_instant = _by_instant(times, vectors)
    return Features(
        lambda samples: by_instant[instants.first_not_before(*keys_of(samples))],
        _digest(instants.keys, by_instant),
    )


def fine_tuned_features(
    times: pd.DataFrame, positions: Positions, encoder: Encoder, digest: str, checkpoints: Path
) -> Features:
    """Return what the model reads of each person at each prediction time, to fine-tune it on.

    Args:
        times: Every person_id and prediction_time.
        positions: The row of the store and the leading positions that may be seen, of each.
        encoder: The pre-trained model.
        digest: Of its embeddings: they change with the model, the vocabulary and the events.
        checkpoints: Where unfinished trainings lie.
    """
    instants, by_instant = _by_instant(times, positions)
    return Features(
        lambda samples: by_instant[instants.first_not_before(*keys_of(samples))],
        f"fine-tuned-{digest}",
        lambda head, train, validation, seed: fit_fine_tuned(
            encoder, checkpoints, head.grid, train, validation, seed
        ),
    )


def _by_instant(times: pd.DataFrame, values: NDArray[Any]) -> tuple[Instants, NDArray[Any]]:
    """Return the values in the order of their instants."""
    instants = Instants.of(*keys_of(times))
    ordered = np.empty_like(values)
    ordered[instants.first_not_before(*keys_of(times))] = values
    return instants, ordered


def count_features(counts: EventCounts, ages: Features, lookbacks: Sequence[int] = ()) -> Features:
    """Return the age and the counts of events up to the prediction time."""

    def rows(samples: pd.DataFrame) -> sp.csr_matrix:
        seen = counts.until(*keys_of(samples), lookbacks)
        return sp.hstack([sp.csr_matrix(ages.rows(samples)), seen], format="csr", dtype=np.float32)

    matrix = counts.since_last
    parts = (counts.instants.keys, matrix.data, matrix.indices, matrix.indptr)
    return Features(rows, _digest(*parts, np.array(lookbacks)) + ages.digest)


def age_features(times: pd.DataFrame, first_times: pd.DataFrame) -> Features:
    """Return the official age: years of 365 days since the person's first event, standardised.

    Mean and standard deviation are those over all prediction times, as in the official featurizer.

    Args:
        times: Every person_id and prediction_time.
        first_times: person_id and time of the first event.
    """
    first = first_times.set_index("person_id")["time"].astype("datetime64[us]")

    def years(samples: pd.DataFrame) -> NDArray[np.float64]:
        began = first.reindex(samples["person_id"]).to_numpy()
        lived = samples["prediction_time"].to_numpy() - began
        return np.nan_to_num(lived / np.timedelta64(1, "D") / 365)

    everyone = years(times)
    mean, deviation = everyone.mean(), everyone.std() or 1.0
    return Features(
        lambda samples: ((years(samples) - mean) / deviation).astype(np.float32)[:, None],
        _digest(everyone),
    )


def keys_of(samples: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the persons and the prediction times in microseconds."""
    times = samples["prediction_time"].astype("datetime64[us]").astype("int64")
    return samples["person_id"].to_numpy(), times.to_numpy()


def _digest(*arrays: NDArray[np.generic]) -> str:
    state = blake2b(digest_size=16)
    for array in arrays:
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()
