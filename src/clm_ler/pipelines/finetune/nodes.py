"""Labels to samples, samples to a classifier, and what it is worth."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.labels import count_label_persons
from clm_ler.corridor.samples import by_task, tasks_of, to_samples, wide_samples
from clm_ler.modeling.data.samples import NO_LABEL
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.baselines import baseline_probabilities
from clm_ler.modeling.evaluation.calibration import calibrated, fit_temperature, log_odds
from clm_ler.modeling.evaluation.counts import ages
from clm_ler.modeling.evaluation.percentiles import person_percentiles
from clm_ler.modeling.evaluation.recalibration import choose_recalibration
from clm_ler.modeling.inference import predict_logits, predict_proba, trained_window
from clm_ler.modeling.model.card import DescribedModel
from clm_ler.modeling.training.finetuning import FineTuningData, fine_tune, load_result
from clm_ler.modeling.training.hybrid import Hybrid, fit_hybrid, hybrid_inputs
from clm_ler.pipelines.finetune.card import write_card
from clm_ler.tables import labels as label_tables
from clm_ler.tokens import system_of

logger = logging.getLogger(__name__)

SCORES = pa.schema(
    {
        "sample_id": pa.string(),
        "task": pa.string(),
        "model": pa.string(),
        "probabilities": pa.list_(pa.float64()),
    }
)


def usable_samples(sample_candidates: ir.Table, options: FinetuneOptions) -> ir.Table:
    """Return the samples that see at least one event: see ``tables.labels.usable_samples``."""
    return label_tables.usable_samples(sample_candidates, options.labels)


def train_classifier(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    pretrained_model: PreTrainedModel,
    workspace: Path,
    options: FinetuneOptions,
    seed: int,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Fine-tune at every point of the grid; return the model that is best on validation, calibrated.

    The trainings are kept in folders of their own below ``workspace``, a local folder.

    Returns:
        The model, calibrated on the validation samples, and the grid: the settings, validation AUROC and
        history of every point, and what the ``recalibration`` of each task rests on.
    """
    frame = wide_samples(samples)
    store = TokenStore.from_arrow(labelled_encoded)
    data = _fine_tuning_data(frame, store, tokenizer, pretrained_model, options, seed)
    trainings = []
    for number, point in enumerate(options.grid()):
        directory = workspace / _point_name(point)
        result = fine_tune(directory, pretrained_model, data, options.settings(point))
        trainings.append({"settings": point, **result})
        if len(options.grid()) > 1:
            logger.info(
                "Grid point %d of %d: validation AUROC %.4f",
                number + 1,
                len(options.grid()),
                result["validation_auroc"],
            )
    best = int(np.argmax([training["validation_auroc"] for training in trainings]))
    model = load_result(workspace / _point_name(trainings[best]["settings"]))
    model.config.tasks = tasks_of(frame)
    recalibration = calibrate(model, data, options.recalibration)
    keep_training_percentiles(model, data)
    return model, {"best": best, "trainings": trainings, "recalibration": recalibration}


def _fine_tuning_data(
    frame: pd.DataFrame,
    store: TokenStore,
    tokenizer: PreTrainedTokenizerFast,
    pretrained: PreTrainedModel,
    options: FinetuneOptions,
    seed: int,
) -> FineTuningData:
    tasks = tasks_of(frame)
    if len(tasks) > 1:
        _check_several(len(tasks), options)
    samples, split = to_samples(frame, store), frame["split"].to_numpy()
    return FineTuningData(
        store=store,
        vocabulary=Vocabulary.from_tokenizer(tokenizer, pretrained.config),
        window=options.window(pretrained.config.max_position_embeddings),
        train=samples[np.flatnonzero(split == "train")],
        valid=samples[np.flatnonzero(split == "valid")],
        num_labels=options.labels.num_classes if len(tasks) == 1 else len(tasks),
        seed=seed,
    )


def _check_several(tasks: int, options: FinetuneOptions) -> None:
    """Refuse what several tasks at once do not have: more than two classes, and classes in proportion."""
    if options.labels.num_classes > 2:
        raise ValueError(f"{tasks} tasks at once must be binary: set labels.num_classes to 2.")
    trained = [options.settings(point) for point in options.grid()]
    for name in ("proportions_per_label", "max_proportion"):
        if any(getattr(s, name) is not None and s.method != "frozen" for s in trained):
            raise ValueError(
                f"finetune.{name} is for one task, and there are {tasks}: a sample may be of another class in "
                "each. Leave it out, or weigh the classes with finetune.class_weights."
            )


def _point_name(point: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in point.items()) or "only"


def calibrate(model: PreTrainedModel, data: FineTuningData, wanted: str) -> dict[str, Any]:
    """Write into the model's configuration how logits become risks, and how long a window it was trained on.

    Returns:
        What the recalibration of each task rests on, see ``choose_recalibration``; nothing where a task has
        several classes, which share a temperature.
    """
    logits = predict_logits(model, data.store, data.valid, data.vocabulary, data.window)
    model.config.window_length = data.window.override_maxlen
    labels = data.valid.labels.reshape(len(logits), -1)
    if labels.shape[1] == 1 and logits.shape[1] > 2:
        model.config.calibration_temperature = fit_temperature(logits, data.valid.labels)
        return {}
    told, maps = {}, []
    for task, odds, known in zip(
        model.config.tasks, log_odds(logits, labels.shape[1] > 1).T, labels.T, strict=True
    ):
        rows = np.flatnonzero(known != NO_LABEL)
        found, told[task] = choose_recalibration(
            known[rows], odds[rows], data.valid.rows[rows], wanted
        )
        maps.append(found.as_json())
        logger.info("Risks of %s are recalibrated: %s.", task, found.method)
    model.config.recalibration = maps
    return told


def keep_training_percentiles(model: PreTrainedModel, data: FineTuningData) -> None:
    """Write into the model's configuration the percentiles of its risks of the training persons."""
    risks = predict_proba(model, data.store, data.train, data.vocabulary, data.window)
    model.config.training_risks = person_percentiles(risks, data.train.rows)


def predict_samples(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    model: PreTrainedModel,
) -> ir.Table:
    """Return the predictions of all samples, one row per sample and task.

    Returns:
        ``sample_id, person_id, prediction_time, split, age`` (years at the prediction), ``task``,
        ``label``, ``logits`` and the calibrated ``probabilities`` of the classes; ``own_id`` where
        ids are no numbers.
    """
    frame, store = wide_samples(samples), TokenStore.from_arrow(labelled_encoded)
    part = to_samples(frame, store)
    vocabulary = Vocabulary.from_tokenizer(tokenizer, model.config)
    logits = predict_logits(model, store, part, vocabulary, trained_window(model))
    age = ages(store, part)
    tables = []
    for number, (task, probabilities) in enumerate(
        by_task(calibrated(logits, model.config), tasks_of(frame))
    ):
        scores = logits.astype(np.float64)
        if part.labels.ndim == 2:  # a task's logit against 0 is that of two classes
            scores = np.column_stack([np.zeros(len(scores)), scores[:, number]])
        tables.append(_prediction_rows(frame, age, task, scores, probabilities))
    return _add_own_ids(ibis.memtable(pa.concat_tables(tables)), samples)


def _add_own_ids(predictions: ir.Table, samples: ir.Table) -> ir.Table:
    if "own_id" not in samples.columns:
        return predictions
    own = samples.select("sample_id", "own_id").distinct()
    return predictions.join(own, "sample_id")


def _prediction_rows(
    frame: pd.DataFrame,
    age: NDArray[np.floating],
    task: str,
    logits: NDArray[np.floating],
    probabilities: NDArray[np.floating],
) -> pa.Table:
    known = np.flatnonzero(frame[task] != NO_LABEL)
    columns = ["sample_id", "person_id", "prediction_time", "split"]
    of_samples = frame[columns].assign(age=age)
    table = pa.Table.from_pandas(of_samples, preserve_index=False).take(known)
    table = table.append_column("task", pa.array([task] * len(known), pa.string()))
    table = table.append_column("label", pa.array(frame[task].to_numpy()[known], pa.int64()))
    for name, values in (("logits", logits), ("probabilities", probabilities)):
        table = table.append_column(name, pa.array(list(values[known]), pa.list_(pa.float64())))
    return table


def predict_baselines(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    options: FinetuneOptions,
) -> ir.Table:
    """Return ``sample_id, task, model, probabilities`` of every baseline for all samples."""
    frame, store = wide_samples(samples), TokenStore.from_arrow(labelled_encoded)
    part, tasks = to_samples(frame, store), tasks_of(frame)
    words = tokenizer.get_vocab()
    outputs = baseline_probabilities(
        store,
        Vocabulary.from_tokenizer(tokenizer),
        part,
        frame["split"].to_numpy().astype(str),
        sorted(number for word, number in words.items() if system_of(word) == "GENDER"),
        options.labels.num_classes if len(tasks) == 1 else len(tasks),
        options.time_bins,
    )
    tables = [_scores_of(frame, name, scores) for name, scores in outputs.items()]
    return ibis.memtable(pa.concat_tables(tables))


def _scores_of(frame: pd.DataFrame, name: str, scores: NDArray[np.floating]) -> pa.Table:
    """Return ``SCORES`` of one model, for all samples."""
    tables = [
        pa.table(
            {
                "sample_id": frame["sample_id"].astype(str),
                "task": [task] * len(frame),
                "model": [name] * len(frame),
                "probabilities": pa.array(list(values), pa.list_(pa.float64())),
            },
            SCORES,
        )
        for task, values in by_task(scores, tasks_of(frame))
    ]
    return pa.concat_tables(tables)


def train_hybrid(
    samples: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    model: PreTrainedModel,
    options: FinetuneOptions,
) -> tuple[Hybrid, ir.Table]:
    """Return the hybrid of the fine-tuned model and windowed features, and its predictions.

    It is fitted on the train samples and chosen on the valid ones, see ``modeling.training.hybrid``.
    Unless ``options.head`` asks for it, it has no outputs and predicts nothing.
    """
    if options.head != "hybrid":
        return Hybrid(), ibis.memtable(SCORES.empty_table())
    frame, store = wide_samples(samples), TokenStore.from_arrow(labelled_encoded)
    part, vocabulary = to_samples(frame, store), Vocabulary.from_tokenizer(tokenizer, model.config)
    inputs = hybrid_inputs(model, store, part, vocabulary)
    splits = frame["split"].to_numpy().astype(str)
    hybrid = fit_hybrid(model, inputs, part.labels, splits)
    return hybrid, ibis.memtable(_scores_of(frame, "hybrid", hybrid.predict(inputs)))


def publish_classifier(
    trained_classifier: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    samples: ir.Table,
    finetune_metrics: dict[str, Any],
    options: FinetuneOptions,
) -> DescribedModel:
    """Return the model with its tokenizer and card."""
    persons = count_label_persons(samples).to_pyarrow()
    card = write_card(trained_classifier, finetune_metrics, persons, options)
    return DescribedModel(trained_classifier, tokenizer, card)
