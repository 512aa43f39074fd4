"""Fine-tuning: from a pre-trained encoder to a classifier, on samples that see only their past."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, PreTrainedConfig, PreTrainedModel, TrainingArguments

from clm_ler.files.atomic import read_json, replace_folder, write_json
from clm_ler.files.digests import digest
from clm_ler.modeling.data.batches import Batch, BatchIndex, PlannedBatches, collate, make_loader
from clm_ler.modeling.data.random_streams import SAMPLING, random_stream
from clm_ler.modeling.data.samples import NO_LABEL, Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, Windows, cut
from clm_ler.modeling.evaluation.calibration import probabilities_of
from clm_ler.modeling.inference import embed, predict_logits, sample_windows
from clm_ler.modeling.loading import classifier_on, encoder_layers, load_classifier
from clm_ler.modeling.training.checkpoints import (
    FINGERPRINT,
    RESULT,
    is_finished,
    open_run,
    weights_digest,
)
from clm_ler.modeling.training.options import FineTuning
from clm_ler.modeling.training.trainer import BatchTrainer, batch_arguments

Integers = NDArray[np.integer]

CHECKPOINTS_KEPT = 2  # the best and the last


@dataclass(frozen=True)
class FineTuningData:
    """Samples to learn from and samples to choose by, in one store."""

    store: TokenStore
    vocabulary: Vocabulary
    window: WindowOptions
    train: Samples
    valid: Samples
    num_labels: int
    seed: int

    @property
    def multi_label(self) -> bool:
        """Whether each column of the labels is a task of its own."""
        return self.train.labels.ndim == 2


def fine_tune(
    directory: Path, pretrained: PreTrainedModel, data: FineTuningData, settings: FineTuning
) -> dict[str, Any]:
    """Fine-tune in a directory that remembers; return ``validation_auroc`` and the history.

    The model is in ``result/`` of the directory, see :mod:`clm_ler.modeling.training.checkpoints`. A training
    of the same model, data and settings is not repeated, and goes on where it was killed; one of
    others is replaced.
    """
    fingerprint = describe_run(pretrained, data, settings)
    changed = read_json(directory / FINGERPRINT) not in (None, fingerprint)
    open_run(directory, fingerprint, overwrite=changed)
    if not is_finished(directory):
        model = initial_classifier(pretrained, data, settings)
        history = [{"epoch": 0.0, "auroc": validation_auroc(model, data)}]
        if settings.method != "frozen":
            history += _train(directory, model, data, settings, history[0]["auroc"])
        result = {"validation_auroc": max(step["auroc"] for step in history), "history": history}
        replace_folder(directory / RESULT, partial(_write_result, model, result))
    return dict(read_json(directory / RESULT / "training.json"))


def describe_run(
    pretrained: PreTrainedModel, data: FineTuningData, settings: FineTuning
) -> dict[str, Any]:
    """Return everything that decides the outcome of a training, as JSON has it."""
    parts = [asdict(data.window), data.num_labels, data.seed]
    for samples in (data.train, data.valid):
        tokens = data.store.gather(samples.rows, 0, samples.ends)
        parts += [samples.ends, samples.days, samples.labels]
        parts += [data.store.birth_to_start[samples.rows]]
        parts += [tokens.input_ids, tokens.token_type_ids, tokens.position_ids]
    described = {
        "model": weights_digest(pretrained),
        "data": digest(*parts),
        "settings": asdict(settings),
    }
    return dict(json.loads(json.dumps(described)))


def load_result(directory: Path) -> PreTrainedModel:
    """Return the model that :func:`fine_tune` has left in a directory."""
    return load_classifier(directory / RESULT)


def _write_result(model: PreTrainedModel, result: Mapping[str, Any], directory: Path) -> None:
    model.save_pretrained(directory)
    write_json(directory / "training.json", result)


def initial_classifier(
    pretrained: PreTrainedModel, data: FineTuningData, settings: FineTuning
) -> PreTrainedModel:
    """Return the pre-trained encoder under a head: that of a logistic regression, or a random one."""
    config = type(pretrained.config).from_dict(pretrained.config.to_dict())
    config.num_labels = data.num_labels
    config.problem_type = (
        "multi_label_classification" if data.multi_label else "single_label_classification"
    )
    config.pooling = settings.pooling or getattr(config, "pooling", "mean")
    if settings.hidden_dropout_prob is not None:
        config.hidden_dropout_prob = settings.hidden_dropout_prob
    torch.manual_seed(data.seed)
    model = classifier_on(pretrained, config)
    if settings.method == "frozen" or settings.probe_first:
        _fit_head(model, data, settings.probe_strengths)
    return model


def _fit_head(model: Any, data: FineTuningData, strengths: tuple[float, ...]) -> None:
    """Set the head to the logistic regression on embeddings that is best on validation."""
    train, valid = (
        embed(model.base_model, data.store, part, data.vocabulary, data.window)
        for part in (data.train, data.valid)
    )
    mean, scale = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-6)
    best_score = -np.inf
    for strength in strengths:
        weights, bias = _logistic_head((train - mean) / scale, data.train.labels, strength)
        weights = weights / scale
        bias = bias - weights @ mean
        score = auroc_score(data.valid.labels, valid @ weights.T + bias)
        if score > best_score:
            best_score = score
            model.classifier.weight.data = torch.tensor(weights, dtype=torch.float32)
            model.classifier.bias.data = torch.tensor(bias, dtype=torch.float32)


def _logistic_head(
    features: NDArray[np.floating], labels: Integers, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights ``[outputs, hidden]`` and bias ``[outputs]``: one output per class or task."""
    if labels.ndim == 2:
        heads = [
            _logistic_head(features[column != NO_LABEL], column[column != NO_LABEL], strength)
            for column in labels.T
        ]
        weights, bias = zip(*heads, strict=True)
        return np.stack([w[1] for w in weights]), np.array([b[1] for b in bias])
    model = LogisticRegression(C=strength, max_iter=1000).fit(features, labels)
    if len(model.classes_) > 2:
        return model.coef_, model.intercept_
    zeros = np.zeros_like(model.coef_[0])
    return np.stack([zeros, model.coef_[0]]), np.array([0.0, model.intercept_[0]])


def auroc_score(labels: Integers, logits: NDArray[np.floating]) -> float:
    """Return the AUROC that models are chosen by: the mean over classes (one against the rest) or tasks."""
    if labels.ndim == 2:
        pairs = [
            (task[task != NO_LABEL], score[task != NO_LABEL])
            for task, score in zip(labels.T, logits.T, strict=True)
        ]
    elif logits.shape[1] == 2:
        pairs = [(labels, logits[:, 1] - logits[:, 0])]
    else:
        shares = probabilities_of(logits)
        pairs = [(labels == number, share) for number, share in enumerate(shares.T)]
    return float(np.mean([roc_auc_score(*pair) for pair in pairs]))


def validation_auroc(model: PreTrainedModel, data: FineTuningData) -> float:
    """Return the AUROC of a model on the validation samples."""
    logits = predict_logits(model, data.store, data.valid, data.vocabulary, data.window)
    return auroc_score(data.valid.labels, logits)


def epoch_samples(
    labels: Integers,
    epoch: int,
    seed: int,
    proportions: tuple[float, ...] | None,
    max_proportion: float | None,
) -> Integers:
    """Return which samples an epoch learns from, ascending: all, or classes in proportion.

    Without replacement, another draw in each epoch.

    Args:
        labels: Class numbers, ``[n]``.
        epoch: The epoch.
        seed: Of the draw.
        proportions: Relative size of each class; the scarcest one is used up.
        max_proportion: The most of a class, as a multiple of the smallest class.
    """
    if proportions is None and max_proportion is None:
        return np.arange(len(labels))
    counts = np.bincount(labels)
    limits = counts.astype(float)
    if proportions is not None:
        shares = np.array(proportions, float)
        limits = shares * np.min(counts[shares > 0] / shares[shares > 0])
    if max_proportion is not None:
        limits = np.minimum(limits, max_proportion * limits[limits > 0].min())
    rng = random_stream(seed, SAMPLING, epoch)
    chosen = [
        rng.permutation(np.flatnonzero(labels == number))[: int(limit + 1e-9)]  # not 22 for 22.999…
        for number, limit in enumerate(limits)
    ]
    return np.sort(np.concatenate(chosen))


def _train_loader(
    data: FineTuningData, settings: FineTuning, epochs: int, config: PreTrainedConfig
) -> DataLoader[Batch]:
    """Return batches of the samples of each epoch, with their labels."""

    @lru_cache(maxsize=1)
    def samples_of(epoch: int) -> Samples:
        shares = settings.proportions_per_label, settings.max_proportion
        return data.train[epoch_samples(data.train.labels, epoch, data.seed, *shares)]

    def windows_of(epoch: int) -> Windows:
        return sample_windows(data.store, samples_of(epoch), data.window, config)

    def make(index: BatchIndex) -> Batch:
        batch = collate(cut(data.store, index.windows, data.vocabulary), data.vocabulary)
        labels = samples_of(index.epoch).labels[index.positions]
        return batch | {"labels": torch.from_numpy(labels.astype(np.int64))}

    batches = PlannedBatches(windows_of, settings.tokens_per_batch, seed=data.seed, epochs=epochs)
    return make_loader(make, batches, len(samples_of(0)))


def _train(
    directory: Path,
    model: PreTrainedModel,
    data: FineTuningData,
    settings: FineTuning,
    initial_auroc: float,
) -> list[dict[str, float]]:
    """Make the model the best one on validation, the initial one included; return the AUROC along the way."""
    loader = _train_loader(data, settings, int(np.ceil(settings.num_train_epochs)), model.config)
    initial = {name: values.clone() for name, values in model.state_dict().items()}
    _freeze(model, settings)
    arguments = _training_arguments(directory, settings, len(loader), data.seed)
    trainer = FineTuningTrainer(model, arguments, loader, data, settings)
    trainer.add_callback(EarlyStoppingCallback(settings.early_stopping_patience))
    trainer.train_to_the_end()
    if (trainer.state.best_metric or 0.0) <= initial_auroc:
        model.load_state_dict(initial)
    return [
        {"epoch": entry["epoch"], "auroc": entry["eval_auroc"]}
        for entry in trainer.state.log_history
        if "eval_auroc" in entry
    ]


def _freeze(model: PreTrainedModel, settings: FineTuning) -> None:
    if settings.method != "last_layers":
        return
    encoder: Any = model.base_model
    encoder.requires_grad_(False)
    for layer in encoder_layers(encoder)[-settings.trainable_layers :]:
        layer.requires_grad_(True)
    if hasattr(encoder, "norm"):  # the one that follows the last layer
        encoder.norm.requires_grad_(True)


def _training_arguments(
    directory: Path, settings: FineTuning, steps_per_epoch: int, seed: int
) -> TrainingArguments:
    return batch_arguments(
        directory,
        num_train_epochs=settings.num_train_epochs,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_steps=settings.warmup_steps,
        eval_steps=max(1, round(settings.eval_step_fraction * steps_per_epoch)),
        logging_strategy="epoch",
        metric_for_best_model="auroc",
        greater_is_better=True,
        seed=seed,
        bf16=torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        report_to="none",
    )


class FineTuningTrainer(BatchTrainer):
    """Trainer with a weighted loss, and evaluation by AUROC."""

    def __init__(
        self,
        model: PreTrainedModel,
        arguments: TrainingArguments,
        loader: DataLoader[Batch],
        data: FineTuningData,
        settings: FineTuning,
    ) -> None:
        super().__init__(model, arguments, loader, CHECKPOINTS_KEPT)
        self._classifier, self._data = model, data
        weights = _class_weights(data, settings)
        self._weights = None if weights is None else weights.to(arguments.device)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the mean cross entropy of the known labels, classes weighted."""
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = classification_loss(outputs.logits, labels, self._weights)
        return (loss, outputs) if return_outputs else loss

    def evaluate(
        self,
        eval_dataset: object = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Return the AUROC on the validation samples."""
        auroc = validation_auroc(self._classifier, self._data)
        return self.report({f"{metric_key_prefix}_auroc": auroc})


def classification_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean cross entropy in fp32: softmax over classes, or a sigmoid per task.

    Args:
        logits: ``[n, classes]`` or ``[n, tasks]``.
        labels: Class numbers ``[n]``; or 0, 1 and ``NO_LABEL``, ``[n, tasks]``.
        weights: Of each class; for tasks, of their positives against their negatives.
    """
    if labels.ndim == 1:
        return F.cross_entropy(logits.float(), labels, weight=weights)
    losses = F.binary_cross_entropy_with_logits(
        logits.float(), labels.clamp(min=0).float(), pos_weight=weights, reduction="none"
    )
    return losses[labels != NO_LABEL].mean()


def _class_weights(data: FineTuningData, settings: FineTuning) -> torch.Tensor | None:
    """Return the inverse frequency of each class, 1 on average over samples; see ``class_weights``."""
    if settings.class_weights == "none":
        return None
    labels = data.train.labels
    if data.multi_label:
        ratio = (labels == 0).sum(axis=0) / np.maximum((labels == 1).sum(axis=0), 1)
        return torch.tensor(ratio, dtype=torch.float32)
    counts = np.bincount(labels, minlength=data.num_labels)
    weights = len(labels) / (data.num_labels * np.maximum(counts, 1))
    return torch.tensor(weights, dtype=torch.float32)
