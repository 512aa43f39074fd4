"""What each prediction rests on most."""

from collections.abc import Iterator

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.files.progress import Progress
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.explanation.contributions import Explained, explain
from clm_ler.pipelines.predict.nodes import append_own_ids, asked_samples
from clm_ler.pipelines.predict.options import PredictOptions
from clm_ler.terminology.names import names_of

REASONS = [
    pa.field("task", pa.string()),
    pa.field("label", pa.int64()),
    pa.field("rank", pa.int64()),
    pa.field("token", pa.string()),
    pa.field("name", pa.string()),
    pa.field("mentions", pa.int64()),
    pa.field("last_bin", pa.string()),
    pa.field("last_days_before", pa.int64()),
    pa.field("adds", pa.float64()),
]


def give_reasons(
    new_encoded: pa.Table,
    new_sequences: ir.Table,
    new_person_ids: ir.Table,
    prediction_times: ir.Table | None,
    tokenizer: PreTrainedTokenizerFast,
    model: PreTrainedModel,
    code_names: ir.Table | None,
    preprocess: PreprocessOptions,
    options: PredictOptions,
) -> pa.RecordBatchReader:
    """Return the tokens that weigh most in each prediction; no row where nobody asks for reasons.

    ``name`` is what the token is called, where it is known; ``adds`` what all its mentions add to the
    log-odds of class ``label`` of ``task``; ``last_bin`` and ``last_days_before`` are those of the last mention.
    """
    store = TokenStore.from_arrow(new_encoded)
    samples, about = asked_samples(store, new_sequences, prediction_times, preprocess)
    schema = pa.schema([*about.schema.remove_metadata(), *REASONS])
    if not options.reasons:
        return append_own_ids(iter(()), schema, new_person_ids)
    vocabulary = Vocabulary.from_tokenizer(tokenizer, model.config)
    names = np.array(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))), object)
    called = names_of(names.tolist(), code_names)
    labels = np.array([None, *tokenizer.init_kwargs["bin_labels"]], object)
    whose = about.to_pandas()

    def batches() -> Iterator[pa.RecordBatch]:
        asked = outcomes_of(model)
        progress = Progress("reasons", len(samples) * len(asked), "predictions")
        for outcome, task, label in asked:
            for part in explain(model, store, samples, vocabulary, outcome):
                rows = heaviest(part, names, labels, options.reasons)
                told = rows["token"].map(called.get)
                rows = rows.assign(task=task, label=label, name=told, **whose.iloc[rows.index])
                yield pa.RecordBatch.from_pandas(rows, schema=schema, preserve_index=False)
                progress.step(len(part.index))

    return append_own_ids(batches(), schema, new_person_ids)


def outcomes_of(model: PreTrainedModel) -> list[tuple[int, str, int]]:
    """Return number, task and class of each outcome: every task, or every class but 0 of the one."""
    tasks = list(model.config.tasks)
    if len(tasks) > 1:
        return [(number, task, 1) for number, task in enumerate(tasks)]
    return [(label, tasks[0], label) for label in range(1, int(model.config.num_labels or 0))]


def heaviest(part: Explained, names: np.ndarray, labels: np.ndarray, most: int) -> pd.DataFrame:
    """Return the tokens that weigh most in each sample of a batch; the index is the sample."""
    row, place = np.nonzero(part.inputs.told.cpu().numpy())
    frame = pd.DataFrame(
        {
            "sample": part.index[row],
            "token": names[part.tokens["input_ids"][row, place]],
            "last_bin": labels[part.tokens["token_type_ids"][row, place]],
            "last_days_before": part.inputs.actual.before.cpu().numpy()[row, place].astype("int64"),
            "adds": part.contributions.total[row, place].astype("float64"),
        }
    )
    groups = frame.groupby(["sample", "token"], sort=False)
    found = groups.agg(
        mentions=("adds", "size"),
        last_bin=("last_bin", lambda bins: bins.iloc[-1]),
        last_days_before=("last_days_before", "last"),
        adds=("adds", "sum"),
    ).reset_index()
    weight = found["adds"].abs()
    found = found.assign(weight=weight).sort_values(
        ["sample", "weight", "token"], ascending=[True, False, True]
    )
    found["rank"] = found.groupby("sample").cumcount() + 1
    return found[found["rank"] <= most].drop(columns="weight").set_index("sample")
