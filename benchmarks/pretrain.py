"""A full training step against the stock recipe, in one run.

    python benchmarks/pretrain.py                                    # CPU: vocabulary 5 and 50 thousand
    python benchmarks/pretrain.py --bf16                             # on a CPU with AMX
    python benchmarks/pretrain.py --hidden-size 768 --layers 12 --vocabularies 160000 \
        --positions 65536 --steps 50 --stock-steps 10                # on a GPU

Stock: ``BertForMaskedLM`` of the same width and depth, batches padded to 512, logits at every
position, Trainer. Ours: ``PretrainingTrainer`` as the pipeline runs it. Both train on the same
random records (lengths log-normal, mean about 184 tokens, at most 511) with as many positions a
step, in alternation. The figure is tokens that are not padding per second, the first step left out.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import BertConfig, BertForMaskedLM, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from clm_ler.files.atomic import replace_folder
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.loading import build_model
from clm_ler.modeling.objectives.mlm import Mlm, MlmOptions
from clm_ler.modeling.objectives.mlm_metrics import CodeSystems
from clm_ler.modeling.training.checkpoints import INITIAL
from clm_ler.modeling.training.flops import encoder_flops_per_token, model_flops_utilisation
from clm_ler.modeling.training.loaders import BatchRecipe
from clm_ler.modeling.training.options import TrainingOptions
from clm_ler.modeling.training.pretraining import (
    DelayedEarlyStopping,
    PretrainingTask,
    build_trainer,
    training_arguments,
)
from clm_ler.modeling.training.speed import ProgressLine, Speed
from clm_ler.tokens import SPECIAL_TOKENS

BINS, LONGEST, PERSONS = 10, 511, 4000
TOKENS_PER_PERSON = 184


def random_records(vocabulary_size: int, seed: int = 0) -> pa.Table:
    """Return ``encoded_sequences`` without any meaning: 30 % labs, codes at random."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(135), 0.8, PERSONS), 5, LONGEST).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    size = int(offsets[-1])
    ids = rng.integers(len(SPECIAL_TOKENS), vocabulary_size, size, dtype=np.int32)
    bins = (rng.integers(1, BINS, size, endpoint=True) * (rng.random(size) < 0.3)).astype(np.uint8)
    days = np.concatenate([np.sort(rng.integers(1, 1500, n)) for n in lengths]).astype(np.uint16)
    columns = {"input_ids": ids, "token_type_ids": bins, "position_ids": days}
    lists = {n: pa.ListArray.from_arrays(offsets, pa.array(v)) for n, v in columns.items()}
    splits = np.where(np.arange(PERSONS) < PERSONS - 16, "train", "valid")
    return pa.table(
        {
            "person_id": np.arange(PERSONS),
            "split": splits,
            "birth_to_start": pa.nulls(PERSONS, pa.int32()),
            **lists,
        }
    )


class AfterFirstStep(TrainerCallback):
    """Starts the count anew after the first step, which warms up."""

    def __init__(self, speed: Speed) -> None:
        self._speed = speed

    def on_step_end(self, args: Any, state: Any, control: Any, **_: object) -> None:
        if self._speed.steps == 1:
            self._speed.stop()
            self._speed.__init__()  # type: ignore[misc]
            self._speed.start()
            self._speed.steps = 1


class StockTrainer(Trainer):
    """Trainer as it is, with a count of the tokens that are not padding."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.speed = Speed()
        self.remove_callback(PrinterCallback)
        self.add_callback(ProgressLine(self.speed))

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *rest: Any) -> Tensor:
        self.speed.add(inputs["attention_mask"].sum())
        return super().training_step(model, inputs, *rest)


class PaddedRows(Dataset[dict[str, Tensor]]):
    """Rows padded to 512, masked, with labels everywhere: what a stock collator makes."""

    def __init__(self, table: pa.Table, vocabulary_size: int) -> None:
        self.table = table
        self.mask = SPECIAL_TOKENS.index("[MASK]")

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = torch.Generator().manual_seed(number)
        row = {
            n: self.table[n][number].values.to_numpy()
            for n in ("input_ids", "token_type_ids", "position_ids")
        }
        padded = {n: torch.zeros(LONGEST + 1, dtype=torch.long) for n in (*row, "attention_mask")}
        for name, values in row.items():
            padded[name][: len(values)] = torch.from_numpy(values.astype(np.int64))
        padded["attention_mask"][: len(row["input_ids"])] = 1
        masked = (torch.rand(LONGEST + 1, generator=rng) < 0.15) & padded["attention_mask"].bool()
        labels = torch.where(masked, padded["input_ids"], -100)
        padded["input_ids"][masked] = self.mask
        return padded | {"labels": labels}


def measure(trainer: Any) -> dict[str, float]:
    """Train, and return real tokens per second and the peak memory of the GPU."""
    trainer.add_callback(AfterFirstStep(trainer.speed))
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    speed = trainer.speed
    result = {"tokens_per_second": speed.tokens / speed.seconds}
    if torch.cuda.is_available():
        result["peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return result


def ours(table: pa.Table, vocabulary_size: int, arguments: argparse.Namespace, folder: Path) -> Any:
    """Return our trainer, as the pipeline would run it."""
    words = [*SPECIAL_TOKENS, *(f"C:{i}" for i in range(vocabulary_size - len(SPECIAL_TOKENS)))]
    sizes = {
        "hidden_size": arguments.hidden_size,
        "num_hidden_layers": arguments.layers,
        "num_attention_heads": arguments.hidden_size // 64,
        "hidden_dropout_prob": 0.0,  # as in the presets
    }
    model = build_model("clm_ler", vocabulary_size, BINS, sizes)
    replace_folder(folder / INITIAL, model.save_pretrained)
    cuda = torch.cuda.is_available()
    vocabulary = Vocabulary.from_tokens({word: i for i, word in enumerate(words)}, BINS)
    options = TrainingOptions(
        tokens_per_batch=arguments.positions,
        eval_persons=1,
        dataloader_num_workers=2 if cuda else 0,
        max_steps=arguments.steps,
        eval_steps=arguments.steps,
        logging_steps=arguments.steps,
        torch_compile=arguments.compile,
        bf16=arguments.bf16 or None,
        save_total_limit=1,
        early_stopping_patience=1,
    )
    recipe = BatchRecipe(
        objective=Mlm(MlmOptions(), vocabulary, CodeSystems.from_tokens(words)),
        vocabulary=vocabulary,
        window=WindowOptions(LONGEST + 1, 1825),
        tokens_per_batch=options.tokens_per_batch,
        seed=42,
        workers=options.dataloader_num_workers,
    )
    task = PretrainingTask(folder, table, recipe, options)
    trainer = build_trainer(task, training_arguments(task))
    # Speed is asked for here, not a model.
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    trainer.args.load_best_model_at_end = False
    trainer.remove_callback(DelayedEarlyStopping)
    return trainer


def stock(
    table: pa.Table, vocabulary_size: int, arguments: argparse.Namespace, folder: Path
) -> Any:
    """Return the stock recipe."""
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=arguments.hidden_size,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.hidden_size // 64,
        intermediate_size=4 * arguments.hidden_size,
        max_position_embeddings=1825,
        type_vocab_size=BINS + 2,
    )
    cuda = torch.cuda.is_available()
    training = TrainingArguments(
        str(folder),
        max_steps=arguments.stock_steps,
        per_device_train_batch_size=arguments.positions // (LONGEST + 1),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        fp16=cuda,
        use_cpu=not cuda,
    )
    return StockTrainer(
        model=BertForMaskedLM(config),
        args=training,
        train_dataset=PaddedRows(table, vocabulary_size),
    )


def hours_per_epoch(tokens_per_second: float) -> dict[str, float]:
    """Return hours per epoch for millions of persons, at the mean length of the random records."""
    return {
        f"{millions} million persons": millions * 1e6 * TOKENS_PER_PERSON / tokens_per_second / 3600
        for millions in (1, 10, 40)
    }


def compare(vocabulary_size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the speeds of both recipes, each the median of its rounds, and their ratio."""
    table = random_records(vocabulary_size)
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "stock": []}
    for _ in range(arguments.rounds):
        for name, make in (("stock", stock), ("ours", ours)):
            with tempfile.TemporaryDirectory() as folder:
                trainer = make(table, vocabulary_size, arguments, Path(folder))
                runs[name].append(measure(trainer))
    rates = {name: [run["tokens_per_second"] for run in of] for name, of in runs.items()}
    speed = float(np.median(rates["ours"]))
    config, objective = trainer.model.config, trainer._objective
    lengths = np.diff(table["input_ids"].chunk(0).offsets.to_numpy()) + 1
    flops = encoder_flops_per_token(config, lengths) + objective.head_flops(config)
    return {
        "vocabulary": vocabulary_size,
        "runs": runs,
        "ratio": speed / float(np.median(rates["stock"])),
        "model_flops_utilisation": model_flops_utilisation(speed, flops),
        "hours_per_epoch": hours_per_epoch(speed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[5_000, 50_000])
    parser.add_argument("--positions", type=int, default=2048, help="of a step, padding included")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--stock-steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="ours in half precision, on a CPU too")
    arguments = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for vocabulary_size in arguments.vocabularies:
        print(json.dumps(compare(vocabulary_size, arguments), indent=2))


if __name__ == "__main__":
    main()
