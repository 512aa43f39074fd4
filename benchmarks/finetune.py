"""Fine-tuning against baselines, a model from scratch, and the best that can be reached.

    kedro run --pipelines=cohort,split,preprocess,vocab,pretrain,finetune --params=storage=DIR
    python benchmarks/finetune.py DIR

For 32, 128, 512 and all labels: as many samples, half of them positive, are drawn from the train and
from the valid split (all: every sample, as it is), a model is fitted on the former and chosen on the
latter, and the whole test split is predicted. Prints AUROCs with 95 % intervals by a bootstrap over
persons, as a Markdown table.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from clm_ler.modeling.baselines import baseline_probabilities
from clm_ler.modeling.bootstrap import patient_weights
from clm_ler.modeling.calibration import probabilities_of
from clm_ler.modeling.classification import FineTuningData, fine_tune, load_result
from clm_ler.modeling.evaluation import auroc_with_interval
from clm_ler.modeling.inference import predict_logits
from clm_ler.modeling.store import TokenStore
from clm_ler.modeling.vocabulary import Vocabulary
from clm_ler.pipelines.finetune.samples import prediction_days, to_samples, wide_samples
from clm_ler.tables.labels import sample_id

ROOT = Path(__file__).parents[1]
SIZES = (32, 128, 512, None)
SEED = 42


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("storage", help="what the run above has written")
    storage = parser.parse_args().storage
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

    def show(name: str, outputs: list[np.ndarray]) -> None:
        cells = [auroc_with_interval(labels, output[test], weights) for output in outputs]
        text = [f"{c['value']:.3f} ({c['lower']:.3f}-{c['upper']:.3f})" for c in cells]
        print(f"| {name} | {' | '.join(text)} |", flush=True)

    pretrained = catalog.load("pretrained_model")
    torch.manual_seed(SEED)
    scratch = type(pretrained)(pretrained.config)
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    window = options.window(pretrained.config.max_position_embeddings)
    drawn = [draw(everyone.labels, split, size) for size in SIZES]

    def tuned(start, chosen, **changes) -> np.ndarray:
        train, valid = (everyone[chosen[split[chosen] == part]] for part in ("train", "valid"))
        data = FineTuningData(store, vocabulary, window, train, valid, 2, SEED)
        settings = replace(options.settings(options.grid()[0]), **changes)
        with tempfile.TemporaryDirectory() as directory:
            fine_tune(Path(directory), {}, start, data, settings)
            model = load_result(Path(directory))
        logits = predict_logits(model, store, everyone.rows, everyone.ends, vocabulary, window)
        return probabilities_of(logits)

    def baselines(chosen: np.ndarray) -> dict[str, np.ndarray]:
        used = np.full(len(split), "unused", dtype="<U6")
        used[chosen] = split[chosen]
        genders = [n for word, n in tokenizer.get_vocab().items() if word.startswith("GENDER:")]
        days = prediction_days(frame, store, everyone)
        return baseline_probabilities(
            store, vocabulary, everyone, used, days, sorted(genders), 2, SEED, options.time_bins
        )

    print(
        f"{len(test)} test samples of {len(np.unique(persons))} persons, {labels.sum()} positive\n"
    )
    print("| AUROC on test | " + " | ".join(f"{size or 'all'} labels" for size in SIZES) + " |")
    print("|---" * (1 + len(SIZES)) + "|")
    show("pre-trained, fine-tuned", [tuned(pretrained, chosen) for chosen in drawn])
    show("pre-trained, frozen", [tuned(pretrained, chosen, method="frozen") for chosen in drawn])
    from_scratch = {"probe_first": False, "learning_rate": 1e-3, "num_train_epochs": 10}
    show("from scratch", [tuned(scratch, chosen, **from_scratch) for chosen in drawn])
    fitted = [baselines(chosen) for chosen in drawn]
    for name in fitted[0]:
        show(name.replace("_", " "), [outputs[name] for outputs in fitted])
    best = truth_of(frame, catalog.load("cohort_truth"))
    show("best reachable", [best] * len(SIZES))


def draw(labels: np.ndarray, split: np.ndarray, size: int | None) -> np.ndarray:
    """Return the train and valid samples that may be used: all, or ``size`` of each, half positive."""
    rng = np.random.default_rng(SEED)
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
