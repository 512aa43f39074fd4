"""How good the model is, and how fast it was trained."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from clm_ler.modeling.data.batches import mlm_evaluation_loader
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.model.flops import model_flops_utilisation, training_flops_per_token
from clm_ler.modeling.model.modeling_clm_ler import MaskedCodesOutput
from clm_ler.modeling.objectives.mlm import maskable_tokens
from clm_ler.modeling.objectives.mlm_metrics import (
    Predict,
    context_free_baselines,
    count_unigrams,
    measure,
    summarise,
)
from clm_ler.modeling.training.checkpoints import RESULT, read_json
from clm_ler.modeling.training.pretraining import PretrainingTask, evaluation_rows


def measure_model(model: PreTrainedModel, task: PretrainingTask) -> dict[str, Any]:
    """Return the metrics of ``pretrain_metrics``: quality on valid and test, baselines, speed."""
    train = TokenStore.from_arrow(task.data, split="train")
    maskable = maskable_tokens(task.vocabulary, task.masking)
    counts = count_unigrams(train, maskable, task.vocabulary.bins)
    baselines = context_free_baselines(counts, task.systems)
    splits = set(task.data["split"].unique().to_pylist()) & {"valid", "test"}
    quality = {split: _measure_split(model, baselines, task, split) for split in sorted(splits)}
    return quality | {"training": _training(model, task, train)}


def _measure_split(
    model: PreTrainedModel, baselines: dict[str, Predict], task: PretrainingTask, split: str
) -> dict[str, Any]:
    store = TokenStore.from_arrow(task.data, split=split)
    rows = evaluation_rows(store, task.eval_persons)

    def summary(predict: Predict) -> dict[str, Any]:
        batches = mlm_evaluation_loader(
            store,
            task.vocabulary,
            task.window,
            task.masking,
            task.tokens_per_batch,
            seed=task.arguments["seed"],
            rows=rows,
        )
        return summarise(measure(predict, batches, task.systems), task.systems)

    scores = {name: summary(predict) for name, predict in baselines.items()}
    return {"persons": len(rows)} | summary(on_device(model)) | {"baselines": scores}


def on_device(model: PreTrainedModel) -> Predict:
    """Return the model as a function of batches, on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    nn.Module.to(model, device).eval()

    def predict(batch: dict[str, Tensor]) -> MaskedCodesOutput:
        output: MaskedCodesOutput = model(**{n: v.to(device) for n, v in batch.items()})
        return output

    return predict


def _training(model: PreTrainedModel, task: PretrainingTask, train: TokenStore) -> dict[str, Any]:
    speed = read_json(task.directory / RESULT / "training.json")
    lengths = np.minimum(train.lengths + 1, task.window.max_length)
    flops = training_flops_per_token(model.config, lengths, task.masking.prediction_fraction)
    per_rank = speed["tokens_per_second"] / speed["ranks"]
    return speed | {
        "parameters": model.num_parameters(),
        "flops_per_token": flops,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "model_flops_utilisation": model_flops_utilisation(per_rank, flops),
    }
