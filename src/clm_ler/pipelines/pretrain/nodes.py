"""Encoded sequences to a pre-trained model."""

import logging
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa
import torch
from plotly.subplots import make_subplots
from transformers import AutoTokenizer, PreTrainedTokenizerBase, set_seed

from clm_ler.modeling.data.vocabulary import Vocabulary, vocabulary_digest
from clm_ler.modeling.model.card import DescribedModel
from clm_ler.modeling.model.published import build_masked_lm, continue_from, load_masked_lm
from clm_ler.modeling.objectives.mlm_metrics import CodeSystems
from clm_ler.modeling.training.checkpoints import (
    INITIAL,
    RESULT,
    ChangedRunError,
    is_finished,
    open_run,
    read_json,
    save_directory,
    write_json,
)
from clm_ler.modeling.training.pretraining import PretrainingTask, launch
from clm_ler.pipelines.pretrain.card import write_card
from clm_ler.pipelines.pretrain.fingerprint import describe_data, describe_run
from clm_ler.pipelines.pretrain.options import PretrainOptions
from clm_ler.pipelines.pretrain.report import measure_model

logger = logging.getLogger(__name__)


def pretrain_model(
    encoded_sequences: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    options: PretrainOptions,
    seed: int,
) -> tuple[DescribedModel, dict[str, Any], list[dict[str, float]]]:
    """Train a model on the train split, or take up the training where it was left.

    Returns:
        The model that was best on the valid split, with its card; its metrics; and the history,
        one entry per logged loss or evaluation.

    Raises:
        ChangedRunError: If the checkpoints are those of other data or parameters.
    """
    directory = local_directory(options.checkpoints)
    prepare_run(directory, encoded_sequences, tokenizer, options, seed)
    task = make_task(directory, encoded_sequences, tokenizer, options, seed)
    if is_finished(directory):
        logger.info("Training is finished already; pretrain.overwrite=true trains it again.")
    else:
        if not (directory / INITIAL).is_dir():
            save_initial_model(directory, tokenizer, options, seed)
        launch(task, options.ranks)
    model = load_masked_lm(directory / RESULT)
    # Beside the model that they are of, so that they go when it goes.
    metrics = read_json(directory / RESULT / "metrics.json") or measure_model(model, task)
    write_json(directory / RESULT / "metrics.json", metrics)
    card = write_card(model, metrics, options, describe_data(encoded_sequences))
    history = read_json(directory / RESULT / "history.json")
    return DescribedModel(model, tokenizer, card), metrics, history


def local_directory(path: str) -> Path:
    """Return the directory of the checkpoints, which have to be local.

    Beside the project's data where the storage is remote: only what is finished goes there.
    """
    return Path("data/06_models/checkpoints" if "://" in path else path)


def prepare_run(
    directory: Path,
    encoded_sequences: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    options: PretrainOptions,
    seed: int,
) -> None:
    """Make sure that the directory holds the training of these inputs, or none."""
    fingerprint = describe_run(encoded_sequences, tokenizer, options, seed)
    try:
        open_run(directory, fingerprint, options.overwrite)
    except ChangedRunError as error:
        raise ChangedRunError(
            f"{directory} holds the training of something else: {error}. Give it up with "
            "--params=pretrain.overwrite=true, or keep it and train elsewhere with "
            "--params=pretrain.checkpoints=DIRECTORY."
        ) from None


def make_task(
    directory: Path,
    encoded_sequences: pa.Table,
    tokenizer: PreTrainedTokenizerBase,
    options: PretrainOptions,
    seed: int,
) -> PretrainingTask:
    """Return what each rank needs."""
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    cuda = torch.cuda.is_available()
    names = (
        "gradient_accumulation_steps num_train_epochs max_steps learning_rate lr_scheduler_type "
        "warmup_steps weight_decay max_grad_norm fp16 torch_compile eval_steps logging_steps"
    )
    arguments = {name: getattr(options, name) for name in names.split()}
    can_bf16 = cuda and torch.cuda.is_bf16_supported() and not options.fp16
    return PretrainingTask(
        directory=directory,
        data=encoded_sequences,
        vocabulary=Vocabulary.from_tokenizer(tokenizer),
        systems=CodeSystems.from_tokens(tokens),
        window=options.window,
        masking=options.masking,
        tokens_per_batch=options.tokens_per_batch,
        eval_persons=options.eval_persons,
        workers=options.dataloader_num_workers,
        attention=choose_attention(options),
        save_total_limit=options.save_total_limit,
        early_stopping_patience=options.early_stopping_patience,
        early_stopping_delay=options.early_stopping_delay,
        arguments=arguments
        | {
            "seed": seed,
            "bf16": can_bf16 if options.bf16 is None else options.bf16,
            "use_cpu": not cuda,
        },
    )


def choose_attention(options: PretrainOptions) -> str:
    """Return the attention function: on a GPU the one that needs no padding, where it can be had."""
    if options.model_type == "longformer":
        return "eager"  # its own sliding window; it knows no other
    if options.attention != "auto":
        return options.attention
    can_varlen = options.model_type == "clm_ler" and not options.attention_probs_dropout_prob
    return "varlen" if can_varlen and torch.cuda.is_available() else "sdpa"


def save_initial_model(
    directory: Path, tokenizer: PreTrainedTokenizerBase, options: PretrainOptions, seed: int
) -> None:
    """Save the weights that training starts from: random, or those of an earlier model."""
    set_seed(seed)
    bins = Vocabulary.from_tokenizer(tokenizer).bins
    model = build_masked_lm(options.model_type, len(tokenizer), bins, options.model_dump())
    if options.input_model is not None:
        earlier = load_masked_lm(options.input_model)
        earlier_tokenizer = AutoTokenizer.from_pretrained(options.input_model)
        continue_from(model, tokenizer.get_vocab(), earlier, earlier_tokenizer.get_vocab())
    model.config.vocabulary_digest = vocabulary_digest(tokenizer)
    save_directory(directory / INITIAL, model.save_pretrained)


def plot_curves(history: list[dict[str, float]], metrics: dict[str, Any]) -> go.Figure:
    """Return loss and masked-code accuracy over the steps, with the baselines as lines."""
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, subplot_titles=("loss", "masked-code accuracy")
    )
    for row, name in ((1, "loss"), (1, "eval_loss"), (2, "eval_accuracy")):
        points = [(entry["step"], entry[name]) for entry in history if name in entry]
        steps, values = zip(*points, strict=True) if points else ((), ())
        figure.add_trace(go.Scatter(x=steps, y=values, name=name), row=row, col=1)
    for name, baseline in metrics["valid"]["baselines"].items():
        for row, value in ((1, baseline["joint_loss"]), (2, baseline["accuracy"]["top1"])):
            figure.add_hline(y=value, line_dash="dot", annotation_text=name, row=row, col=1)
    figure.update_xaxes(title_text="step", row=2, col=1)
    return figure.update_layout(title="Pre-training")
