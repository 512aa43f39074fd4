"""The EHRSHOT benchmark: events to features, features to predictions, predictions to results."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary, check_tokenizer
from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.evaluation.event_counts import EventCounts, count_events, lookback_instants
from clm_ler.pipelines.ehrshot_eval import figures, results
from clm_ler.pipelines.ehrshot_eval.cells import cell_name, fit_cell, list_cells, split_samples
from clm_ler.pipelines.ehrshot_eval.features import (
    Features,
    age_features,
    count_features,
    embedding_features,
    fine_tuned_features,
    keys_of,
)
from clm_ler.pipelines.ehrshot_eval.finetuning import Encoder, Positions
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions
from clm_ler.tables.ehrshot import events as ehrshot
from clm_ler.tables.ehrshot import tasks
from clm_ler.tables.labs.results import (
    count_lab_values,
    extend_unit_conversions,
    fit_lab_percentiles,
    fit_unit_conversions,
    lab_tokens,
)
from clm_ler.tables.sequences import build_sequences

logger = logging.getLogger(__name__)

Partitions = dict[str, Callable[[], Any]]
Cells = Mapping[str, Callable[[], pa.Table]]


def read_splits(ehrshot_splits: ir.Table) -> ir.Table:
    """Return the benchmark's own split of each person: person_id, split (train, valid, test)."""
    return ibis.memtable(tasks.read_splits(ehrshot_splits.to_pandas()))


def read_samples(
    ehrshot_labels: Partitions, ehrshot_splits: ir.Table, options: EhrshotOptions
) -> ir.Table:
    """Return the binary samples of all tasks, numbered as the shots number them.

    Columns: task, sub_task, split, row (within sub-task and split), person_id, prediction_time,
    label.
    """
    splits = tasks.read_splits(ehrshot_splits.to_pandas())
    samples = [
        tasks.number_rows(
            tasks.read_labels(tasks.task_of(name), ehrshot_labels[name]().to_pandas()), splits
        )
        for name in tasks.present_tasks(ehrshot_labels, options.tasks)
    ]
    return ibis.memtable(pd.concat(samples, ignore_index=True))


def fit_native_labs(
    ehrshot_timeline: ir.Table, ehrshot_person_splits: ir.Table, options: PreprocessOptions
) -> tuple[ir.Table, ir.Table]:
    """Return unit conversions and percentiles fitted on the benchmark's own train split."""
    counts = count_lab_values(ehrshot.lab_events(ehrshot_timeline), ehrshot_person_splits, options)
    conversions = fit_unit_conversions(counts, options)
    return conversions, fit_lab_percentiles(counts, conversions, options)


def extend_units(
    ehrshot_timeline: ir.Table,
    code_translations: ir.Table,
    unit_conversions: ir.Table,
    options: PreprocessOptions,
) -> ir.Table:
    """Return the model's unit conversions and those of units that only the benchmark writes."""
    translated = ehrshot.translate(ehrshot_timeline, code_translations)
    return extend_unit_conversions(unit_conversions, ehrshot.lab_events(translated), options)


def build_ehrshot_sequences(
    ehrshot_timeline: ir.Table,
    code_translations: ir.Table,
    unit_conversions: ir.Table,
    lab_percentiles: ir.Table,
    ehrshot_person_splits: ir.Table,
) -> ir.Table:
    """Return the sequences of all persons in the vocabulary of the model, with its own lab tables."""
    translated = ehrshot.translate(ehrshot_timeline, code_translations)
    return build_sequences(
        ehrshot.demographics(ehrshot_timeline, translated),
        ehrshot.coded_events(translated),
        ehrshot.lab_events(translated),
        unit_conversions,
        lab_percentiles,
        ehrshot_person_splits,
    )


def count_events_left(ehrshot_timeline: ir.Table, code_translations: ir.Table) -> ir.Table:
    """Return how many events and persons reach the model, step by step."""
    translated = ehrshot.translate(ehrshot_timeline, code_translations)
    return ehrshot.event_ledger(ehrshot_timeline, translated)


def embed_samples(
    ehrshot_encoded: pa.Table,
    ehrshot_sequences: ir.Table,
    ehrshot_samples: ir.Table,
    tokenizer: PreTrainedTokenizerBase,
    pretrained_model: PreTrainedModel,
    options: EhrshotOptions,
) -> ir.Table:
    """Return the frozen model's embedding of each person at each prediction time.

    Only events that start at the prediction time or before are seen.

    Returns:
        person_id, prediction_time, n_positions (how many leading positions of the sequence are
        seen), embedding (list of float32).

    Raises:
        ValueError: If the tokenizer is not the model's.
    """
    times = _prediction_times(ehrshot_samples)
    ends = _visible_positions(ehrshot_sequences, times)
    encoder = _encoder(ehrshot_encoded, tokenizer, pretrained_model, options)
    if unseen := int((ends == 0).sum()):
        logger.warning("%d of %d prediction times see no event at all.", unseen, len(times))
    vectors = encoder.embed(_positions(encoder, times, ends))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    table = pa.Table.from_pandas(times.assign(n_positions=ends), preserve_index=False)
    return ibis.memtable(table.append_column("embedding", flat.cast(pa.list_(pa.float32()))))


def _encoder(
    encoded: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    options: EhrshotOptions,
) -> Encoder:
    check_tokenizer(tokenizer, model.config)
    window = WindowOptions(options.max_length, model.config.max_position_embeddings)
    vocabulary = Vocabulary.from_tokenizer(tokenizer, model.config)
    store = TokenStore.from_arrow(encoded)
    return Encoder(model, store, vocabulary, window, options.tokens_per_batch)


def _positions(encoder: Encoder, times: pd.DataFrame, ends: np.ndarray) -> Positions:
    """Return the store's row and the visible positions; a person without a sequence sees nothing."""
    row_of = pd.Series(np.arange(len(encoder.store)), index=encoder.store.person_id)
    rows = row_of.reindex(times["person_id"]).fillna(0).to_numpy(np.int64)
    return np.column_stack([rows, ends])


def _prediction_times(samples: ir.Table) -> pd.DataFrame:
    """Return the distinct pairs of person_id and prediction_time, sorted."""
    pairs = samples.select("person_id", "prediction_time").distinct()
    return pairs.order_by("person_id", "prediction_time").to_pandas()


def _visible_positions(sequences: ir.Table, times: pd.DataFrame) -> np.ndarray:
    """Return how many leading positions of the person's sequence each prediction time may see."""
    microseconds = times["prediction_time"].astype("datetime64[us]").astype("int64").to_numpy()
    persons, first = np.unique(times["person_id"], return_index=True)
    spans = dict(zip(persons, zip(first, [*first[1:], len(times)], strict=True), strict=True))
    ends = np.zeros(len(times), np.int64)
    for batch in sequences.select("person_id", "date").to_pyarrow_batches(chunk_size=1000):
        dates = batch["date"]
        stamps = pc.cast(dates.values.cast(pa.timestamp("us")), pa.int64())
        # A baseline token of a person whose birth is unknown has no date: always visible.
        stamps = pc.fill_null(stamps, np.iinfo(np.int64).min).to_numpy()
        offsets = dates.offsets.to_numpy()
        for number, person in enumerate(batch["person_id"].to_pylist()):
            start, stop = spans.get(person, (0, 0))
            own = stamps[offsets[number] : offsets[number + 1]]
            ends[start:stop] = np.searchsorted(own, microseconds[start:stop], side="right")
    return ends


def collect_count_tokens(
    ehrshot_timeline: ir.Table,
    ehrshot_unit_conversions: ir.Table,
    ehrshot_lab_percentiles: ir.Table,
) -> ir.Table:
    """Return what the count baselines count, in the benchmark's own codes."""
    labs = ehrshot.lab_events(ehrshot_timeline.filter(_.time.notnull()))
    binned = lab_tokens(labs, ehrshot_unit_conversions, ehrshot_lab_percentiles)
    return ehrshot.count_tokens(ehrshot_timeline, binned)


def fit_cells(
    ehrshot_samples: ir.Table,
    ehrshot_shots: Partitions,
    ehrshot_embeddings: ir.Table,
    ehrshot_count_tokens: ir.Table,
    ehrshot_token_ancestors: ir.Table,
    ehrshot_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    pretrained_model: PreTrainedModel,
    options: EhrshotOptions,
) -> Cells:
    """Return, for each cell of the benchmark, a function that fits and tests its classifier.

    A cell is a sub-task, a model, a head, a number of shots and a replicate.
    """
    encoder = _encoder(ehrshot_encoded, tokenizer, pretrained_model, options)
    features = _model_features(ehrshot_embeddings, encoder, options)
    times = _prediction_times(ehrshot_samples)
    features |= _count_features(times, ehrshot_count_tokens, ehrshot_token_ancestors, options)
    shots = {tasks.task_of(name): load for name, load in ehrshot_shots.items()}
    made = {}
    for task in options.tasks:
        draws = shots[task]()
        rows = ehrshot_samples.filter(ehrshot_samples.task == task).to_pandas()
        for sub_task in rows["sub_task"].unique():
            samples = split_samples(rows[rows["sub_task"] == sub_task])
            for cell in list_cells(samples, draws, options):
                parts = (cell, features[cell.model], options.heads[cell.head], options.bootstraps)
                made[cell_name(*parts)] = partial(fit_cell, *parts)
    return made


def _model_features(
    embeddings: ir.Table, encoder: Encoder, options: EhrshotOptions
) -> dict[str, Features]:
    """Return the embeddings, and what the model reads where it is fine-tuned."""
    table = embeddings.to_pyarrow()
    times = table.drop(["embedding"]).to_pandas()
    flat = table["embedding"].combine_chunks().flatten().to_numpy()
    frozen = embedding_features(times, flat.reshape(len(times), -1))
    positions = _positions(encoder, times, times["n_positions"].to_numpy())
    checkpoints = Path(options.checkpoints)
    return {
        "clm_ler": frozen,
        "clm_ler_finetuned": fine_tuned_features(
            times, positions, encoder, frozen.digest, checkpoints
        ),
    }


def _count_features(
    times: pd.DataFrame, tokens: ir.Table, ancestors: ir.Table, options: EhrshotOptions
) -> dict[str, Features]:
    """Return the wanted count features; the official ones count for all ancestors of a code."""
    first = tokens.group_by("person_id").agg(time=_.time.min()).to_pandas()
    ages = age_features(times, first)
    made: dict[str, Features] = {}
    if "count" in options.models:
        pairs = ancestors.to_pandas()
        counts = _count(tokens.filter(tokens.official), times, ())
        expanded = counts.expanded(pairs["token"].tolist(), pairs["ancestor"].tolist())
        made["count"] = count_features(expanded, ages)
    if "count_bins" in options.models:
        counts = _count(tokens, times, options.lookbacks)
        made["count_bins"] = count_features(counts, ages, options.lookbacks)
    return made


def _count(tokens: ir.Table, times: pd.DataFrame, lookbacks: tuple[int, ...]) -> EventCounts:
    batches = tokens.drop("official").to_pyarrow_batches(chunk_size=1_000_000)
    return count_events(batches, lookback_instants(*keys_of(times), lookbacks))


def collect_predictions(ehrshot_cells: ir.Table, ehrshot_samples: ir.Table) -> ir.Table:
    """Return every prediction for a test sample, a row for each cell and sample."""
    key = ["labeling_function", "sub_task", "model", "head", "replicate", "k"]
    rows = ehrshot_cells.select(*key, "probability").unnest("probability", offset="row")
    test = ehrshot_samples.filter(_.split == "test").drop("split", "task")
    joined = rows.join(test, ["sub_task", "row"])
    return joined.select(*key, "person_id", "prediction_time", "label", "probability")


def tabulate_results(
    ehrshot_cells: ir.Table,
    ehrshot_samples: ir.Table,
    ehrshot_truth: ir.Table | None,
    options: EhrshotOptions,
) -> tuple[ir.Table, ir.Table, ir.Table]:
    """Return the official table, the summary and the paired differences.

    The official table has a row for each cell and score, in the 13 columns of its files. The
    summary has our means over draws, tasks and groups, what the true probabilities of a simulated
    site reach (``truth``), and the published results with their sources.
    """
    cells = ehrshot_cells.drop("probability").to_pandas()
    means = results.mean_over_draws(cells)
    known = [means]
    if ehrshot_truth is not None:
        truth = ehrshot_truth.rename(person_id="patient_id").to_pandas()
        test = ehrshot_samples.filter(
            _.split == "test", _.sub_task.isin(cells["sub_task"].unique())
        )
        known.append(results.truth_rows(truth, test.to_pandas(), options.bootstraps))
    summary = [results.summarise(pd.concat(known)), results.published_rows()]
    return (
        ibis.memtable(results.official_rows(cells)),
        ibis.memtable(pd.concat(summary, ignore_index=True)),
        ibis.memtable(results.compare(means)),
    )


def split_by_task(ehrshot_results: ir.Table) -> dict[str, pd.DataFrame]:
    """Return the official table by task, for the files that the official plotting code reads."""
    rows = ehrshot_results.order_by(results.OFFICIAL_COLUMNS[:-1]).to_pandas()
    return {str(task): part for task, part in rows.groupby("labeling_function")}


def plot_results(ehrshot_summary: ir.Table, ehrshot_differences: ir.Table) -> list[go.Figure]:
    """Return AUROC over shots by group and by task, the paired differences, and the table."""
    summary, differences = ehrshot_summary.to_pandas(), ehrshot_differences.to_pandas()
    ours = summary.loc[summary["source"] == results.THIS_RUN, "scope"]
    present = set(ours)
    sub_tasks = [name for name in tasks.SUB_TASKS if name in present]
    means = [name for name in (*tasks.GROUPS, "14 tasks", "macro") if name in present]
    return [
        figures.plot_shots(summary, means, "AUROC by task group"),
        figures.plot_shots(summary, sub_tasks, "AUROC by task"),
        figures.plot_differences(differences, [*means, *sub_tasks]),
        figures.plot_table(summary, [*means, *sub_tasks]),
    ]
