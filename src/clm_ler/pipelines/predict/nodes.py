"""Predictions for persons that a model has never seen, from their whole history."""

from collections.abc import Iterator

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor.samples import by_task
from clm_ler.files.progress import Progress
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.inference import predict_proba, trained_window
from clm_ler.tables.persons import are_numbers

PERSONS_PER_CHUNK = 20_000  # bounds the memory
SCHEMA = pa.schema(
    {"person_id": pa.int64(), "task": pa.string(), "probabilities": pa.list_(pa.float64())}
)
OWN_ID = pa.field("own_id", pa.string())


def mark_new(new_demographics: ir.Table) -> ir.Table:
    """Return ``person_id, split`` of persons that belong to no split."""
    return new_demographics.select("person_id", split=ibis.literal("new"))


def predict_persons(
    new_encoded: pa.Table,
    new_person_ids: ir.Table,
    tokenizer: PreTrainedTokenizerFast,
    model: PreTrainedModel,
) -> pa.RecordBatchReader:
    """Return ``person_id, task, probabilities`` (of the classes), chunk after chunk.

    Where ids are no numbers, ``own_id`` comes last.

    Raises:
        ValueError: If the model was trained with another tokenizer.
    """
    vocabulary = Vocabulary.from_tokenizer(tokenizer, model.config)
    store = TokenStore.from_arrow(new_encoded)
    batches = _predict(store, vocabulary, model)
    if are_numbers(new_person_ids):
        return pa.RecordBatchReader.from_batches(SCHEMA, batches)
    named = name_persons(batches, new_person_ids)
    return pa.RecordBatchReader.from_batches(SCHEMA.append(OWN_ID), named)


def name_persons(
    batches: Iterator[pa.RecordBatch], person_ids: ir.Table
) -> Iterator[pa.RecordBatch]:
    """Yield the batches with ``own_id`` as their last column."""
    own = person_ids.order_by("person_id").to_pyarrow()
    keys, texts = own["person_id"].to_numpy(), own["own_id"].combine_chunks()
    for batch in batches:
        wanted = batch["person_id"].to_numpy()
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        numbers = batch["person_id"].cast(pa.string())
        own_ids = pc.if_else(pa.array(keys[places] == wanted), texts.take(places), numbers)
        yield batch.append_column(OWN_ID, own_ids)


def _predict(
    store: TokenStore, vocabulary: Vocabulary, model: PreTrainedModel
) -> Iterator[pa.RecordBatch]:
    window, progress = trained_window(model), Progress("predictions", len(store), "persons")
    for first in range(0, len(store), PERSONS_PER_CHUNK):
        rows = np.arange(first, min(first + PERSONS_PER_CHUNK, len(store)))
        everything = Samples.unlabelled(rows, store.lengths[rows])
        probabilities = predict_proba(model, store, everything, vocabulary, window)
        for task, shown in by_task(probabilities, model.config.tasks):
            columns = [store.person_id[rows], [task] * len(rows), list(shown)]
            arrays = [
                pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
        progress.step(len(rows))
