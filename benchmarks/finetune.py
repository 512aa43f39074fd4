"""Fine-tuning against baselines, a model from scratch, and the hidden state that drew the labels.

    kedro run --pipelines=cohort,split,preprocess,vocab,pretrain,finetune --params=storage=DIR
    python benchmarks/finetune.py DIR [--quick]

For 32, 128, 512 and all labels: as many samples, half of them positive, are drawn from the train and
from the valid split (all: every sample, as it is), a model is fitted on the former and chosen on the
latter, and the whole test split is predicted; the pre-trained model and the one from scratch choose
between the same settings. With ``--quick`` nothing is fine-tuned: that takes most of the time. Prints, as a Markdown table, AUROCs that are means over draws, with 95 %
intervals by a bootstrap over the persons of the test split.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from transformers import PreTrainedModel

from clm_ler.corridor.samples import to_samples, wide_samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.baselines import baseline_probabilities
from clm_ler.modeling.evaluation.bootstrap import (
    patient_weights,
    percentile_interval,
    unit_weights,
    weighted_auroc,
)
from clm_ler.modeling.evaluation.calibration import probabilities_of
from clm_ler.modeling.evaluation.probes import fit_probe
from clm_ler.modeling.inference import embed, predict_logits
from clm_ler.modeling.model.configuration_clm_ler import pooled_parts
from clm_ler.modeling.training.finetuning import FineTuningData, fine_tune, load_result
from clm_ler.tables.samples import sample_id

ROOT = Path(__file__).parents[1]
SIZES = (32, 128, 512, None)
DRAWS = 3  # of a number of labels; all labels are drawn once
SEED = 42
# Of regressions on frozen embeddings, as in EHRSHOT; the better one on validation counts.
HEADS = {
    "standardised": {"C": [1e-4, 1e-3, 1e-2]},
    "lasso": {"penalty": [0.5, 0.3, 0.2, 0.1, 0.05, 0.02]},
}
SETTINGS = (
    {"probe_first": False, "learning_rate": 1e-3, "num_train_epochs": 10},
    {"probe_first": True, "learning_rate": 3e-4, "num_train_epochs": 4},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("storage", help="what the run above has written")
    parser.add_argument("--quick", action="store_true", help="leave out what is fine-tuned")
    arguments = parser.parse_args()
    storage = arguments.storage
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, runtime_params={"storage": storage}) as session:
        context = session.load_context()
        catalog, options = context.catalog, context.params["finetune"]
    samples, tokenizer = catalog.load("samples"), catalog.load("tokenizer")
    frame, store = wide_samples(samples), TokenStore.from_arrow(catalog.load("labelled_encoded"))
    everyone, split = to_samples(frame, store), frame["split"].to_numpy().astype(str)
    test = np.flatnonzero(split == "test")
    labels, persons = everyone.labels[test], frame["person_id"].to_numpy()[test]
    weights = patient_weights(persons, options.bootstrap_replicates)

    def show(name: str, predict: Callable[[np.ndarray], np.ndarray]) -> None:
        cells = [cell([predict(chosen)[test] for chosen in draws]) for draws in drawn]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    def cell(outputs: list[np.ndarray]) -> str:
        point, replicates = (
            np.mean([weighted_auroc(labels, output[:, 1], used) for output in outputs], axis=0)
            for used in (unit_weights(len(labels)), weights)
        )
        lower, upper = percentile_interval(replicates)
        return f"{point[0]:.3f} ({lower:.3f}-{upper:.3f})"

    pretrained = catalog.load("pretrained_model")
    torch.manual_seed(SEED)
    scratch = type(pretrained)(pretrained.config)
    for own, known in zip(scratch.buffers(), pretrained.buffers(), strict=True):
        own.copy_(known)  # which codes are labs, and which are ages
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    window = options.window(pretrained.config.max_position_embeddings)
    drawn = [
        [
            draw(everyone.labels, split, size, SEED + number)
            for number in range(DRAWS if size else 1)
        ]
        for size in SIZES
    ]

    def tuned(start: PreTrainedModel, settings: Sequence[dict[str, Any]]) -> Callable:
        def predict(chosen: np.ndarray) -> np.ndarray:
            candidates = [train(start, chosen, changes) for changes in settings]
            return probabilities_of(max(candidates, key=itemgetter(0))[1])

        return predict

    def train(start: PreTrainedModel, chosen: np.ndarray, changes: dict[str, Any]) -> tuple:
        """Return the AUROC on validation, and the logits of all samples."""
        fit, choose = (everyone[chosen[split[chosen] == part]] for part in ("train", "valid"))
        data = FineTuningData(store, vocabulary, window, fit, choose, 2, SEED)
        with tempfile.TemporaryDirectory() as directory:
            settings = replace(options.settings({}), **changes)
            result = fine_tune(Path(directory), start, data, settings)
            model = load_result(Path(directory))
        logits = predict_logits(model, store, everyone, vocabulary, window)
        return result["validation_auroc"], logits

    def regressed(chosen: np.ndarray) -> np.ndarray:
        """Return the probabilities by a regression on the frozen embeddings."""
        parts = [
            (vectors[rows], everyone.labels[rows])
            for rows in (chosen[split[chosen] == part] for part in ("train", "valid"))
        ]
        sizes = pooled_parts(pretrained.config)
        found = [fit_probe(h, grid, *parts, None, sizes) for h, grid in HEADS.items()]
        risks = max(found, key=attrgetter("validation_auroc")).predict(vectors)
        return np.column_stack([1 - risks, risks])

    def baselines(chosen: np.ndarray) -> dict[str, np.ndarray]:
        used = np.full(len(split), "unused", dtype="<U6")
        used[chosen] = split[chosen]
        genders = [n for word, n in tokenizer.get_vocab().items() if word.startswith("GENDER:")]
        return baseline_probabilities(
            store,
            vocabulary,
            everyone,
            used,
            sorted(genders),
            2,
            options.time_bins,
        )

    print(
        f"{len(test)} test samples of {len(np.unique(persons))} persons, {labels.sum()} positive\n"
    )
    print("| AUROC on test | " + " | ".join(f"{size or 'all'} labels" for size in SIZES) + " |")
    print("|---" * (1 + len(SIZES)) + "|")
    if not arguments.quick:
        show("pre-trained, fine-tuned", tuned(pretrained, SETTINGS))
        show("from scratch", tuned(scratch, SETTINGS))
        show("pre-trained, frozen", tuned(pretrained, [{"method": "frozen"}]))
        show("untrained, frozen", tuned(scratch, [{"method": "frozen"}]))
    encoder = pretrained.base_model
    vectors = embed(encoder, store, everyone, vocabulary, window)
    show("regression on frozen embeddings", regressed)
    fitted = {chosen.tobytes(): baselines(chosen) for draws in drawn for chosen in draws}
    for name in next(iter(fitted.values())):
        show(name.replace("_", " "), lambda chosen, name=name: fitted[chosen.tobytes()][name])
    truth = truth_of(frame, catalog.load("cohort_truth"))
    show("hidden state", lambda chosen: truth)


def draw(labels: np.ndarray, split: np.ndarray, size: int | None, seed: int) -> np.ndarray:
    """Return the train and valid samples that may be used: all, or ``size`` of each, half positive."""
    rng = np.random.default_rng(seed)
    chosen = []
    for part in ("train", "valid"):
        for label in (0, 1):
            members = np.flatnonzero((split == part) & (labels == label))
            chosen.append(members if size is None else rng.permutation(members)[: size // 2])
    return np.sort(np.concatenate(chosen))


def truth_of(frame, truth) -> np.ndarray:
    """Return the true probabilities of the samples, [n, 2]."""
    table = truth.filter(truth.task == frame.columns[-1])
    known = table.select(sample_id=sample_id(table), risk=table.probability).to_pandas()
    risk = known.set_index("sample_id")["risk"].loc[frame["sample_id"]].to_numpy()
    return np.column_stack([1 - risk, risk])


if __name__ == "__main__":
    main()
