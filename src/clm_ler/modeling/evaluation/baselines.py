"""Simple models on the same samples and splits: what a fine-tuned model has to beat."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from clm_ler.files.parallel import do_side_by_side
from clm_ler.files.progress import Progress
from clm_ler.modeling.data.samples import NO_LABEL, Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.counts import age_column, count_features
from clm_ler.modeling.evaluation.probes import Estimator, Grid, Labels, Matrix, Probe, fit_probe
from clm_ler.modeling.evaluation.windowed import windowed_tokens

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

GRIDS: dict[Estimator, Grid] = {
    "gbm": {"num_leaves": [4, 15], "learning_rate": [0.03, 0.1]},
    "logistic": {"C": [1e-3, 1e-2, 1e-1, 1.0]},
    "standardised": {"C": [1e-4, 1e-3, 1e-2, 1e-1]},
}


def baseline_probabilities(
    store: TokenStore,
    vocabulary: Vocabulary,
    samples: Samples,
    splits: NDArray[np.str_],
    gender_ids: Sequence[int],
    num_labels: int,
    time_bins: Sequence[int] = (30, 365),
) -> dict[str, Floats]:
    """Return probabilities ``[n, classes or tasks]`` of each baseline for all samples.

    ``count`` sees how often each code occurred by period before the prediction, and the age, ``count_bins``
    the same by lab bin; ``windowed`` sees its summaries over windows of time (see :mod:`.windowed`),
    ``demographics`` age and gender only. Each is the better of boosting and regression, fitted on the train
    samples and chosen on the valid ones.

    Args:
        store: The encoded persons.
        vocabulary: What they were encoded with.
        samples: All samples, of every split.
        splits: The split of each.
        gender_ids: Token ids of the genders.
        num_labels: Classes, or tasks.
        time_bins: The periods, see ``count_features``.
    """
    counts, by_bin = (
        counts_and_age(store, vocabulary, samples, time_bins, lab_bins)
        for lab_bins in (0, vocabulary.bins)
    )
    gender = count_features(store, samples, vocabulary.size)[:, list(gender_ids)]
    age = age_column(store, samples)
    demographics = np.hstack([gender.toarray(), age]).astype(np.float32)
    windowed = windowed_tokens(store, vocabulary, samples)
    models: Mapping[str, tuple[tuple[Estimator, ...], Matrix]] = {
        "count": (("gbm", "logistic"), counts),
        "count_bins": (("gbm", "logistic"), by_bin),
        "windowed": (("gbm", "standardised"), windowed),
        "demographics": (("gbm", "logistic"), demographics),
    }
    targets = outcomes(samples.labels, num_labels)
    fits = {
        (name, number, estimator): partial(_fit, estimator, features, target, splits)
        for name, (estimators, features) in models.items()
        for number, target in enumerate(targets)
        for estimator in estimators
    }
    done = do_side_by_side(list(fits.values()), Progress("baselines", len(fits), "fits"))
    probes = dict(zip(fits, done, strict=True))
    best = {
        (name, number): best_of([probes[name, number, estimator] for estimator in estimators])
        for name, (estimators, _features) in models.items()
        for number in range(len(targets))
    }
    return {
        name: combine(
            [best[name, number].predict(features) for number in range(len(targets))],
            samples.labels.ndim == 2,
            num_labels,
        )
        for name, (_estimators, features) in models.items()
    }


def counts_and_age(
    store: TokenStore,
    vocabulary: Vocabulary,
    samples: Samples,
    time_bins: Sequence[int],
    lab_bins: int,
) -> sp.csr_matrix:
    """Return the counts by lab bin and period, see ``count_features``, and the age as last column."""
    counts = count_features(store, samples, vocabulary.size, lab_bins=lab_bins, time_bins=time_bins)
    age = sp.csr_matrix(age_column(store, samples))
    return sp.hstack([counts, age], format="csr", dtype=np.float32)


def outcomes(labels: Integers, num_labels: int) -> list[Integers]:
    """Return the labels of each binary outcome: each task, or each class against the rest.

    Of two classes, the second one is enough.
    """
    if labels.ndim == 2:
        return list(labels.T)
    return [labels == number for number in range(1 if num_labels == 2 else 0, num_labels)]


def combine(columns: Sequence[Floats], multi_label: bool, num_labels: int) -> Floats:
    """Return the probabilities of all tasks or classes from those of :func:`outcomes`."""
    scores = np.column_stack(columns)
    if multi_label:
        return scores
    if num_labels == 2:
        return np.hstack([1 - scores, scores])
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def fit_best(
    estimators: Sequence[Estimator],
    train: tuple[Matrix, Labels],
    valid: tuple[Matrix, Labels],
) -> Probe:
    """Return the classifier with the best AUROC on validation, the first one where several are."""
    return best_of([fit_probe(name, GRIDS[name], train, valid) for name in estimators])


def best_of(probes: Sequence[Probe]) -> Probe:
    """Return the classifier with the best AUROC on validation, the first one where several are."""
    return max(probes, key=lambda probe: np.nan_to_num(probe.validation_auroc, nan=-1.0))


def _fit(
    estimator: Estimator,
    features: Matrix,
    target: Integers,
    splits: NDArray[np.str_],
) -> Probe:
    """Return the classifier of one task, or of one class against the rest."""
    parts = [np.flatnonzero((splits == p) & (target != NO_LABEL)) for p in ("train", "valid")]
    train, valid = ((features[rows], target[rows].astype(np.int8)) for rows in parts)
    return fit_probe(estimator, GRIDS[estimator], train, valid)
