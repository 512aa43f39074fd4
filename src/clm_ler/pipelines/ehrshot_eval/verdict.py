"""The model against its baselines: paired AUROC differences with intervals clustered by person."""

from collections.abc import Iterator, Sequence

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from clm_ler.modeling.evaluation.differences import AurocEstimate, mean_of
from clm_ler.pipelines.ehrshot_eval.cells import by_sub_task
from clm_ler.pipelines.ehrshot_eval.choices import BEST
from clm_ler.pipelines.ehrshot_eval.options import FINETUNED, HYBRID
from clm_ler.pipelines.ehrshot_eval.results import scopes

OURS = ("clm_ler", FINETUNED, HYBRID)
BASELINES = ("demographics", "untrained", "count", "count_bins", "windowed")
VERDICT = {
    "scope": "string",
    "k": "int64",
    **dict.fromkeys(["model", "head", "other_model", "other_head"], "string"),
    **dict.fromkeys(["auroc", "other_auroc", "difference", "lower", "upper"], "float64"),
    **dict.fromkeys(["sub_tasks", "persons"], "int64"),
    "verdict": "string",
}
Key = tuple[str, int, str]  # sub-task, k, model


def headline_cells(cells: ir.Table) -> ir.Table:
    """Return the cells of one head for each model: the best by validation, or the only one there is."""
    heads = cells.group_by("model").agg(heads=_["head"].nunique(), best=(_["head"] == BEST).any())
    known = cells.inner_join(heads, "model")
    return known.filter((known["head"] == BEST) | ~known.best).drop("heads", "best")


def compare_with_baselines(
    cells: ir.Table, samples: ir.Table, beside: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the difference between each model of ours and each baseline with the same k.

    The value of a draw is averaged over the draws, then over the sub-tasks of a scope as in
    :func:`clm_ler.pipelines.ehrshot_eval.results.scopes`. The interval is that of other test persons;
    the draws of the labels are taken as they are.

    Args:
        cells: Those of :func:`headline_cells`.
        samples: The test samples.
        beside: The rows of other runs' models.

    Returns:
        The columns of ``VERDICT``; ``verdict`` says whether the interval is above zero (beats), below
        (is beaten by), or neither (does not beat).
    """
    known = cells.select("sub_task", "labeling_function", "model", "head").distinct().to_pandas()
    tasks = dict(known[["sub_task", "labeling_function"]].itertuples(index=False))
    heads = dict(known[["model", "head"]].itertuples(index=False))
    estimates = dict(_estimates(cells, samples))
    pairs = [(ours, other) for ours in OURS for other in BASELINES]
    pairs += [(HYBRID, "clm_ler"), *(("clm_ler", name) for name in beside)]
    wanted = scopes(tasks)
    rows = [
        {"scope": scope, "k": k, "model": ours, "head": heads[ours], "other_model": other}
        | {"other_head": heads[other]}
        | _difference(*(_over(estimates, weights, k, model) for model in (ours, other)))
        | {"sub_tasks": len(weights)}
        for k in sorted({k for _task, k, _model in estimates})
        for ours, other in pairs
        for scope, weights in wanted.items()
        if all((task, k, model) in estimates for task in weights for model in (ours, other))
    ]
    return pd.DataFrame(rows).reindex(columns=[*VERDICT]).astype(VERDICT).dropna(ignore_index=True)


def _estimates(cells: ir.Table, samples: ir.Table) -> Iterator[tuple[Key, AurocEstimate]]:
    """Yield each model's AUROC in each sub-task, the mean of its draws."""
    everyone = np.sort(samples.select("person_id").distinct().to_pyarrow()["person_id"].to_numpy())
    wanted = cells.select("sub_task", "k", "model", "replicate", "probability")
    tests = dict(list(samples.order_by("row").to_pandas().groupby("sub_task")))
    for name, found in by_sub_task(wanted):
        test = tests[name]
        persons = np.searchsorted(everyone, test["person_id"])
        for (k, model), draws in found.groupby(["k", "model"]):
            aurocs = [
                AurocEstimate.of_auroc(
                    test["label"].to_numpy(), np.asarray(scores), persons, len(everyone)
                )
                for scores in draws["probability"]
            ]
            yield (name, int(k), str(model)), mean_of(aurocs)


def _over(
    estimates: dict[Key, AurocEstimate], weights: dict[str, float], k: int, model: str
) -> AurocEstimate:
    """Return the weighted mean over sub-tasks."""
    parts = [estimates[task, k, model] * weight for task, weight in weights.items()]
    return mean_of(parts) * len(parts)


def _difference(ours: AurocEstimate, other: AurocEstimate) -> dict[str, object]:
    difference = ours - other
    lower, upper = difference.interval
    word = "beats" if lower > 0 else "is beaten by" if upper < 0 else "does not beat"
    return {
        "auroc": ours.value,
        "other_auroc": other.value,
        "difference": difference.value,
        "lower": lower,
        "upper": upper,
        "persons": int(difference.seen.sum()),
        "verdict": word,
    }
