"""Vectors of samples, for models of one's own."""

from collections.abc import Callable, Iterator
from functools import partial

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor.samples import store_rows
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.inference import embed
from clm_ler.modeling.model.published import encoder_of
from clm_ler.pipelines.finetune.options import FinetuneOptions

SAMPLES_PER_CHUNK = 20_000  # bounds the memory


def embed_samples(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    pretrained_model: PreTrainedModel,
    options: FinetuneOptions,
) -> pa.RecordBatchReader:
    """Return ``sample_id, person_id, prediction_time, split, embedding``, chunk after chunk.

    The vector of a sample is the pooled embedding of its most recent window: nothing after its
    prediction time. Window and pooling are those of fine-tuning.
    """
    encoder = encoder_of(pretrained_model, options.pooling)
    window = options.window(encoder.config.max_position_embeddings)
    columns = ["sample_id", "person_id", "prediction_time", "split", "n_positions"]
    once = samples.select(columns).distinct().order_by("sample_id")
    chunks = once.to_pyarrow_batches(chunk_size=SAMPLES_PER_CHUNK)
    vocabulary = Vocabulary.from_tokenizer(tokenizer, encoder.config)
    store = TokenStore.from_arrow(labelled_encoded)
    vectors = partial(embed, encoder, store, vocabulary=vocabulary, window=window)
    vector = pa.field("embedding", pa.list_(pa.float32(), encoder.config.hidden_size))
    schema = chunks.schema.remove(4).append(vector)
    return pa.RecordBatchReader.from_batches(schema, _append(chunks, store, vectors, schema))


def _append(
    chunks: pa.RecordBatchReader,
    store: TokenStore,
    vectors: Callable[..., NDArray[np.float32]],
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    for chunk in chunks:
        rows = store_rows(store, chunk["person_id"].to_numpy())
        values = vectors(Samples.unlabelled(rows, chunk["n_positions"].to_numpy()))
        vector = pa.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1])
        yield pa.RecordBatch.from_arrays([*chunk.columns[:4], vector], schema=schema)
