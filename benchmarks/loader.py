"""The data path, measured in one run: raw tables to ids, ids to batches, batches to a model.

    python benchmarks/loader.py --storage DIR [--persons 16000]

Simulates a hospital (about 4 million events with the default), runs `split`, `preprocess` and
`vocab` up to the encoded sequences, then compares our loader with the usual recipe: rows in pandas,
one tokenizer call per event, every batch padded to the longest window. Both make the same windows
(random, 512 tokens) and the same masks (15 %), in one process, in alternation. Every figure is the median
of its rounds.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from timing import PROJECT, timed_run
from torch.utils.data import DataLoader

from clm_ler.corridor.nodes import encode_sequences
from clm_ler.datasets.encoded import EncodedSequencesDataset
from clm_ler.engines import engine
from clm_ler.modeling.data.batches import Batch, plan_batches
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, train_windows
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForMaskedLM
from clm_ler.modeling.objectives.mlm import Mlm, MlmOptions
from clm_ler.modeling.objectives.mlm_metrics import CodeSystems
from clm_ler.modeling.training.loaders import BatchRecipe, train_loader

WINDOW = WindowOptions(override_maxlen=512, max_position_embeddings=1825)
TOKENS_PER_BATCH, ROUNDS, PLANNED_ROWS = 16_384, 3, 40_000_000
# The `tiny` preset of `pretrain`, as conf/base has it.
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY |= {"intermediate_size": 128}
TINY_WINDOW, TINY_TOKENS = WindowOptions(256, 1825), 2048


class UsualDataset:
    """Rows of a pandas frame: cut a window, look every token up, one call after the other."""

    def __init__(self, frame: pd.DataFrame, tokenizer: Any) -> None:
        self.frame, self.tokenizer = frame, tokenizer
        self.bins = {label: i + 1 for i, label in enumerate(tokenizer.init_kwargs["bin_labels"])}

    def __len__(self) -> int:
        return len(self.frame)

    def ids_of(self, codes: list[str]) -> list[int]:
        return [self.tokenizer(code)["input_ids"][0] for code in codes]

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        row = self.frame.iloc[number]
        tokens, days = list(row["sorted_event_tokens"]), list(row["day_position_tokens"])
        baseline = days.count(0)
        room = WINDOW.override_maxlen - 1 - baseline
        first = baseline + np.random.randint(max(len(tokens) - baseline - room, 0) + 1)
        tokens, days = tokens[:baseline] + tokens[first:], days[:baseline] + days[first:]
        tokens, days = tokens[: WINDOW.override_maxlen - 1], days[: WINDOW.override_maxlen - 1]
        start = days[baseline] - 1
        parts = [token.rpartition(":") for token in tokens]
        types = [self.bins.get(label, 0) for _, _, label in parts]
        codes = [
            part[0] if kind else token
            for part, kind, token in zip(parts, types, tokens, strict=True)
        ]
        return {
            "input_ids": [self.tokenizer.cls_token_id, *self.ids_of(codes)],
            "token_type_ids": [0, *types],
            "position_ids": [0, *(day - start if day else 0 for day in days)],
        }


class OneCallDataset(UsualDataset):
    """The same with one tokenizer call per person, which is kinder to the recipe than its users are."""

    def ids_of(self, codes: list[str]) -> list[int]:
        return self.tokenizer(codes, is_split_into_words=True)["input_ids"]


class UsualCollator:
    """Pad to the longest window there can be, and mask."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, rows: list[dict[str, list[int]]]) -> Batch:
        batch = {
            name: torch.tensor([row[name] + [0] * (512 - len(row[name])) for row in rows])
            for name in rows[0]
        }
        ids = batch["input_ids"]
        masked = torch.bernoulli(torch.full(ids.shape, 0.15)).bool() & (ids > 3)
        labels = torch.where(masked, ids, -100)
        hidden = torch.bernoulli(torch.full(ids.shape, 0.8)).bool() & masked
        ids[hidden] = self.tokenizer.mask_token_id
        random = torch.bernoulli(torch.full(ids.shape, 0.5)).bool() & masked & ~hidden
        ids[random] = torch.randint(4, len(self.tokenizer), ids.shape)[random]
        return batch | {"labels": labels, "attention_mask": ids != 0}


def usual_loader(rows: UsualDataset) -> DataLoader[Batch]:
    return DataLoader(
        rows,  # type: ignore[arg-type]
        batch_size=32,
        shuffle=True,
        collate_fn=UsualCollator(rows.tokenizer),
    )


def our_recipe(catalog: DataCatalog, window: WindowOptions, budget: int) -> BatchRecipe:
    tokenizer = catalog.load("tokenizer")
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    objective = Mlm(MlmOptions(), vocabulary, CodeSystems.from_tokens(tokens))
    return BatchRecipe(objective, vocabulary, window, budget, seed=1)


def our_loader(catalog: DataCatalog, window: WindowOptions, budget: int) -> DataLoader[Batch]:
    store = TokenStore.from_arrow(catalog.load("encoded_sequences"), "train")
    return train_loader(our_recipe(catalog, window, budget), store, epochs=1)


def run_pipelines(storage: str, persons: int) -> float:
    """Simulate, then return the seconds from the raw tables to the encoded sequences."""
    parameters = {"storage": storage, "cohort": {"persons": persons}}
    raw = ["patient", "diagnosis", "prescription", "procedure", "lab"]
    timed_run(["cohort"], raw, **parameters)
    return timed_run(["split", "preprocess", "vocab"], ["encoded_sequences"], **parameters)


def rate(batches: Iterable[Batch], seconds: float) -> tuple[float, float]:
    """Return real tokens a second, and the share of padding, over about so many seconds."""
    real = positions = 0
    started = time.perf_counter()
    for batch in batches:
        real += int(batch["attention_mask"].sum())
        positions += batch["input_ids"].numel()
        if time.perf_counter() - started > seconds:
            break
    return real / (time.perf_counter() - started), 1 - real / positions


def endlessly(loader: DataLoader[Batch]) -> Iterator[Batch]:
    while True:
        yield from loader


def measure_encoding(catalog: DataCatalog, storage: str) -> dict[str, float]:
    """Return how fast tokens become ids, read to written: into a new folder each time.

    Where the rows lie already, saving them would find that nothing has changed.
    """
    sequences, tokenizer = catalog.load("sequences"), catalog.load("tokenizer")
    seconds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=storage) as folder:
            fresh = EncodedSequencesDataset(
                filepath=f"{folder}/encoded", connection=engine("duckdb").connection
            )
            started = time.perf_counter()
            fresh.save(encode_sequences(sequences, tokenizer))
            seconds.append(time.perf_counter() - started)
    encoded = catalog.load("encoded_sequences")
    tokens = int(TokenStore.from_arrow(encoded).lengths.sum())
    return {
        "tokens": tokens,
        "bytes_per_token": round(encoded.nbytes / tokens, 2),
        "encode_tokens_per_s": round(tokens / median(seconds)),
    }


def measure_loaders(catalog: DataCatalog, seconds: float) -> dict[str, dict[str, float]]:
    sequences, tokenizer = catalog.load("sequences"), catalog.load("tokenizer")
    frame = sequences.filter(sequences.split == "train").to_pandas()
    recipes = {
        "one call per event": usual_loader(UsualDataset(frame, tokenizer)),
        "one call per person": usual_loader(OneCallDataset(frame, tokenizer)),
        "ours": endlessly(our_loader(catalog, WINDOW, TOKENS_PER_BATCH)),
    }
    rounds = [
        {name: rate(loader, seconds) for name, loader in recipes.items()} for _ in range(ROUNDS)
    ]
    speeds = {name: median(found[name][0] for found in rounds) for name in recipes}
    return {
        name: {
            "tokens_per_s": round(speed),
            "padding": round(median(found[name][1] for found in rounds), 4),
            "ours_is_faster_by": round(speeds["ours"] / speed),
        }
        for name, speed in speeds.items()
    }


def measure_planning(catalog: DataCatalog) -> float:
    """Return the seconds to plan an epoch of 40 million windows."""
    store = TokenStore.from_arrow(catalog.load("encoded_sequences"), "train")
    rng = np.random.default_rng(0)
    lengths = train_windows(store, np.arange(len(store)), WINDOW, rng).lengths
    started = time.perf_counter()
    plan_batches(np.resize(lengths, PLANNED_ROWS), TOKENS_PER_BATCH, rng)
    return round(time.perf_counter() - started, 1)


def measure_training(catalog: DataCatalog, seconds: float) -> dict[str, float]:
    """Return real tokens a second of the tiny model's training step, and of its loader."""
    recipe = our_recipe(catalog, TINY_WINDOW, TINY_TOKENS)
    vocabulary, loss = recipe.vocabulary, recipe.objective.loss
    torch.manual_seed(0)
    config = ClmLerConfig(vocab_size=vocabulary.size, num_lab_bins=vocabulary.bins, **TINY)
    model = ClmLerForMaskedLM(config)
    optimizer = torch.optim.AdamW(model.parameters())
    loader = our_loader(catalog, TINY_WINDOW, TINY_TOKENS)

    def steps() -> Iterator[Batch]:
        for batch in list(loader):
            summed = model(**batch, read_out=loss)
            (summed / batch["targets"]["items"]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            yield batch

    step, feed = rate(steps(), seconds)[0], rate(endlessly(loader), seconds)[0]
    return {
        "step_tokens_per_s": round(step),
        "loader_tokens_per_s": round(feed),
        "loader_over_step": round(feed / step, 1),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--storage", required=True, help="an empty folder")
    arguments.add_argument("--persons", type=int, default=16000)
    arguments.add_argument("--seconds", type=float, default=10, help="of each measurement")
    options = arguments.parse_args()
    bootstrap_project(PROJECT)
    seconds = run_pipelines(options.storage, options.persons)
    with KedroSession.create(PROJECT, runtime_params={"storage": options.storage}) as session:
        catalog = session.load_context().catalog
    raw = ("diagnosis", "prescription", "procedure", "lab")
    results = {
        "raw events": sum(catalog.load(name).count().to_pyarrow().as_py() for name in raw),
        "seconds from raw tables to ids": round(seconds, 1),
        "encoding": measure_encoding(catalog, options.storage),
        "loaders": measure_loaders(catalog, options.seconds),
        "seconds to plan 40 million rows": measure_planning(catalog),
        "tiny model": measure_training(catalog, options.seconds),
    }
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
