"""A fine-tuned model and windowed features together: fitted, saved without pickle, and applied."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import lightgbm as lgb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from transformers import PreTrainedModel

from clm_ler.modeling.data.samples import NO_LABEL, Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.baselines import combine, fit_best, outcomes
from clm_ler.modeling.evaluation.combining import (
    BOTH,
    MODEL,
    RANKS,
    WINDOWED,
    Scores,
    candidate_scores,
    choose_combination,
)
from clm_ler.modeling.evaluation.probes import Linear, Trees
from clm_ler.modeling.evaluation.windowed import VERSION, windowed_tokens
from clm_ler.modeling.inference import embed, predict_proba, trained_window
from clm_ler.modeling.training.checkpoints import weights_digest

Integers = NDArray[np.integer]
Floats = NDArray[np.float64]

DESCRIPTION, ARRAYS = "hybrid.json", "hybrid.safetensors"
_SMALLEST = 1e-6  # probability


@dataclass(frozen=True)
class HybridInputs:
    """What a hybrid sees of samples.

    Attributes:
        probabilities: The model's, of each output, ``[n, outputs]``.
        embeddings: Of the model, ``[n, hidden]``.
        windowed: The summaries, ``[n, features]``.
    """

    probabilities: Floats
    embeddings: NDArray[np.float32]
    windowed: sp.csr_matrix

    @property
    def both(self) -> sp.csr_matrix:
        """Embeddings and summaries side by side."""
        parts: list[Any] = [sp.csr_matrix(self.embeddings), self.windowed]
        return sp.hstack(parts, format="csr", dtype=np.float32)


@dataclass(frozen=True)
class Output:
    """How one outcome is predicted: a task, or a class against the rest.

    Attributes:
        chosen: The best on validation, one of ``CANDIDATES``.
        validation_auroc: That of each of them.
        classifiers: Those that ``chosen`` needs, by what they see.
        unlabelled: For the mean of ranks, validation scores of each, ascending.
        scale: Slope and intercept that recalibrate the logit of the score.
    """

    chosen: str
    validation_auroc: Mapping[str, float]
    classifiers: Mapping[str, Linear | Trees]
    unlabelled: Mapping[str, Floats]
    scale: tuple[float, float] = (1.0, 0.0)

    def predict(self, model: Floats, inputs: HybridInputs) -> Floats:
        """Return the probability of the outcome."""
        slope, intercept = self.scale
        score = self.score(model, inputs).clip(_SMALLEST, 1 - _SMALLEST)
        probability: Floats = expit(slope * logit(score) + intercept)
        return probability

    def score(self, model: Floats, inputs: HybridInputs) -> Floats:
        """Return what is chosen, before it is scaled."""
        if self.chosen == MODEL:
            return model
        if self.chosen == BOTH:
            return self.classifiers[BOTH](inputs.both)
        windowed = self.classifiers[WINDOWED](inputs.windowed)
        if self.chosen == WINDOWED:
            return windowed
        ranks = [
            Scores(of, self.unlabelled[name]).ranks
            for name, of in ((MODEL, model), (WINDOWED, windowed))
        ]
        return np.asarray(ranks).mean(axis=0)


@dataclass(frozen=True)
class Hybrid:
    """What goes with a fine-tuned model. Without outputs: none was wanted.

    Attributes:
        outputs: One for each column of the model's probabilities.
        model: The digest of the model's weights.
        num_labels: Classes, or tasks.
        multi_label: Whether each output is a task of its own.
        features: Columns of the summaries.
        hidden: Width of the embeddings.
    """

    outputs: tuple[Output, ...] = ()
    model: str = ""
    num_labels: int = 0
    multi_label: bool = False
    features: int = 0
    hidden: int = 0

    def check(self, model: PreTrainedModel) -> None:
        """Refuse a model that the hybrid was not fitted on."""
        if self.model != weights_digest(model):
            raise ValueError(
                "hybrid_head goes with another finetuned_model: take both from one training."
            )

    def predict(self, inputs: HybridInputs) -> Floats:
        """Return the probabilities of the classes, or of the tasks, ``[n, num_labels]``.

        Raises:
            ValueError: If the inputs are of another vocabulary or model.
        """
        found = (inputs.windowed.shape[1], inputs.embeddings.shape[1])
        if found != (self.features, self.hidden):
            raise ValueError(
                f"hybrid_head was fitted on {self.features} summaries and embeddings of width "
                f"{self.hidden}, not on {found[0]} and {found[1]}: take model, tokenizer and head "
                "of one training."
            )
        columns = [
            output.predict(inputs.probabilities[:, number], inputs)
            for number, output in enumerate(self.outputs)
        ]
        return combine(columns, self.multi_label, self.num_labels)

    def save_pretrained(self, directory: str | Path) -> None:
        """Write JSON, safetensors and the text of LightGBM's trees into a folder."""
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        outputs = [
            {
                "chosen": output.chosen,
                "validation_auroc": dict(output.validation_auroc),
                "scale": list(output.scale),
                "classifiers": {n: type(c).__name__ for n, c in output.classifiers.items()},
            }
            for output in self.outputs
        ]
        described = {"version": VERSION, "outputs": outputs}
        described |= {name: getattr(self, name) for name in _SIZES}
        arrays: dict[str, NDArray[Any]] = {}
        for number, output in enumerate(self.outputs):
            for name, classifier in output.classifiers.items():
                arrays |= _arrays_of(classifier, f"{number}.{name}")
                if isinstance(classifier, Trees):
                    text = classifier.model.model_to_string()
                    (folder / f"{number}.{name}.txt").write_text(text, encoding="utf-8")
            arrays |= {f"{number}.{n}.ranks": v for n, v in output.unlabelled.items()}
        save_file(arrays, folder / ARRAYS)
        (folder / DESCRIPTION).write_text(json.dumps(described, indent=2), encoding="utf-8")

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> Self:
        """Return the hybrid of a folder that :meth:`save_pretrained` wrote.

        Raises:
            ValueError: If it is of another version, or its parts do not fit together.
        """
        folder = Path(directory)
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if described["version"] != VERSION:
            raise ValueError(
                f"hybrid_head has features of version {described['version']}, this is version "
                f"{VERSION}: run finetune again."
            )
        arrays = load_file(folder / ARRAYS)
        sizes = {name: described[name] for name in _SIZES}
        widths = {WINDOWED: sizes["features"], BOTH: sizes["features"] + sizes["hidden"]}
        outputs = tuple(
            Output(
                chosen=parts["chosen"],
                validation_auroc=parts["validation_auroc"],
                classifiers={
                    name: _read(folder, arrays, f"{number}.{name}", kind, widths[name])
                    for name, kind in parts["classifiers"].items()
                },
                unlabelled={
                    name: arrays[key]
                    for name in (MODEL, WINDOWED)
                    if (key := f"{number}.{name}.ranks") in arrays
                },
                scale=tuple(parts["scale"]),
            )
            for number, parts in enumerate(described["outputs"])
        )
        return cls(outputs=outputs, **sizes)


_SIZES = ("model", "num_labels", "multi_label", "features", "hidden")


def _arrays_of(classifier: Linear | Trees, name: str) -> dict[str, NDArray[Any]]:
    """Return what is saved of a classifier beside the text of its trees."""
    if isinstance(classifier, Trees):
        return {f"{name}.used": classifier.used}
    return {f"{name}.weights": classifier.weights, f"{name}.bias": np.array([classifier.bias])}


def _read(
    folder: Path, arrays: Mapping[str, NDArray[Any]], name: str, kind: str, width: int
) -> Linear | Trees:
    """Return a classifier for ``width`` features; the folder may come from anywhere."""
    if kind == Linear.__name__:
        linear = Linear(arrays[f"{name}.weights"], float(arrays[f"{name}.bias"][0]))
        fits = linear.weights.shape == (width,)
    else:
        trees = Trees(lgb.Booster(model_file=str(folder / f"{name}.txt")), arrays[f"{name}.used"])
        used = trees.used
        fits = trees.model.num_feature() == len(used) and bool(((used >= 0) & (used < width)).all())
    if not fits:
        raise ValueError(f"hybrid_head: the classifier {name} does not fit {width} features.")
    return linear if kind == Linear.__name__ else trees


def hybrid_inputs(
    model: PreTrainedModel,
    store: TokenStore,
    samples: Samples,
    vocabulary: Vocabulary,
) -> HybridInputs:
    """Return what a hybrid of a fine-tuned classifier sees of samples of a store."""
    window = trained_window(model)
    probabilities = predict_proba(model, store, samples, vocabulary, window)
    encoder: Any = model.base_model
    return HybridInputs(
        probabilities=probabilities[:, _columns(model)],
        embeddings=embed(encoder, store, samples, vocabulary, window),
        windowed=windowed_tokens(store, vocabulary, samples),
    )


def _columns(model: PreTrainedModel) -> list[int]:
    """Return the outcomes: of two classes one is enough."""
    number = cast(int, model.config.num_labels)
    return [1] if number == 2 and not _multi_label(model) else list(range(number))


def _multi_label(model: PreTrainedModel) -> bool:
    return bool(model.config.problem_type == "multi_label_classification")


def fit_hybrid(
    model: PreTrainedModel, inputs: HybridInputs, labels: Integers, splits: NDArray[np.str_]
) -> Hybrid:
    """Return the best of model, windowed features and both, by validation, for each outcome.

    Args:
        model: The fine-tuned classifier.
        inputs: Of all samples, from :func:`hybrid_inputs`.
        labels: Class numbers; with several tasks 0, 1 or ``NO_LABEL``, ``[n, tasks]``.
        splits: The split of each sample; fitted is on ``train``, chosen on ``valid``.
    """
    number = cast(int, model.config.num_labels)
    both = inputs.both
    outputs = []
    for column, target in enumerate(outcomes(labels, number)):
        parts = [np.flatnonzero((splits == p) & (target != NO_LABEL)) for p in ("train", "valid")]
        outputs.append(_fit_output(inputs, both, column, target.astype(np.int8), parts))
    return Hybrid(
        outputs=tuple(outputs),
        model=weights_digest(model) or "",
        num_labels=number,
        multi_label=_multi_label(model),
        features=inputs.windowed.shape[1],
        hidden=inputs.embeddings.shape[1],
    )


def _fit_output(
    inputs: HybridInputs,
    both: sp.csr_matrix,
    column: int,
    target: NDArray[np.int8],
    parts: Sequence[Integers],
) -> Output:
    """Return how one outcome is best predicted."""
    valid = parts[1]
    alone, beside = ([(of[part], target[part]) for part in parts] for of in (inputs.windowed, both))
    windowed = fit_best(("gbm", "standardised"), *alone).predict
    together = fit_best(("gbm",), *beside).predict
    scores = {
        MODEL: Scores.among_themselves(inputs.probabilities[valid, column]),
        WINDOWED: Scores.among_themselves(windowed(inputs.windowed[valid])),
    }
    candidates = candidate_scores(scores[MODEL], scores[WINDOWED], together(both[valid]))
    chosen, aurocs = choose_combination(target[valid], candidates)
    classifiers: dict[str, Any] = {WINDOWED: windowed, BOTH: together}
    needed = {MODEL: (), WINDOWED: (WINDOWED,), RANKS: (WINDOWED,), BOTH: (BOTH,)}[chosen]
    output = Output(
        chosen=chosen,
        validation_auroc=aurocs,
        classifiers={name: classifiers[name] for name in needed},
        unlabelled={n: s.unlabelled for n, s in scores.items()} if chosen == RANKS else {},
    )
    if chosen == MODEL:  # calibrated already
        return output
    return replace(output, scale=_calibrate(candidates[chosen], target[valid]))


def _calibrate(scores: Floats, labels: NDArray[np.int8]) -> tuple[float, float]:
    """Return slope and intercept of the logit that fit the labels best (Platt 1999); never a falling one."""
    known = logit(scores.clip(_SMALLEST, 1 - _SMALLEST))[:, None]
    if len(np.unique(labels)) < 2:
        return 1.0, 0.0
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(known, labels)
    slope = float(fitted.coef_[0, 0])
    return (slope, float(fitted.intercept_[0])) if slope > 0 else (1.0, 0.0)
