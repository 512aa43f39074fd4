"""Encoded sequences to a pre-trained model."""

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from clm_ler.files.atomic import read_json, replace_folder
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary, vocabulary_digest
from clm_ler.modeling.loading import (
    build_model,
    continue_from,
    load_model,
    number_ages,
    number_labs,
)
from clm_ler.modeling.model.card import DescribedModel
from clm_ler.modeling.objectives import OBJECTIVES
from clm_ler.modeling.objectives.base import Objective
from clm_ler.modeling.objectives.labs import LAB, lab_targets
from clm_ler.modeling.training.checkpoints import (
    INITIAL,
    RESULT,
    ChangedRunError,
    describe_data,
    is_finished,
    open_run,
    weights_digest,
)
from clm_ler.modeling.training.launch import launch
from clm_ler.modeling.training.loaders import BatchRecipe
from clm_ler.modeling.training.pretraining import PretrainingTask, pretrain
from clm_ler.pipelines.pretrain.card import write_card
from clm_ler.pipelines.pretrain.evaluation import measure_splits
from clm_ler.pipelines.pretrain.options import PretrainOptions

logger = logging.getLogger(__name__)


def fit_targets(
    encoded_sequences: pa.Table, tokenizer: PreTrainedTokenizerBase, options: PretrainOptions
) -> ir.Table:
    """Return what the objective predicts besides masked tokens, and the labs, from the train split.

    Returns:
        ``target`` (the token), ``token_id``, ``kind`` (``code``, ``low``, ``high``: when the code, or the
        lowest or highest bin of the lab, comes next; ``lab``: a lab with an embedding for each bin),
        ``persons``, ``events`` and ``log_rates`` (of events per person-day in each piece of time).
    """
    store = TokenStore.from_arrow(encoded_sequences, split="train")
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    targets = OBJECTIVES[options.objective].fit(options, store, vocabulary)
    if options.model_type == "clm_ler" and options.lab_bin_rows:
        targets = pa.concat_tables([targets, lab_targets(store)])
    tokens = tokenizer.convert_ids_to_tokens(targets["token_id"].to_pylist())
    return ibis.memtable(targets.add_column(0, "target", pa.array(tokens, pa.string())))


def train_model(
    encoded_sequences: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    pretrain_targets: ir.Table,
    parent_model: PreTrainedModel | None,
    parent_tokenizer: PreTrainedTokenizerBase | None,
    workspace: Path,
    options: PretrainOptions,
    seed: int,
) -> tuple[PreTrainedModel, dict[str, Any], list[dict[str, float]]]:
    """Train a model on the train split, or take up the training where it was left.

    Args:
        encoded_sequences: The sequences of all splits.
        tokenizer: What they were encoded with.
        pretrain_targets: From :func:`fit_targets`.
        parent_model: The model to continue from; ``None`` starts from random weights.
        parent_tokenizer: Its tokenizer.
        workspace: A local folder for the checkpoints.
        options: Model, data path and training.
        seed: Of all that is random.

    Returns:
        The model that was best on the valid split; how fast it was trained; and the history, one entry
        per logged loss or evaluation.

    Raises:
        ChangedRunError: If the checkpoints are those of other data or parameters.
    """
    recipe = make_recipe(tokenizer, pretrain_targets, options, seed)
    task = PretrainingTask(workspace, encoded_sequences, recipe, options)
    prepare_run(task, tokenizer, parent_model, options)
    if is_finished(workspace):
        logger.info("Training is finished already; pretrain.overwrite=true trains it again.")
    else:
        if not (workspace / INITIAL).is_dir():
            labs = pretrain_targets.filter(pretrain_targets.kind == LAB).order_by("token_id")
            model = initial_model(
                tokenizer,
                recipe.objective,
                labs.token_id.to_pyarrow(),
                parent_model,
                parent_tokenizer,
                options,
                seed,
            )
            replace_folder(workspace / INITIAL, model.save_pretrained)
        launch(pretrain, task, options.ranks)
    result = workspace / RESULT
    speed, history = read_json(result / "training.json"), read_json(result / "history.json")
    return load_model(result), speed, history


def make_recipe(
    tokenizer: PreTrainedTokenizerBase,
    pretrain_targets: ir.Table,
    options: PretrainOptions,
    seed: int,
) -> BatchRecipe:
    """Return how batches are made, and for which objective."""
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    tokens = list(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
    targets = pretrain_targets.filter(pretrain_targets.kind != LAB)
    # Their order numbers them, and a stored table has none of its own.
    targets = targets.order_by(ibis.desc("persons"), "kind", "token_id")
    return BatchRecipe(
        objective=OBJECTIVES[options.objective].create(
            options, vocabulary, tokens, targets.to_pyarrow()
        ),
        vocabulary=vocabulary,
        window=options,
        tokens_per_batch=options.tokens_per_batch,
        seed=seed,
        workers=options.dataloader_num_workers,
    )


def prepare_run(
    task: PretrainingTask,
    tokenizer: PreTrainedTokenizerBase,
    parent_model: PreTrainedModel | None,
    options: PretrainOptions,
) -> None:
    """Make sure that the directory holds the training of these inputs, or none."""
    fingerprint = {
        "data": describe_data(task.data),
        "parent": weights_digest(parent_model),
        "tokenizer": {"tokens": len(tokenizer), "digest": vocabulary_digest(tokenizer)},
        "parameters": options.compared(),
        "seed": task.recipe.seed,
    }
    try:
        open_run(task.directory, fingerprint, options.overwrite)
    except ChangedRunError as error:
        raise ChangedRunError(
            f"{task.directory} holds the training of something else: {error}. Give it up with "
            "--params=pretrain.overwrite=true, or keep it and train elsewhere with "
            "--params=pretrain.checkpoints=DIRECTORY."
        ) from None


def initial_model(
    tokenizer: PreTrainedTokenizerBase,
    objective: Objective,
    labs: pa.Array,
    parent_model: PreTrainedModel | None,
    parent_tokenizer: PreTrainedTokenizerBase | None,
    options: PretrainOptions,
    seed: int,
) -> PreTrainedModel:
    """Return the model that training starts from: random, or with the weights of an earlier one."""
    set_seed(seed)
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    chosen = asdict(options) | objective.configure() | {"lab_rows": len(labs)}
    model = build_model(options.model_type, len(tokenizer), vocabulary.bins, chosen)
    objective.start(model)
    if getattr(model.config, "age_waves", 0):
        number_ages(model, vocabulary.years)
    if len(labs):
        number_labs(model, labs.to_numpy())
    if parent_model is not None and parent_tokenizer is not None:
        before = parent_tokenizer.get_vocab()
        continue_from(model, tokenizer.get_vocab(), parent_model, before)
    model.config.vocabulary_digest = vocabulary_digest(tokenizer)
    return model


def measure_model(
    trained_model: PreTrainedModel,
    training_speed: dict[str, Any],
    encoded_sequences: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    pretrain_targets: ir.Table,
    options: PretrainOptions,
    seed: int,
) -> dict[str, Any]:
    """Return quality on valid and test, that of the baselines, and speed.

    The batches are made in this process: there are few.
    """
    recipe = replace(make_recipe(tokenizer, pretrain_targets, options, seed), workers=0)
    quality = measure_splits(trained_model, encoded_sequences, recipe, options.eval_persons)
    return quality | {"training": training_speed}


def publish_model(
    trained_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pretrain_metrics: dict[str, Any],
    encoded_sequences: pa.Table,
    options: PretrainOptions,
) -> DescribedModel:
    """Return the model with its tokenizer and card."""
    card = write_card(trained_model, pretrain_metrics, options, encoded_sequences)
    return DescribedModel(trained_model, tokenizer, card)
