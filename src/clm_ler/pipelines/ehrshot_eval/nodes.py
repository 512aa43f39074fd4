"""The protocol of the EHRSHOT benchmark: features, classifiers, predictions, results."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
from ibis import _
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from clm_ler.corridor import samples as corridor
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.loading import encoder_of
from clm_ler.pipelines.ehrshot_eval import figures, results
from clm_ler.pipelines.ehrshot_eval.cells import cell_name, fit_cell, list_cells, split_samples
from clm_ler.pipelines.ehrshot_eval.features import (
    counted_features,
    embedding_features,
    fine_tuned_features,
)
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions
from clm_ler.tables.ehrshot import tasks
from clm_ler.tables.labels import label_samples

logger = logging.getLogger(__name__)

Cells = Mapping[str, Callable[[], pa.Table]]
MOMENT = ["person_id", "prediction_time"]


def find_seen_events(
    ehrshot_samples: ir.Table, ehrshot_sequences: ir.Table, options: EhrshotOptions
) -> ir.Table:
    """Return what each person's sequence shows at each prediction time of the wanted tasks.

    Only events that start at the prediction time or before are seen.

    Returns:
        person_id, prediction_time, n_positions (how many leading positions are seen) and
        prediction_day (in the sequence's own count; null for a person without a sequence).
    """
    found = ehrshot_samples.select("task").distinct().to_pyarrow()["task"].to_pylist()
    tasks.check_present(found, options.tasks)
    moments = ehrshot_samples.filter(_.task.isin(options.tasks)).select(MOMENT).distinct()
    seen = label_samples(moments, ehrshot_sequences)
    return seen.select(*MOMENT, "prediction_day", n_positions=_.n_positions.fill_null(0))


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
    blind = int(ehrshot_seen.filter(_.n_positions == 0).count().to_pyarrow().as_py())
    if blind:
        logger.warning("%d prediction times see no event at all.", blind)
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


def fit_cells(
    ehrshot_samples: ir.Table,
    ehrshot_shots: Mapping[str, Callable[[], Any]],
    ehrshot_seen: ir.Table,
    ehrshot_embeddings: ir.Table,
    ehrshot_count_tokens: ir.Table,
    ehrshot_token_ancestors: ir.Table,
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
    seen = ehrshot_seen.order_by(MOMENT).to_pandas()
    frozen = embedding_features(ehrshot_embeddings)
    model = (ehrshot_encoded, tokenizer, pretrained_model, workspace)
    features = {
        "clm_ler": frozen,
        **fine_tuned_features(seen, frozen.digest, *model, options),
        **counted_features(seen, ehrshot_count_tokens, ehrshot_token_ancestors, options),
    }
    shots = {tasks.task_of(name): load for name, load in ehrshot_shots.items()}
    made: dict[str, Callable[[], pa.Table]] = {}
    for task in options.tasks:
        draws = shots[task]()
        rows = ehrshot_samples.filter(ehrshot_samples.task == task).to_pandas()
        for name in rows["sub_task"].unique():
            samples = split_samples(rows[rows["sub_task"] == name])
            for cell in list_cells(samples, draws, options):
                parts = (cell, features[cell.model], options.heads[cell.head], options.bootstraps)
                made[cell_name(*parts)] = partial(fit_cell, *parts)
    return made


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
    # A stored table has no order of its own, and that of the traces should not change.
    summary = ehrshot_summary.order_by(_.source != results.THIS_RUN, *results.SUMMARY_KEY)
    differences = ehrshot_differences.order_by(*results.DIFFERENCE_KEY)
    summary, differences = summary.to_pandas(), differences.to_pandas()
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
