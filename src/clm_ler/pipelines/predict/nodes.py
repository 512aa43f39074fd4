"""Predictions for persons that a model has never seen, from their whole history."""

from collections.abc import Callable, Iterator

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor.samples import by_task
from clm_ler.files.progress import Progress
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.counts import last_visible_days
from clm_ler.modeling.inference import predict_proba, trained_window
from clm_ler.modeling.training.hybrid import Hybrid, hybrid_inputs

PERSONS_PER_CHUNK = 20_000  # bounds the memory
SCHEMA = pa.schema(
    {"person_id": pa.int64(), "task": pa.string(), "probabilities": pa.list_(pa.float64())}
)


def mark_new(new_demographics: ir.Table) -> ir.Table:
    """Return ``person_id, split`` of persons that belong to no split."""
    return new_demographics.select("person_id", split=ibis.literal("new"))


def predict_persons(
    new_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    model: PreTrainedModel,
) -> pa.RecordBatchReader:
    """Return ``person_id, task, probabilities`` (of the classes), chunk after chunk.

    Raises:
        ValueError: If the model was trained with another tokenizer.
    """
    vocabulary = Vocabulary.from_tokenizer(tokenizer, model.config)
    store, window = TokenStore.from_arrow(new_encoded), trained_window(model)

    def predict(store: TokenStore, everything: Samples) -> NDArray[np.float64]:
        return predict_proba(model, store, everything, vocabulary, window)

    return pa.RecordBatchReader.from_batches(SCHEMA, _predict(store, model, predict))


def predict_hybrid(
    new_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    model: PreTrainedModel,
    hybrid: Hybrid | None,
) -> pa.RecordBatchReader:
    """Return the same of the hybrid of model and windowed features; no row where none was trained.

    Raises:
        ValueError: If model, tokenizer and hybrid are not of one training.
    """
    if hybrid is None or not hybrid.outputs:
        return pa.RecordBatchReader.from_batches(SCHEMA, iter(()))
    hybrid.check(model)
    vocabulary = Vocabulary.from_tokenizer(tokenizer, model.config)

    def predict(store: TokenStore, everything: Samples) -> NDArray[np.float64]:
        inputs = hybrid_inputs(model, store, everything, vocabulary, everything.days)
        return hybrid.predict(inputs)

    store = TokenStore.from_arrow(new_encoded)
    return pa.RecordBatchReader.from_batches(SCHEMA, _predict(store, model, predict))


def _predict(
    store: TokenStore,
    model: PreTrainedModel,
    predict: Callable[[TokenStore, Samples], NDArray[np.float64]],
) -> Iterator[pa.RecordBatch]:
    progress = Progress("predictions", len(store), "persons")
    for first in range(0, len(store), PERSONS_PER_CHUNK):
        rows = np.arange(first, min(first + PERSONS_PER_CHUNK, len(store)))
        ends = store.lengths[rows]
        everything = Samples.unlabelled(rows, ends, last_visible_days(store, rows, ends))
        for task, shown in by_task(predict(store, everything), model.config.tasks):
            columns = [store.person_id[rows], [task] * len(rows), list(shown)]
            arrays = [
                pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
        progress.step(len(rows))
