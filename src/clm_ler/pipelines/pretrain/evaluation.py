"""How good the model is on persons whom it was not trained on, beside baselines."""

from typing import Any

import pyarrow as pa
import torch
from torch import nn
from transformers import PreTrainedModel

from clm_ler.files.arrow import evenly_spaced
from clm_ler.modeling.data.batches import Batch
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.inference import device
from clm_ler.modeling.objectives.base import Objective, Sums, measure, model_sums
from clm_ler.modeling.training.loaders import BatchRecipe, evaluation_loader


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
        rows = evenly_spaced(len(store), most_persons)
        scores = {
            name: recipe.objective.summary(measure(sums, evaluation_loader(recipe, store, rows)))
            for name, sums in predictors.items()
        }
        quality[split] = {"persons": len(rows)} | scores.pop("") | {"baselines": scores}
    return quality


def on_device(model: PreTrainedModel, objective: Objective) -> Sums:
    """Return the sums of a model, on a GPU where there is one."""
    there = device()
    nn.Module.to(model, there).eval()
    sums = model_sums(objective, model)
    return lambda batch: sums(to_device(batch, there))


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device."""
    return {
        name: to_device(values, device) if isinstance(values, dict) else values.to(device)
        for name, values in batch.items()
    }
