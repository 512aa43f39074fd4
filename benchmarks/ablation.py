"""What time, lab values and pre-training are worth to the model, with intervals over seeds.

    kedro run --pipelines=cohort,split,preprocess,vocab --params=storage=DIR
    kedro run --pipelines=finetune --to-nodes=usable_samples,encode_labelled_sequences --params=storage=DIR
    python benchmarks/ablation.py DIR

Every variant is trained by the loop of `pretrain` on the same persons with the same masks, small
enough for a CPU, and judged on test persons in two ways: by the masked codes, and by how well a
logistic regression on its frozen embeddings (mean over the tokens) predicts the label of
`finetune`, from 128 labels (mean over draws) and from all; the regression standardises on all training
samples, its strength is chosen on validation. `joint loss` is -log p(code, lab bin) in nats per masked code; it
compares variants that predict both. Prints a Markdown table: mean and 95 % interval over seeds.
"""

import argparse
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from scipy import stats
from sklearn.metrics import roc_auc_score
from transformers import PreTrainedModel, set_seed

from clm_ler.corridor.samples import to_samples, wide_samples
from clm_ler.files.atomic import replace_folder
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.evaluation.probes import fit_probe
from clm_ler.modeling.inference import embed
from clm_ler.modeling.loading import build_model, load_model
from clm_ler.modeling.objectives.base import measure, model_sums
from clm_ler.modeling.objectives.mlm import Mlm, MlmOptions
from clm_ler.modeling.objectives.mlm_metrics import CodeSystems
from clm_ler.modeling.training.checkpoints import INITIAL, RESULT
from clm_ler.modeling.training.loaders import BatchRecipe, evaluation_loader
from clm_ler.modeling.training.options import TrainingOptions
from clm_ler.modeling.training.pretraining import PretrainingTask, pretrain
from clm_ler.tokens import UNK

PROJECT = Path(__file__).resolve().parents[1]
SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_dropout_prob": 0.0,
}
TRAINING = TrainingOptions(
    tokens_per_batch=2048,
    learning_rate=3e-3,
    weight_decay=0.01,
    eval_steps=0.5,
    logging_steps=0.1,
    attention="sdpa",
    early_stopping_patience=100,
    save_total_limit=1,
)
FEW, DRAWS = 128, 5
PROBE = {"C": [1e-4, 1e-3, 1e-2, 1e-1]}  # chosen on validation
COLUMNS = ("code loss", "joint loss", "code top 1", "lab bin exact", "AUROC few", "AUROC all")


@dataclass(frozen=True)
class Records:
    """Tables of one way to write labs, and the words their ids stand for."""

    words: list[str]
    bins: int
    pretraining: pa.Table
    labelled: pa.Table


@dataclass(frozen=True)
class Variant:
    """A row of the table."""

    name: str
    labs: str = "type"
    options: tuple[tuple[str, Any], ...] = ()
    masking: MlmOptions = field(default_factory=MlmOptions)
    trained: bool = True


NO_BIN_ALONE = MlmOptions(bin_masking_fraction=0.0)
VARIANTS = (
    Variant("rotary days, bin as token type, bin head, bins masked alone (default)"),
    Variant("time: learned day embedding", options=(("time_encoding", "day_embedding"),)),
    Variant("time: order only", options=(("time_encoding", "order"),)),
    Variant("labs: no bin masked alone", masking=NO_BIN_ALONE),
    Variant("labs: no bin head", options=(("bin_loss_weight", 0.0),), masking=NO_BIN_ALONE),
    Variant("labs: one token per code and bin", labs="token"),
    Variant("labs: codes without values", labs="none"),
    Variant("not trained at all", trained=False),
)


def write_labs(records: Records, how: str) -> Records:
    """Return the records with lab bins as token types (as stored), as tokens, or left out."""
    if how == "type":
        return records
    tables = (records.pretraining, records.labelled)
    if how == "none":
        none = [
            _replace(table, token_type_ids=_flat(table, "token_type_ids") * 0) for table in tables
        ]
        return Records(records.words, 0, *none)
    pairs = [_pairs(table) for table in tables]
    seen = np.unique(pairs[0][pairs[0] % 256 > 0])
    words = [f"{records.words[pair // 256]}:bin {pair % 256}" for pair in seen]
    tables_of_tokens = [
        _replace(
            table,
            input_ids=_token_ids(pair, seen, len(records.words), records.words.index(UNK)),
            token_type_ids=_flat(table, "token_type_ids") * 0,
        )
        for table, pair in zip(tables, pairs, strict=True)
    ]
    return Records([*records.words, *words], 0, *tables_of_tokens)


def _flat(table: pa.Table, name: str) -> np.ndarray:
    return table[name].combine_chunks().values.to_numpy()


def _pairs(table: pa.Table) -> np.ndarray:
    return _flat(table, "input_ids").astype(np.int64) * 256 + _flat(table, "token_type_ids")


def _token_ids(pairs: np.ndarray, seen: np.ndarray, first: int, unknown: int) -> np.ndarray:
    place = np.searchsorted(seen, pairs).clip(max=len(seen) - 1)
    known = np.where(seen[place] == pairs, first + place, unknown)
    return np.where(pairs % 256 > 0, known, pairs // 256).astype(np.int32)


def _replace(table: pa.Table, **columns: np.ndarray) -> pa.Table:
    for name, values in columns.items():
        offsets = table[name].combine_chunks().offsets
        column = pa.ListArray.from_arrays(offsets, pa.array(values, table[name].type.value_type))
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def train(
    variant: Variant, records: Records, seed: int, epochs: float, folder: Path
) -> PretrainingTask:
    """Train a variant; its model is in ``result/`` of the folder."""
    set_seed(seed)
    vocabulary = {word: number for number, word in enumerate(records.words)}
    options = SIZES | dict(variant.options)
    model = build_model("clm_ler", len(vocabulary), records.bins, options)
    replace_folder(folder / INITIAL, model.save_pretrained)
    ids = Vocabulary.from_tokens(vocabulary, records.bins)
    recipe = BatchRecipe(
        objective=Mlm(variant.masking, ids, CodeSystems.from_tokens(records.words)),
        vocabulary=ids,
        window=WindowOptions(256, 1825),
        tokens_per_batch=TRAINING.tokens_per_batch,
        seed=seed,
    )
    options = replace(TRAINING, num_train_epochs=epochs)
    task = PretrainingTask(folder, records.pretraining, recipe, options)
    if variant.trained:
        pretrain(task)
    else:
        replace_folder(folder / RESULT, model.save_pretrained)
    return task


def judge_codes(model: PreTrainedModel, task: PretrainingTask) -> list[float]:
    """Return the first four columns."""
    store = TokenStore.from_arrow(task.data, split="test")
    recipe = replace(task.recipe, seed=0)
    batches = evaluation_loader(recipe, store, np.arange(len(store)))
    objective = recipe.objective
    result = objective.summary(measure(model_sums(objective, model), batches))
    bins = result.get("lab_bins")
    joint = result["joint_loss"] if bins else np.nan
    return [result["loss"], joint, result["accuracy"]["top1"], bins["exact"] if bins else np.nan]


def judge_embeddings(
    model: PreTrainedModel, task: PretrainingTask, labelled: pa.Table, frame: Any
) -> list[float]:
    """Return the AUROC on test persons from few labels and from all."""
    store, encoder = TokenStore.from_arrow(labelled), model.base_model
    encoder.config.pooling = "mean"
    samples, split = to_samples(frame, store), frame["split"].to_numpy().astype(str)
    vectors = embed(encoder, store, samples, task.recipe.vocabulary, task.recipe.window)
    train_rows, valid_rows = (np.flatnonzero(split == part) for part in ("train", "valid"))
    test, labels = split == "test", samples.labels.astype(np.int8)

    def auroc(*rows: np.ndarray) -> float:
        train, valid = ((vectors[part], labels[part]) for part in rows)
        probe = fit_probe("standardised", PROBE, train, valid, vectors[train_rows])
        return float(roc_auc_score(labels[test], probe.predict(vectors[test])))

    few = [
        [draw_few(part, labels, seed) for part in (train_rows, valid_rows)] for seed in range(DRAWS)
    ]
    return [float(np.mean([auroc(*rows) for rows in few])), auroc(train_rows, valid_rows)]


def draw_few(rows: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Return ``FEW`` of the rows, half of them positive."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.permutation(rows[labels[rows] == label])[: FEW // 2] for label in (0, 1)]
    )


def with_interval(values: np.ndarray) -> str:
    """Return mean and 95 % t-interval over seeds."""
    if np.isnan(values).all():
        return "-"
    mean = values.mean()
    if len(values) < 2:
        return f"{mean:.3f}"
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return f"{mean:.3f} ± {half:.3f}"


def load_records(storage: str) -> tuple[Records, Any]:
    """Return the encoded records and the samples of a storage."""
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, runtime_params={"storage": storage}) as session:
        catalog = session.load_context().catalog
        names = ("tokenizer", "encoded_sequences", "labelled_encoded", "samples")
        tokenizer, pretraining, labelled, samples = (catalog.load(name) for name in names)
        frame = wide_samples(samples)
    words = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    bins = Vocabulary.from_tokenizer(tokenizer).bins
    return Records(words, bins, pretraining, labelled), frame


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("storage")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=12)
    arguments = parser.parse_args()
    records, frame = load_records(arguments.storage)
    print(f"| variant | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for variant in VARIANTS:
        written = write_labs(records, variant.labs)
        rows = []
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                task = train(variant, written, seed, arguments.epochs, Path(folder))
                model = load_model(Path(folder) / RESULT).eval()
            codes = judge_codes(model, task)
            if variant.labs == "token":  # its codes carry their bins
                codes = [np.nan, codes[0], np.nan, np.nan]
            rows.append(codes + judge_embeddings(model, task, written.labelled, frame))
        cells = [with_interval(values) for values in np.array(rows).T]
        print(f"| {variant.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
