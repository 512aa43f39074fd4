"""How good the model is, and its training as curves."""

from itertools import cycle
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa
import torch
from plotly.subplots import make_subplots
from torch import nn
from transformers import PreTrainedModel

from clm_ler.modeling.data.batches import Batch
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.objectives import OBJECTIVES
from clm_ler.modeling.objectives.base import Objective, Sums, measure, model_sums
from clm_ler.modeling.training.loaders import BatchRecipe, evaluation_loader, evaluation_rows
from clm_ler.pipelines.pretrain.options import PretrainOptions


def measure_splits(
    model: PreTrainedModel, data: pa.Table, recipe: BatchRecipe, most_persons: int
) -> dict[str, Any]:
    """Return the quality of a model and of the baselines on the valid and the test split.

    Args:
        model: The model.
        data: ``encoded_sequences``.
        recipe: How batches are made, and for which objective.
        most_persons: The most of a split that are looked at.
    """
    predictors = {"": on_device(model, recipe.objective)}
    predictors |= recipe.objective.baselines(TokenStore.from_arrow(data, split="train"))
    quality = {}
    for split in sorted(set(data["split"].unique().to_pylist()) & {"valid", "test"}):
        store = TokenStore.from_arrow(data, split=split)
        rows = evaluation_rows(store, most_persons)
        scores = {
            name: recipe.objective.summary(measure(sums, evaluation_loader(recipe, store, rows)))
            for name, sums in predictors.items()
        }
        quality[split] = {"persons": len(rows)} | scores.pop("") | {"baselines": scores}
    return quality


def on_device(model: PreTrainedModel, objective: Objective) -> Sums:
    """Return the sums of a model, on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    nn.Module.to(model, device).eval()
    sums = model_sums(objective, model)
    return lambda batch: sums(to_device(batch, device))


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device."""
    return {
        name: to_device(values, device) if isinstance(values, dict) else values.to(device)
        for name, values in batch.items()
    }


def plot_curves(
    history: list[dict[str, float]], metrics: dict[str, Any], options: PretrainOptions
) -> go.Figure:
    """Return the objective's scalars over the steps, with the baselines as lines."""
    objective = OBJECTIVES[options.objective]
    charts = {name: row for row, name in enumerate(objective.charts, start=1)}
    titles = tuple(objective.charts.values())
    figure = make_subplots(rows=len(charts), cols=1, shared_xaxes=True, subplot_titles=titles)
    for name, row in {"loss": 1, **{f"eval_{name}": row for name, row in charts.items()}}.items():
        points = [(entry["step"], entry[name]) for entry in history if name in entry]
        steps, values = zip(*points, strict=True) if points else ((), ())
        figure.add_trace(go.Scatter(x=steps, y=values, name=name), row=row, col=1)
    corners = (
        "top right",
        "top left",
        "bottom right",
        "bottom left",
    )  # of what baselines are called
    for (name, baseline), corner in zip(
        metrics["valid"]["baselines"].items(), cycle(corners), strict=False
    ):
        scalars = objective.scalars(baseline)
        for chart, row in charts.items():
            line = {"line_dash": "dot", "annotation_text": name, "annotation_position": corner}
            figure.add_hline(y=scalars[chart], **line, row=row, col=1)
    figure.update_xaxes(title_text="step", row=len(charts), col=1)
    return figure.update_layout(title="Pre-training", height=160 + 160 * len(charts))
