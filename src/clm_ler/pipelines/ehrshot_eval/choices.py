"""What is chosen on the validation samples among fitted cells: the best head of a model, the hybrid."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa

from clm_ler.modeling.evaluation.combining import (
    BOTH,
    MODEL,
    WINDOWED,
    Scores,
    candidate_scores,
    choose_combination,
)
from clm_ler.pipelines.ehrshot_eval.cells import CELL, DRAW, by_sub_task, score
from clm_ler.pipelines.ehrshot_eval.options import HYBRID, EhrshotOptions

BEST = "best"
PARTS = {MODEL: "clm_ler", WINDOWED: "windowed", BOTH: "clm_ler_windowed"}
Row = Mapping[str, Any]


def choose_rows(
    cells: ir.Table, samples: ir.Table, options: EhrshotOptions
) -> Iterator[pa.RecordBatch]:
    """Yield the chosen classifiers as cells, those of one sub-task after the other.

    Args:
        cells: What :func:`clm_ler.pipelines.ehrshot_eval.cells.fit_cell` returns, of all cells.
        samples: The test samples.
        options: The models and their heads; where several are best, the one that is named first is.
    """
    order = {
        pair: place
        for place, pair in enumerate(
            (model, head) for model, heads in options.models.items() for head in heads
        )
    }
    tests = dict(list(samples.order_by("row").to_pandas().groupby("sub_task")))
    for name, found in by_sub_task(cells):
        place = found[["model", "head"]].apply(tuple, axis=1).map(order)
        draws = found.iloc[np.argsort(place, kind="stable")].groupby(DRAW)
        rows = [
            row
            for _key, draw in draws
            for row in _choose_of_draw(draw, tests[name], options.bootstraps)
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=CELL)


def _choose_of_draw(draw: pd.DataFrame, test: pd.DataFrame, bootstraps: int) -> list[Row]:
    """Return the best head of each model that has several, and the hybrid where it has all parts."""
    heads: dict[str, list[Row]] = {}
    for row in draw.to_dict("records"):
        heads.setdefault(row["model"], []).append(row)
    best = {model: _best_head(rows) for model, rows in heads.items()}
    chosen = [best[model] for model, rows in heads.items() if len(rows) > 1]
    if set(PARTS.values()) <= best.keys():
        chosen.append(
            _hybrid({part: best[model] for part, model in PARTS.items()}, test, bootstraps)
        )
    return chosen


def _best_head(rows: list[Row]) -> Row:
    """Return the row with the best AUROC on validation, the first one where several are."""
    best = max(rows, key=lambda row: np.nan_to_num(row["validation_auroc"], nan=-1.0))
    settings = {"head": best["head"], "settings": json.loads(best["model_hparams"])}
    return {**best, "head": BEST, "model_hparams": json.dumps(settings)}


def _hybrid(parts: Mapping[str, Row], test: pd.DataFrame, bootstraps: int) -> Row:
    """Return the cell of the best way to put the model and windowed features together."""
    by_split = {}
    for name in ("valid_probability", "probability"):
        model, windowed = (
            Scores(np.asarray(parts[part][name]), np.asarray(parts[part]["unlabelled"]))
            for part in (MODEL, WINDOWED)
        )
        by_split[name] = candidate_scores(model, windowed, np.asarray(parts[BOTH][name]))
    chosen, aurocs = choose_combination(parts[MODEL]["valid_label"], by_split["valid_probability"])
    row = {name: by_split[name][chosen] for name in by_split}
    settings = {"chosen": chosen, "validation_auroc": aurocs}
    return {
        **parts[MODEL],
        "model": HYBRID,
        "head": "stack",
        "model_hparams": json.dumps(settings),
        "validation_auroc": aurocs[chosen],
        "unlabelled": [],
        **row,
        **score(test, row["probability"], bootstraps),
    }
