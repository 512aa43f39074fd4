"""Vectors of samples, for models of one's own."""

import ibis.expr.types as ir
import pyarrow as pa
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor import samples as corridor
from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.loading import encoder_of

EMBEDDED = ["sample_id", "person_id", "prediction_time", "split"]


def embed_samples(
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
    return corridor.embed_samples(
        samples.select(*keep, "n_positions").distinct().order_by("sample_id"),
        keep,
        TokenStore.from_arrow(labelled_encoded),
        encoder,
        Vocabulary.from_tokenizer(tokenizer, encoder.config),
        options.window(encoder.config.max_position_embeddings),
    )
