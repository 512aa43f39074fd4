"""A model with few labels beside its baselines, on any storage where `finetune` has run: as the benchmark does it.

    python benchmarks/few_labels.py --storage DIR [DIR ...] [--shots 8 32 128 -1] [--draws 5]

For each task it draws as many samples with the outcome as without, from the train and from the validation persons
(-1: all there are, once), fits the heads of `ehrshot_eval` on frozen embeddings and on the baselines' features, takes
the best one by validation, and tests on all test samples. Prints the AUROC, the mean over tasks and draws, and what the model and the hybrid
are ahead, with a 95 % interval clustered by person, for each storage; of the mean over storages no interval, as
their test persons may be the same.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from numpy.typing import NDArray
from timing import PROJECT

from clm_ler.corridor.samples import tasks_of, to_samples, wide_samples
from clm_ler.files.arrow import evenly_spaced
from clm_ler.files.progress import Progress
from clm_ler.modeling.data.samples import NO_LABEL
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.baselines import best_of, counts_and_age
from clm_ler.modeling.evaluation.combining import Scores, candidate_scores, choose_combination
from clm_ler.modeling.evaluation.counts import age_column, count_features
from clm_ler.modeling.evaluation.differences import AurocEstimate, mean_of
from clm_ler.modeling.evaluation.probes import Matrix, fit_probe
from clm_ler.modeling.evaluation.windowed import windowed_tokens
from clm_ler.modeling.inference import embed
from clm_ler.modeling.loading import encoder_of
from clm_ler.modeling.model.configuration_clm_ler import pooled_parts
from clm_ler.pipelines.ehrshot_eval.cells import UNLABELLED_ROWS
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions
from clm_ler.tokens import system_of

MODEL, WINDOWED, BOTH, HYBRID = "clm_ler", "windowed", "clm_ler_windowed", "hybrid"
BASELINES = ("count", WINDOWED, "demographics")
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Asked:
    """What is asked of whom, and what each kind of features knows of them.

    Attributes:
        tasks: The names.
        labels: 0, 1 or ``NO_LABEL``, ``[samples, tasks]``.
        splits: The split of each sample.
        persons: The person of each, a number below their count.
        features: A matrix with a row for each sample, by kind.
        parts: The lengths of what the embedding is joined from.
        options: The heads of each kind, as the benchmark has them.
    """

    tasks: list[str]
    labels: NDArray[np.integer]
    splits: NDArray[np.str_]
    persons: NDArray[np.integer]
    features: Mapping[str, Matrix]
    parts: list[int]
    options: EhrshotOptions

    def known(self, task: int, split: str) -> Rows:
        """Return the samples of a split that have a label."""
        return np.flatnonzero((self.splits == split) & (self.labels[:, task] != NO_LABEL))


def read(storage: Path) -> Asked:
    """Return the samples of a storage with all their features."""
    given = {"storage": str(storage)}
    with KedroSession.create(PROJECT, runtime_params=given) as session:
        context = session.load_context()
        names = ("samples", "labelled_encoded", "tokenizer", "pretrained_model")
        table, encoded, tokenizer, model = (context.catalog.load(name) for name in names)
        frame, store = wide_samples(table), TokenStore.from_arrow(encoded)
        options = context.params["ehrshot_eval"]
    samples = to_samples(frame, store)
    vocabulary = Vocabulary.from_tokenizer(tokenizer, model.config)
    window = options.window(model.config.max_position_embeddings)
    encoder = encoder_of(model, "query+labs")
    counts = counts_and_age(store, vocabulary, samples, options.lookbacks, 0)
    words = tokenizer.get_vocab()
    genders = sorted(number for word, number in words.items() if system_of(word) == "GENDER")
    gender = count_features(store, samples, vocabulary.size)[:, genders].toarray()
    embedded = embed(encoder, store, samples, vocabulary, window)
    windowed = windowed_tokens(store, vocabulary, samples)
    return Asked(
        tasks=tasks_of(frame),
        labels=samples.labels.reshape(len(frame), -1),
        splits=frame["split"].to_numpy().astype(str),
        persons=frame["person_id"].rank(method="dense").to_numpy(np.int64) - 1,
        features={
            MODEL: embedded,
            WINDOWED: windowed,
            "count": counts,
            "demographics": np.hstack([gender, age_column(store, samples)]).astype(np.float32),
            BOTH: sp.hstack([sp.csr_matrix(embedded), windowed], format="csr", dtype=np.float32),
        },
        parts=pooled_parts(encoder.config),
        options=options,
    )


def draw(asked: Asked, task: int, split: str, k: int, rng: np.random.Generator) -> Rows:
    """Return the places of ``k`` samples with the outcome and ``k`` without, fewer where there are not so many.

    With ``k`` of -1, all places.
    """
    known = asked.known(task, split)
    if k < 0:
        return known
    labels = asked.labels[known, task]
    drawn = [rng.permutation(known[labels == label])[:k] for label in (0, 1)]
    return np.sort(np.concatenate(drawn))


def scores(asked: Asked, task: int, train: Rows, valid: Rows, test: Rows) -> dict[str, Any]:
    """Return what each model says of the test samples."""
    labels = asked.labels[:, task].astype(np.int8)
    some = {
        split: (rows := asked.known(task, split))[evenly_spaced(len(rows), UNLABELLED_ROWS)]
        for split in ("train", "valid")
    }
    heads = asked.options.heads
    said: dict[str, dict[str, Any]] = {}
    for kind, features in asked.features.items():
        probe = best_of(
            [
                fit_probe(
                    heads[head].estimator,  # type: ignore[arg-type]
                    heads[head].grid,
                    (features[train], labels[train]),
                    (features[valid], labels[valid]),
                    features[some["train"]],
                    asked.parts if kind == MODEL else (),
                )
                for head in asked.options.models[kind]  # type: ignore[index]
            ]
        )
        places = {"valid": valid, "test": test, "some": some["valid"]}
        said[kind] = {name: probe.predict(features[rows]) for name, rows in places.items()}
    together = {
        name: candidate_scores(
            *(Scores(said[kind][name], np.sort(said[kind]["some"])) for kind in (MODEL, WINDOWED)),
            said[BOTH][name],
        )
        for name in ("valid", "test")
    }
    chosen, _aurocs = choose_combination(labels[valid], together["valid"])
    found = {kind: parts["test"] for kind, parts in said.items() if kind != BOTH}
    return found | {HYBRID: together["test"][chosen]}


def estimates(
    asked: Asked, shots: list[int], draws: int
) -> Iterator[tuple[int, str, AurocEstimate]]:
    """Yield for each number of labels each model's AUROC, the mean over tasks and draws."""
    tasks = [n for n in range(len(asked.tasks)) if len(np.unique(_test_labels(asked, n))) > 1]
    draws_of = {k: draws if k > 0 else 1 for k in shots}
    progress = Progress("few labels", sum(draws_of.values()) * len(tasks), "draws")
    for k in shots:
        found: dict[str, list[AurocEstimate]] = {}
        for task in tasks:
            test = asked.known(task, "test")
            for number in range(draws_of[k]):
                rng = np.random.default_rng([abs(k), task, number])
                train, valid = (draw(asked, task, split, k, rng) for split in ("train", "valid"))
                for model, values in scores(asked, task, train, valid, test).items():
                    found.setdefault(model, []).append(
                        AurocEstimate.of_auroc(
                            asked.labels[test, task],
                            values,
                            asked.persons[test],
                            int(asked.persons.max()) + 1,
                        )
                    )
                progress.step()
        yield from ((k, model, mean_of(of)) for model, of in found.items())


def _test_labels(asked: Asked, task: int) -> NDArray[np.integer]:
    return asked.labels[asked.known(task, "test"), task]


def rows_of(storage: Path, shots: list[int], draws: int) -> list[dict[str, Any]]:
    """Return the AUROCs of a storage and the differences."""
    found = {(k, model): of for k, model, of in estimates(read(storage), shots, draws)}
    rows = [
        {
            "what": model,
            "storage": storage.name,
            "k": k,
            "value": of.value,
            "text": f"{of.value:.3f}",
        }
        for (k, model), of in found.items()
    ]
    for ours in (MODEL, HYBRID):
        for other in BASELINES:
            for k in shots:
                ahead = found[k, ours] - found[k, other]
                low, high = ahead.interval
                text = f"{ahead.value:+.3f} ({low:+.3f} to {high:+.3f})"
                what = f"{ours} - {other}"
                rows.append(
                    {
                        "what": what,
                        "storage": storage.name,
                        "k": k,
                        "value": ahead.value,
                        "text": text,
                    }
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--storage", type=lambda p: Path(p).resolve(), nargs="+", required=True)
    parser.add_argument("--shots", type=int, nargs="+", default=[8, 32, 128, -1])
    parser.add_argument("--draws", type=int, default=5)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    rows = []
    for storage in arguments.storage:
        rows += rows_of(storage, arguments.shots, arguments.draws)
    frame = pd.DataFrame(rows)
    print("| | storage | " + " | ".join(map(str, arguments.shots)) + " |")
    print("|---" * (2 + len(arguments.shots)) + "|")
    for what, part in frame.groupby("what", sort=False):
        for storage, of in part.groupby("storage", sort=False):
            print(f"| {what} | {storage} | " + " | ".join(of["text"]) + " |")
        means = part.groupby("k", sort=False)["value"].mean()
        print(f"| {what} | mean | " + " | ".join(f"{value:.3f}" for value in means) + " |")


if __name__ == "__main__":
    main()
