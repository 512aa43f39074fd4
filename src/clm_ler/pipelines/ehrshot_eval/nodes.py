"""The protocol of the EHRSHOT benchmark: features, classifiers, predictions, results."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import torch
from ibis import _
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from clm_ler.corridor import samples as corridor
from clm_ler.engines.portable import row_count
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.loading import encoder_of
from clm_ler.modeling.model.configuration_clm_ler import pooled_parts
from clm_ler.pipelines.ehrshot_eval import figures, results, verdict
from clm_ler.pipelines.ehrshot_eval.baselines import simple_features, windowed_beside
from clm_ler.pipelines.ehrshot_eval.beside import rows_beside
from clm_ler.pipelines.ehrshot_eval.cells import (
    CELL,
    Cell,
    SubTask,
    cell_name,
    fit_cell,
    list_cells,
    split_samples,
    warn_of_gaps,
)
from clm_ler.pipelines.ehrshot_eval.choices import choose_rows
from clm_ler.pipelines.ehrshot_eval.features import (
    age_features,
    counted_features,
    embedding_features,
    fine_tuned_features,
)
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions
from clm_ler.pipelines.ehrshot_eval.published import published_results
from clm_ler.tables.ehrshot import tasks
from clm_ler.tables.samples import label_samples

logger = logging.getLogger(__name__)

Cells = Mapping[str, Callable[[], pa.Table]]
MOMENT = ["person_id", "prediction_time"]


def find_seen_events(
    ehrshot_samples: ir.Table, ehrshot_sequences: ir.Table, options: EhrshotOptions
) -> ir.Table:
    """Return how much of each person's sequence is seen at each prediction time of the wanted tasks.

    Only events that start at or before the prediction time are seen. Of a person without any, nothing
    is seen: the baseline would reveal the age at the first event, which is yet to come.

    Returns:
        person_id, prediction_time, n_positions (how many leading positions are seen) and
        prediction_day (in the sequence's own count; null where nothing is seen).
    """
    found = ehrshot_samples.select("task").distinct().to_pyarrow()["task"].to_pylist()
    tasks.check_present(found, options.tasks)
    moments = ehrshot_samples.filter(_.task.isin(options.tasks)).select(MOMENT).distinct()
    seen = label_samples(moments, ehrshot_sequences)
    known = (seen.n_events > 0).fill_null(False)
    return seen.select(
        *MOMENT,
        prediction_day=ibis.cases((known, seen.prediction_day)),
        n_positions=known.ifelse(seen.n_positions, 0),
    )


def embed_samples(
    ehrshot_encoded: pa.Table,
    ehrshot_seen: ir.Table,
    tokenizer: PreTrainedTokenizerBase,
    pretrained_model: PreTrainedModel,
    options: EhrshotOptions,
) -> ir.Table:
    """Return the frozen model's ``embedding`` of each person at each prediction time.

    Raises:
        ValueError: If the tokenizer is not the model's.
    """
    blind = row_count(ehrshot_seen.filter(_.n_positions == 0))
    if blind:
        logger.warning("%d prediction times see no event at all.", blind)
    return _embed(ehrshot_encoded, ehrshot_seen, tokenizer, pretrained_model, options)


def _embed(
    ehrshot_encoded: pa.Table,
    ehrshot_seen: ir.Table,
    tokenizer: PreTrainedTokenizerBase,
    pretrained_model: PreTrainedModel,
    options: EhrshotOptions,
) -> ir.Table:
    vectors = corridor.embed_samples(
        ehrshot_seen.order_by(MOMENT),
        [*MOMENT, "n_positions"],
        TokenStore.from_arrow(ehrshot_encoded),
        encoder_of(pretrained_model),
        Vocabulary.from_tokenizer(tokenizer, pretrained_model.config),
        options.window(pretrained_model.config.max_position_embeddings),
        options.tokens_per_batch,
    )
    schema = vectors.schema.set(3, pa.field("embedding", pa.list_(pa.float32())))
    return ibis.memtable(vectors.read_all().cast(schema))


def embed_untrained(
    ehrshot_encoded: pa.Table,
    ehrshot_seen: ir.Table,
    tokenizer: PreTrainedTokenizerBase,
    pretrained_model: PreTrainedModel,
    options: EhrshotOptions,
    seed: int,
) -> ir.Table:
    """Return the embeddings of a model with random weights, see :func:`embed_samples`.

    It has the sizes of the pre-trained one, and knows which codes are labs. No row unless
    ``options.models`` names it.
    """
    wanted = ehrshot_seen if options.models.get("untrained") else ehrshot_seen.limit(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = type(pretrained_model)(pretrained_model.config).eval()
    for own, known in zip(model.buffers(), pretrained_model.buffers(), strict=True):
        own.copy_(known)
    return _embed(ehrshot_encoded, wanted, tokenizer, model, options)


def fit_cells(
    ehrshot_samples: ir.Table,
    ehrshot_shots: Mapping[str, Callable[[], Any]],
    ehrshot_seen: ir.Table,
    ehrshot_embeddings: ir.Table,
    ehrshot_untrained_embeddings: ir.Table,
    ehrshot_count_tokens: ir.Table,
    ehrshot_token_ancestors: ir.Table,
    ehrshot_valued_events: ir.Table,
    ehrshot_demographics: ir.Table,
    ehrshot_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    pretrained_model: PreTrainedModel,
    workspace: Path,
    options: EhrshotOptions,
) -> Cells:
    """Return, for each cell of the benchmark, a function that fits and tests its classifier.

    A cell is a sub-task, a model, a head, a number of shots and a replicate. Fine-tunings that are
    not finished lie below ``workspace``, a local folder.
    """
    shots = {tasks.task_of(name): load for name, load in ehrshot_shots.items()}
    tasks.check_present(shots, options.tasks, "ehrshot_shots")
    seen = ehrshot_seen.order_by(MOMENT).to_pandas()
    joined = pooled_parts(pretrained_model.config)
    frozen = embedding_features(ehrshot_embeddings, joined)
    model = (ehrshot_encoded, tokenizer, pretrained_model, workspace)
    ages = age_features(seen, ehrshot_count_tokens)
    features = {
        "clm_ler": frozen,
        **fine_tuned_features(seen, frozen.digest, *model, options),
        **counted_features(seen, ehrshot_count_tokens, ehrshot_token_ancestors, ages, options),
        **simple_features(
            seen, ehrshot_untrained_embeddings, joined, ehrshot_demographics, ages, options
        ),
        **windowed_beside(
            frozen, seen, ehrshot_valued_events, ehrshot_samples, ages, options, workspace
        ),
    }
    made: dict[str, Callable[[], pa.Table]] = {}
    found: list[tuple[SubTask, list[Cell]]] = []
    for task in options.tasks:
        draws = shots[task]()
        rows = ehrshot_samples.filter(ehrshot_samples.task == task).to_pandas()
        for name in rows["sub_task"].unique():
            samples = split_samples(rows[rows["sub_task"] == name])
            found.append((samples, list_cells(samples, draws, options)))
            for cell in found[-1][1]:
                parts = (cell, features[cell.model], options.heads[cell.head], options.bootstraps)
                made[cell_name(*parts)] = partial(fit_cell, *parts)
    warn_of_gaps(found, options)
    return made


def choose_classifiers(
    ehrshot_cells: ir.Table,
    ehrshot_samples: ir.Table,
    options: EhrshotOptions,
    ehrshot_other_cells: Mapping[str, ir.Table],
    ehrshot_other_choices: Mapping[str, ir.Table],
) -> pa.RecordBatchReader:
    """Return the heads and hybrids that are best on validation, here and in other runs, as further cells.

    The head ``best`` of each model that has several, and the model ``hybrid``: of the model,
    windowed features, the mean of their ranks, and trees on both. The model of each other run
    (``ehrshot_eval.beside``) goes by the name that the run is given.
    """
    test = ehrshot_samples.filter(_.split == "test")
    chosen = choose_rows(ehrshot_cells, test, options)
    others = {
        name: cells.union(ehrshot_other_choices[name])
        for name, cells in ehrshot_other_cells.items()
    }
    return pa.RecordBatchReader.from_batches(
        CELL, chain(chosen, rows_beside(ehrshot_cells, others))
    )


def collect_predictions(
    ehrshot_cells: ir.Table, ehrshot_choices: ir.Table, ehrshot_samples: ir.Table
) -> ir.Table:
    """Return every prediction for a test sample, a row for each cell and sample."""
    key = results.KEY
    cells = ehrshot_cells.union(ehrshot_choices)
    rows = cells.select(*key, "probability").unnest("probability", offset="row")
    test = ehrshot_samples.filter(_.split == "test").drop("split", "task")
    joined = rows.join(test, ["sub_task", "row"])
    return joined.select(*key, "person_id", "prediction_time", "label", "probability")


def tabulate_results(
    ehrshot_cells: ir.Table,
    ehrshot_choices: ir.Table,
    ehrshot_samples: ir.Table,
    ehrshot_truth: ir.Table | None,
    ehrshot_ceiling: ir.Table | None,
    options: EhrshotOptions,
) -> tuple[ir.Table, ir.Table, ir.Table]:
    """Return the official table, the summary and the paired differences.

    The official table has a row for each cell and score, in the 13 columns of its files. The
    summary has our means over draws, tasks and groups, and the published results with their sources;
    of a simulated site also what the probabilities that drew the labels reach (``truth``, which
    nobody can see in a record), and what more labels of other persons reach (``record ceiling``).
    """
    long = ("probability", "valid_probability", "valid_label", "unlabelled")
    cells = ehrshot_cells.union(ehrshot_choices).drop(*long).to_pandas()
    means = results.mean_over_draws(cells)
    known = [means]
    given = {results.TRUTH: ehrshot_truth, results.CEILING: ehrshot_ceiling}
    for name, probabilities in given.items():
        if probabilities is not None:
            table = probabilities.rename(person_id="patient_id").to_pandas()
            test = ehrshot_samples.filter(
                _.split == "test", _.sub_task.isin(cells["sub_task"].unique())
            )
            known.append(results.given_rows(name, table, test.to_pandas(), options.bootstraps))
    summary = [results.summarise(pd.concat(known)), published_results()]
    return (
        ibis.memtable(results.official_rows(cells)),
        ibis.memtable(pd.concat(summary, ignore_index=True)),
        ibis.memtable(results.compare(means)),
    )


def judge_model(
    ehrshot_cells: ir.Table,
    ehrshot_choices: ir.Table,
    ehrshot_samples: ir.Table,
    options: EhrshotOptions,
) -> ir.Table:
    """Return the model and the hybrid against each baseline: see :mod:`.verdict`."""
    cells = verdict.headline_cells(ehrshot_cells.union(ehrshot_choices))
    test = ehrshot_samples.filter(_.split == "test")
    return ibis.memtable(verdict.compare_with_baselines(cells, test, [*options.beside]))


def split_by_task(ehrshot_results: ir.Table) -> dict[str, pd.DataFrame]:
    """Return the official table by task, for the files that the official plotting code reads."""
    rows = ehrshot_results.order_by(results.OFFICIAL_COLUMNS[:-1]).to_pandas()
    return {str(task): part for task, part in rows.groupby("labeling_function")}


def plot_results(ehrshot_summary: ir.Table, ehrshot_verdict: ir.Table) -> list[go.Figure]:
    """Return AUROC over shots by group and by task, differences to the baselines, and the table."""
    # A stored table has no order of its own, and that of the traces should not change.
    summary = ehrshot_summary.order_by(_.source != results.THIS_RUN, *results.SUMMARY_KEY)
    verdict_rows = ehrshot_verdict.order_by(*ehrshot_verdict.columns).to_pandas()
    frame = summary.to_pandas()
    ours = frame.loc[frame["source"] == results.THIS_RUN, "scope"]
    present = set(ours)
    sub_tasks = [name for name in tasks.SUB_TASKS if name in present]
    means = [name for name in (*tasks.GROUPS, "14 tasks", "macro") if name in present]
    return [
        figures.plot_shots(frame, means, "task group"),
        figures.plot_shots(frame, sub_tasks, "task"),
        figures.plot_verdict(verdict_rows, means),
        figures.plot_table(frame, means),
    ]
