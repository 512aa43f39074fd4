"""What a classifier sees of a sample: rows of a matrix, made when they are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse as sp
from ibis import _
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from clm_ler.corridor.samples import visible_samples
from clm_ler.files.digests import digest
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.event_counts import (
    EventCounts,
    count_events,
    lookback_instants,
)
from clm_ler.modeling.evaluation.probes import Labels, Matrix, Probe, fit_probe
from clm_ler.modeling.training.finetuning import FineTuningData
from clm_ler.pipelines.ehrshot_eval.finetuning import FineTuner
from clm_ler.pipelines.ehrshot_eval.options import FINETUNED, EhrshotOptions, HeadOptions
from clm_ler.tokens import DAYS_PER_YEAR

Data = tuple[Any, Labels]  # a matrix, or what the head's own classifier takes
Fit = Callable[[HeadOptions, Data, Data, int, Any], Probe]


def fit_head(
    head: HeadOptions,
    train: Data,
    validation: Data,
    seed: int,
    unlabelled: Matrix | None,
    parts: Sequence[int] = (),
) -> Probe:
    """Return the head's classifier on a matrix of features."""
    assert head.estimator != "finetune"  # as the options see to
    return fit_probe(head.estimator, head.grid, train, validation, unlabelled, parts, seed)


@dataclass(frozen=True)
class Features:
    """One kind of features, and how a classifier is fitted on them.

    Attributes:
        rows: Gives what the classifier takes of samples (``person_id``, ``prediction_time``): of most, a
            matrix with a row for each.
        digest: Changes when the features do.
        fit: Takes a head, training and validation features and labels, a seed, and the features of
            unlabelled training samples, which only some heads look at.
    """

    rows: Callable[[pd.DataFrame], Any]
    digest: str
    fit: Fit = fit_head


def embedding_features(ehrshot_embeddings: ir.Table, parts: Sequence[int]) -> Features:
    """Return the vector of each person and prediction time; ``parts`` are the lengths of its parts."""
    table = ehrshot_embeddings.to_pyarrow()
    moments = table.select(["person_id", "prediction_time"]).to_pandas()
    vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(moments), -1)
    place = place_in(moments)
    return Features(
        lambda samples: vectors[place(samples)],
        digest(*keys_of(moments), vectors, list(parts)),
        partial(fit_head, parts=parts),
    )


def fine_tuned_features(
    seen: pd.DataFrame,
    frozen: str,
    encoded: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    workspace: Path,
    options: EhrshotOptions,
) -> dict[str, Features]:
    """Return what the model reads of each sample, to fine-tune it on; nothing where no head wants that.

    Args:
        seen: ``person_id``, ``prediction_time``, ``n_positions`` and ``prediction_day`` of all
            prediction times.
        frozen: The digest of the embeddings: they change with the model, the vocabulary, the events.
        encoded: What the model reads.
        tokenizer: That of the model.
        model: The pre-trained model.
        workspace: Where trainings leave their state.
        options: The window.
    """
    if not options.models.get(FINETUNED):
        return {}
    store = TokenStore.from_arrow(encoded)
    samples = visible_samples(seen, store)
    place = place_in(seen)
    data = FineTuningData(
        store=store,
        vocabulary=Vocabulary.from_tokenizer(tokenizer, model.config),
        window=options.window(model.config.max_position_embeddings),
        train=samples[:0],
        valid=samples[:0],
        num_labels=2,
        seed=0,
    )
    tuner = FineTuner(model, data, options.tokens_per_batch, workspace)
    return {
        FINETUNED: Features(
            lambda rows: samples[place(rows)],
            digest("fine-tuned", frozen),
            lambda head, train, validation, seed, _: tuner.fit(head.grid, train, validation, seed),
        )
    }


def counted_features(
    seen: pd.DataFrame,
    tokens: ir.Table,
    ancestors: ir.Table,
    ages: Features,
    options: EhrshotOptions,
) -> dict[str, Features]:
    """Return the wanted count features; the official ones count for all ancestors of a code."""
    made: dict[str, Features] = {}
    if options.models.get("count"):
        pairs = ancestors.to_pandas()
        counts = _count(tokens.filter(tokens.official), seen, ())
        expanded = counts.expanded(pairs["token"].tolist(), pairs["ancestor"].tolist())
        made["count"] = count_features(expanded, ages)
    if options.models.get("count_bins"):
        counts = _count(tokens, seen, options.lookbacks)
        made["count_bins"] = count_features(counts, ages, options.lookbacks)
    return made


def _count(tokens: ir.Table, seen: pd.DataFrame, lookbacks: tuple[int, ...]) -> EventCounts:
    batches = tokens.drop("official").to_pyarrow_batches(chunk_size=1_000_000)
    return count_events(batches, lookback_instants(*keys_of(seen), lookbacks))


def count_features(counts: EventCounts, ages: Features, lookbacks: Sequence[int] = ()) -> Features:
    """Return the age and the counts of events up to the prediction time."""

    def rows(samples: pd.DataFrame) -> sp.csr_matrix:
        seen = counts.until(*keys_of(samples), lookbacks)
        return sp.hstack([sp.csr_matrix(ages.rows(samples)), seen], format="csr", dtype=np.float32)

    matrix = counts.since_last
    parts = (counts.instants.keys, matrix.data, matrix.indices, matrix.indptr)
    return Features(rows, digest(*parts, list(lookbacks), ages.digest))


def age_features(times: pd.DataFrame, tokens: ir.Table) -> Features:
    """Return the official age: years of 365 days since the person's first event, standardised.

    Before the first event it is 0. Mean and standard deviation are those over all prediction times, as in
    the official featurizer.

    Args:
        times: Every person_id and prediction_time.
        tokens: person_id and time of all events.
    """
    first_times = tokens.group_by("person_id").agg(time=_.time.min()).to_pandas()
    first = first_times.set_index("person_id")["time"].astype("datetime64[us]")

    def years(samples: pd.DataFrame) -> NDArray[np.float64]:
        began = first.reindex(samples["person_id"]).to_numpy()
        lived = samples["prediction_time"].to_numpy() - began
        # Whole days, as the official featurizer counts them.
        days = np.floor(lived / np.timedelta64(1, "D"))
        return np.nan_to_num(days / DAYS_PER_YEAR).clip(min=0)

    everyone = years(times)
    mean, deviation = everyone.mean(), everyone.std() or 1.0
    return Features(
        lambda samples: ((years(samples) - mean) / deviation).astype(np.float32)[:, None],
        digest(everyone),
    )


def keys_of(samples: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the persons and the prediction times in microseconds."""
    times = samples["prediction_time"].astype("datetime64[us]").astype("int64")
    return samples["person_id"].to_numpy(), times.to_numpy()


def place_in(times: pd.DataFrame) -> Callable[[pd.DataFrame], NDArray[np.int64]]:
    """Return what tells in which row of ``times`` the person and prediction time of a sample stand.

    It raises ValueError for a sample that stands in none.
    """
    index = pd.MultiIndex.from_arrays(keys_of(times))

    def place(samples: pd.DataFrame) -> NDArray[np.int64]:
        rows = index.get_indexer(pd.MultiIndex.from_arrays(keys_of(samples)))
        if (rows < 0).any():
            raise ValueError(f"{(rows < 0).sum()} of {len(rows)} samples have no features.")
        return rows

    return place
