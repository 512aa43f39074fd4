"""Predictions for persons that a model has never seen, from their history."""

import logging
from collections.abc import Callable, Iterator, Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor.nodes import visible_times
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.corridor.samples import by_task, visible_samples
from clm_ler.files.progress import Progress
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.counts import last_visible_days
from clm_ler.modeling.evaluation.percentiles import shares_above
from clm_ler.modeling.inference import predict_proba, trained_window
from clm_ler.modeling.training.hybrid import Hybrid, hybrid_inputs
from clm_ler.tables.labels import persons_asked, select_times
from clm_ler.tables.meds import meds_predictions
from clm_ler.tables.persons import are_numbers, with_own_ids
from clm_ler.tables.samples import label_samples

logger = logging.getLogger(__name__)

PERSONS_PER_CHUNK = 20_000  # bounds the memory
PERSON = "person_id"
# Why there is no prediction.
NO_EVENT = "no event that the model reads (predict/raw_row_counts says what was lost)"
NO_EVENT_YET = "no event that the model reads until then"
NOBODY = "not among the persons"
MOMENT = [PERSON, "prediction_time"]
CLASSES = pa.list_(pa.float64())
PREDICTED = [
    pa.field("task", pa.string()),
    pa.field("probabilities", CLASSES),
    pa.field("training_above", CLASSES),
]
OWN_ID = pa.field("own_id", pa.string())


def mark_new(new_demographics: ir.Table, prediction_times: ir.Table | None) -> ir.Table:
    """Return ``person_id, split`` of the persons to predict; they belong to no split."""
    persons = new_demographics
    if prediction_times is not None:
        persons = persons.semi_join(persons_asked(prediction_times), "person_id")
    return persons.select("person_id", split=ibis.literal("new"))


def export_predictions(
    prediction_times: ir.Table | None,
    predictions: ir.Table,
    hybrid_predictions: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return the predictions in the schema of meds-evaluation: see ``tables.meds.meds_predictions``."""
    return meds_predictions(prediction_times, predictions, hybrid_predictions, options.time_zone)


def predict_persons(
    new_encoded: pa.Table,
    new_sequences: ir.Table,
    new_person_ids: ir.Table,
    prediction_times: ir.Table | None,
    tokenizer: PreTrainedTokenizerFast,
    model: PreTrainedModel,
    options: PreprocessOptions,
) -> pa.RecordBatchReader:
    """Return ``person_id, task, probabilities, training_above``, chunk after chunk.

    Both are lists by class: the risk, and the share of the persons of the training who have a higher one (null where
    the model does not know it). From the whole history, or at each of the ``prediction_times``, where there are any: then
    ``prediction_time`` follows the person. Where ids are no numbers, ``own_id`` comes last.

    Raises:
        ValueError: If the model was trained with another tokenizer.
    """
    vocabulary = Vocabulary.from_tokenizer(tokenizer, model.config)
    store, window = TokenStore.from_arrow(new_encoded), trained_window(model)
    samples, about = asked_samples(store, new_sequences, prediction_times, options)

    def predict(part: Samples) -> NDArray[np.float64]:
        return predict_proba(model, store, part, vocabulary, window)

    percentiles = getattr(model.config, "training_risks", None)
    batches = _predict(samples, about, model.config.tasks, predict, percentiles)
    return append_own_ids(batches, _schema(about), new_person_ids)


def predict_hybrid(
    new_encoded: pa.Table,
    new_sequences: ir.Table,
    new_person_ids: ir.Table,
    prediction_times: ir.Table | None,
    tokenizer: PreTrainedTokenizerFast,
    model: PreTrainedModel,
    hybrid: Hybrid | None,
    options: PreprocessOptions,
) -> pa.RecordBatchReader:
    """Return the same for the hybrid of model and windowed features; no row if none was trained.

    Raises:
        ValueError: If model, tokenizer and hybrid are not of one training.
    """
    store = TokenStore.from_arrow(new_encoded)
    samples, about = asked_samples(store, new_sequences, prediction_times, options)
    if hybrid is None or not hybrid.outputs:
        return append_own_ids(iter(()), _schema(about), new_person_ids)
    hybrid.check(model)
    vocabulary = Vocabulary.from_tokenizer(tokenizer, model.config)

    def predict(part: Samples) -> NDArray[np.float64]:
        return hybrid.predict(hybrid_inputs(model, store, part, vocabulary))

    batches = _predict(samples, about, model.config.tasks, predict)
    return append_own_ids(batches, _schema(about), new_person_ids)


def asked_samples(
    store: TokenStore,
    sequences: ir.Table,
    prediction_times: ir.Table | None,
    options: PreprocessOptions,
) -> tuple[Samples, pa.Table]:
    """Return the samples to predict, and whose they are: every person now, or at the times given."""
    if prediction_times is None:
        rows, ends = np.arange(len(store)), store.lengths
        days = last_visible_days(store, rows, ends)
        return Samples.unlabelled(rows, ends, days), pa.table({PERSON: store.person_id})
    times = select_times(prediction_times, options.time_zone)
    seen = visible_times(label_samples(times, sequences)).order_by(*MOMENT)
    frame = seen.select(*MOMENT, "n_positions", "prediction_day").to_pandas()
    return visible_samples(frame, store), pa.Table.from_pandas(frame[MOMENT])


def list_skipped(
    new_demographics: ir.Table,
    predictions: ir.Table,
    new_person_ids: ir.Table,
    prediction_times: ir.Table | None,
    options: PreprocessOptions,
) -> ir.Table:
    """Return ``person_id, reason`` of each person without a prediction, with ``prediction_time`` where times are given.

    Where ids are no numbers, ``own_id`` comes last.
    """
    asked, keys = new_demographics.select(PERSON, reason=ibis.literal(NO_EVENT)), [PERSON]
    if prediction_times is not None:
        asked, keys = _times_asked(new_demographics, prediction_times, options), MOMENT
    left = asked.anti_join(predictions.select(keys).distinct(), keys)
    skipped = ibis.memtable(left.order_by(keys).to_pyarrow())
    for row in skipped.group_by("reason").agg(rows=_.count()).to_pyarrow().to_pylist():
        logger.warning("%d without a prediction: %s.", row["rows"], row["reason"])
    return with_own_ids(skipped, new_person_ids)


def _times_asked(
    demographics: ir.Table, prediction_times: ir.Table, options: PreprocessOptions
) -> ir.Table:
    """Return the persons and times that are asked about, and why there is no prediction if there is none."""
    times, known = select_times(prediction_times, options.time_zone), demographics.person_id
    reason = ibis.ifelse(times.person_id.isin(known), NO_EVENT_YET, NOBODY)
    return times.select(*MOMENT, reason=reason)


def _schema(about: pa.Table) -> pa.Schema:
    return pa.schema([*about.schema.remove_metadata(), *PREDICTED])


def append_own_ids(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, person_ids: ir.Table
) -> pa.RecordBatchReader:
    """Return the batches, with ``own_id`` as their last column where ids are no numbers."""
    if not are_numbers(person_ids):
        batches, schema = name_persons(batches, person_ids), schema.append(OWN_ID)
    return pa.RecordBatchReader.from_batches(schema, batches)


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
    samples: Samples,
    about: pa.Table,
    tasks: Sequence[str],
    predict: Callable[[Samples], NDArray[np.float64]],
    percentiles: Sequence[Sequence[float]] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the columns of ``about``, a row a sample, with each task and its probabilities."""
    schema, progress = _schema(about), Progress("predictions", len(samples), "persons")
    for first in range(0, len(samples), PERSONS_PER_CHUNK):
        part = np.arange(first, min(first + PERSONS_PER_CHUNK, len(samples)))
        probabilities = predict(samples[part])
        whose = about.slice(first, len(part)).combine_chunks()
        above = by_task(shares_above(probabilities, percentiles), tasks)
        for (task, shown), (_task, shares) in zip(
            by_task(probabilities, tasks), above, strict=True
        ):
            columns = [whose[name].combine_chunks() for name in whose.column_names]
            columns += [pa.array([task] * len(part)), _lists(shown), _lists(shares)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
        progress.step(len(part))


def _lists(values: NDArray[np.floating]) -> pa.ListArray:
    """Return the rows of a matrix as lists; NaN is null."""
    starts = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(
        starts, pa.array(values.ravel(), pa.float64(), from_pandas=True)
    )
