"""Samples between tables and arrays."""

from collections.abc import Iterator, Sequence
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.engines.portable import row_count
from clm_ler.files.progress import Progress
from clm_ler.modeling.data.samples import NO_LABEL, Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.evaluation.counts import last_visible_days
from clm_ler.modeling.inference import TOKENS_PER_BATCH, embed
from clm_ler.modeling.loading import encoder_of
from clm_ler.modeling.model.configuration_clm_ler import pooled_size
from clm_ler.tables.samples import PER_SAMPLE

SAMPLES_PER_CHUNK = 20_000  # bounds the memory

SEEN = ["person_id", "n_positions", "prediction_day"]
EMBEDDED = ["sample_id", "person_id", "prediction_time", "split"]


def wide_samples(samples: ir.Table) -> pd.DataFrame:
    """Return one row per sample, by ``sample_id``: ``PER_SAMPLE``, then a label column per task."""
    long = samples.order_by("sample_id", "task").to_pandas()
    once = long[PER_SAMPLE].drop_duplicates("sample_id").set_index("sample_id")
    labels = long.pivot(index="sample_id", columns="task", values="label")
    return once.join(labels.fillna(NO_LABEL).astype("int64")).reset_index()


def tasks_of(frame: pd.DataFrame) -> list[str]:
    """Return the tasks of :func:`wide_samples`."""
    return list(frame.columns[len(PER_SAMPLE) :])


def visible_samples(frame: pd.DataFrame, store: TokenStore, labels: Any = None) -> Samples:
    """Return rows of the store and how much of each may be seen; unlabelled where no labels are given.

    Args:
        frame: ``person_id``, ``n_positions`` and ``prediction_day`` of each sample; without a day it is
            the last that is seen. A person whom the store lacks may only have samples that see nothing.
        store: The encoded persons.
        labels: Class numbers, ``[n]``; with several tasks ``[n, tasks]``.
    """
    persons, ends = frame["person_id"].to_numpy(), frame["n_positions"].to_numpy(np.int64)
    order = np.argsort(store.person_id)
    rows = order.take(np.searchsorted(store.person_id, persons, sorter=order), mode="clip")
    absent = store.person_id[rows] != persons
    if lost := int((absent & (ends > 0)).sum()):
        raise ValueError(
            f"{lost} of {len(frame)} samples are of persons who have no encoded sequence: samples and "
            "sequences are of different runs."
        )
    days = frame["prediction_day"].to_numpy(np.float64, na_value=np.nan)
    days = np.where(np.isnan(days), last_visible_days(store, rows, ends), days).astype(np.int64)
    if labels is None:
        return Samples.unlabelled(rows, ends, days)
    return Samples(rows, ends, days, labels)


def to_samples(frame: pd.DataFrame, store: TokenStore) -> Samples:
    """Return the samples as rows of the store; labels of one task are a vector."""
    labels = frame[tasks_of(frame)].to_numpy()
    return visible_samples(frame, store, labels[:, 0] if labels.shape[1] == 1 else labels)


def embed_samples(
    samples: ir.Table,
    keep: Sequence[str],
    store: TokenStore,
    encoder: PreTrainedModel,
    vocabulary: Vocabulary,
    window: WindowOptions,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> pa.RecordBatchReader:
    """Return columns of the samples and ``embedding`` (float32, of fixed size), chunk after chunk.

    The vector of a sample is the pooled embedding of its most recent window among the first
    ``n_positions`` of the person: nothing after its prediction time.
    """
    total = row_count(samples)
    chunks = samples.to_pyarrow_batches(chunk_size=SAMPLES_PER_CHUNK)
    vector = pa.field("embedding", pa.list_(pa.float32(), pooled_size(encoder.config)))
    schema = pa.schema([*(chunks.schema.field(name) for name in keep), vector])

    def batches() -> Iterator[pa.RecordBatch]:
        progress = Progress("embeddings", total, "samples")
        for chunk in chunks:
            part = visible_samples(chunk.select(SEEN).to_pandas(), store)
            values = embed(encoder, store, part, vocabulary, window, tokens_per_batch)
            vectors = pa.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1])
            columns = [*(chunk[name] for name in keep), vectors]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
            progress.step(len(part))

    return pa.RecordBatchReader.from_batches(schema, batches())


def by_task(
    probabilities: NDArray[np.floating], tasks: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """Yield each task with the probabilities of its classes, ``[n, classes]``.

    The columns of several tasks are the probabilities of their outcomes; one task's are its classes.
    """
    if len(tasks) == 1:
        yield tasks[0], probabilities
        return
    for task, outcome in zip(tasks, probabilities.T, strict=True):
        yield task, np.column_stack([1 - outcome, outcome])


def export_embeddings(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    pretrained_model: PreTrainedModel,
    options: FinetuneOptions,
) -> pa.RecordBatchReader:
    """Return ``sample_id, person_id, prediction_time, split, embedding``, chunk after chunk.

    Where ids are no numbers, ``own_id`` comes before the embedding.
    Window and pooling are those of fine-tuning.
    """
    encoder = encoder_of(pretrained_model, options.pooling)
    keep = [*EMBEDDED, *({"own_id"} & {*samples.columns})]
    return embed_samples(
        samples.select(*keep, "n_positions", "prediction_day").distinct().order_by("sample_id"),
        keep,
        TokenStore.from_arrow(labelled_encoded),
        encoder,
        Vocabulary.from_tokenizer(tokenizer, encoder.config),
        options.window(encoder.config.max_position_embeddings),
    )
