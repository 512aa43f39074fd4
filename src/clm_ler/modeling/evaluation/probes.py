"""The benchmark's classifiers on fixed features: chosen on validation rows, fitted on training rows.

As the official EHRSHOT evaluation does it (``7_eval_finetune.py``): every setting of the grid is
fitted on the training rows; the first one with the best AUROC on the validation rows stays; it has
seen training rows only.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import lightgbm as lgb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import ParameterGrid
from sklearn.preprocessing import MaxAbsScaler

Matrix: TypeAlias = NDArray[np.float32] | sp.csr_matrix
Labels = NDArray[np.int8]
Predict = Callable[[Matrix], NDArray[np.float64]]
Candidate = tuple[dict[str, Any], Predict]
Estimator = Literal["logistic", "standardised", "lasso", "gbm", "forest"]
Grid = Mapping[str, Sequence[Any]]
Scales = Callable[[], tuple[NDArray[np.float64], NDArray[np.float64]]]

SEARCH_ITERATIONS = 1000
FINAL_ITERATIONS = 100  # the official refit drops the search's setting for scikit-learn's default
STANDARDISED_ITERATIONS = 100
FREE_INTERCEPT = 100.0  # the solver shrinks the intercept too: this much less than a weight
TREES = 100  # boosting rounds


@dataclass(frozen=True)
class Linear:
    """A logistic regression on features as they are: what scaled them is in the weights.

    Attributes:
        weights: float64 ``[features]``.
        bias: The logit of a row of zeros.
    """

    weights: NDArray[np.float64]
    bias: float

    def __call__(self, features: Matrix) -> NDArray[np.float64]:
        """Return the probability of class 1 of each row."""
        probabilities: NDArray[np.float64] = expit(features @ self.weights + self.bias)
        return probabilities


@dataclass(frozen=True)
class Trees:
    """A LightGBM model.

    Attributes:
        model: The trees.
        used: The columns of the features that they know.
    """

    model: lgb.Booster
    used: NDArray[np.intp]

    def __call__(self, features: Matrix) -> NDArray[np.float64]:
        """Return the probability of class 1 of each row."""
        probabilities: Any = self.model.predict(features[:, self.used], num_threads=1)
        return probabilities


@dataclass(frozen=True)
class Probe:
    """A fitted classifier.

    Attributes:
        settings: The chosen setting of the grid, as JSON.
        validation_auroc: What it was chosen by; NaN where the validation rows have one class.
        predict: Gives the probability of class 1 for feature rows.
    """

    settings: str
    validation_auroc: float
    predict: Predict


def fit_probe(
    estimator: Estimator,
    grid: Grid,
    train: tuple[Matrix, Labels],
    validation: tuple[Matrix, Labels],
    unlabelled: Matrix | None = None,
    parts: Sequence[int] = (),
    seed: int = 0,
) -> Probe:
    """Return the classifier with the best validation AUROC, the first one where several are best.

    Args:
        estimator: ``logistic``: features divided by their largest absolute training value, L2;
            ``standardised``: features centred (where they are dense) and divided by their standard
            deviation, L2, every part of them with the same variance; ``lasso``: the same features, L1,
            which leaves most of them out; ``gbm``: LightGBM; ``forest``: random forest.
        grid: The values of each hyper-parameter, named as the libraries name them. The ``penalty`` of
            ``lasso`` is a share of the least one that leaves out every feature.
        train: Features and labels to fit on.
        validation: Features and labels to choose on.
        unlabelled: Features that ``standardised`` and ``lasso`` take mean and deviation of; the
            training rows where there are no others.
        parts: How many columns each part of the features has, where they are joined from several: the
            penalty then costs each part the same, however many columns it has.
        seed: Of ``forest`` and ``lasso``; the others draw nothing.

    Raises:
        ValueError: If the training rows have one class only.
    """
    if len(np.unique(train[1])) < 2:
        raise ValueError("The training rows have one class only.")
    best, best_auroc = None, -np.inf
    like = train[0] if unlabelled is None else unlabelled
    scales = partial(_scales, like, parts)
    for settings, predict in ESTIMATORS[estimator](train, grid, seed, scales):
        auroc = auroc_of(validation[1], predict(validation[0]))
        if best is None or auroc > best_auroc:
            best, best_auroc = (settings, predict), auroc
    if best is None:
        raise ValueError(f"The grid of {estimator} is empty.")
    settings, predict = best
    if estimator == "logistic":
        predict = _logistic(MaxAbsScaler().fit(train[0]), train, settings, FINAL_ITERATIONS)
    return Probe(json.dumps(settings), float(best_auroc), predict)


def _logistic_candidates(
    train: tuple[Matrix, Labels], grid: Grid, seed: int, scales: Scales
) -> Iterable[Candidate]:
    scaler = MaxAbsScaler().fit(train[0])
    for settings in ParameterGrid(grid):
        yield settings, _logistic(scaler, train, settings, SEARCH_ITERATIONS)


def _logistic(
    scaler: MaxAbsScaler, train: tuple[Matrix, Labels], settings: dict[str, Any], iterations: int
) -> Predict:
    model = LogisticRegression(solver="lbfgs", tol=1e-4, max_iter=iterations, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 100 iterations are the protocol
        model.fit(scaler.transform(train[0]), train[1])
    return lambda features: model.predict_proba(scaler.transform(features))[:, 1]


def _standardised_candidates(
    train: tuple[Matrix, Labels], grid: Grid, seed: int, scales: Scales
) -> Iterable[Candidate]:
    """Yield regressions on standardised features."""
    features, mean, scale = _standardise(train[0], scales)
    for settings in ParameterGrid(grid):
        model = LogisticRegression(max_iter=STANDARDISED_ITERATIONS, **settings)
        yield settings, _fit_linear(model, features, train[1], mean, scale)


def _lasso_candidates(
    train: tuple[Matrix, Labels], grid: Grid, seed: int, scales: Scales
) -> Iterable[Candidate]:
    """Yield regressions on few of the standardised features.

    The least penalty that leaves out all of them is the largest gradient of the loss where all
    weights are 0 (Friedman, Hastie and Tibshirani 2010, doi:10.18637/jss.v033.i01).
    """
    features, mean, scale = _standardise(train[0], scales)
    most = np.abs(features.T @ (train[1] - train[1].mean())).max(initial=0.0)
    for settings in ParameterGrid(grid):
        model = LogisticRegression(
            C=1 / max(settings["penalty"] * most, 1e-6),
            l1_ratio=1,
            solver="liblinear",
            intercept_scaling=FREE_INTERCEPT,
            max_iter=STANDARDISED_ITERATIONS,
            random_state=seed,
        )
        yield settings, _fit_linear(model, features, train[1], mean, scale)


def _standardise(
    features: Matrix, scales: Scales
) -> tuple[Matrix, NDArray[np.float64], NDArray[np.float64]]:
    """Return the scaled features, what was taken from each column, and what it was multiplied with."""
    mean, scale = scales()
    if sp.issparse(features):  # centred, it would be dense
        return features @ sp.diags(scale.astype(np.float32)), np.zeros_like(mean), scale
    return (features - mean) * scale, mean, scale


def _fit_linear(
    model: LogisticRegression,
    features: Matrix,
    labels: Labels,
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> Linear:
    """Return the fitted regression, with the scaling within its weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    weights = model.coef_[0] * scale
    return Linear(weights, float(model.intercept_[0] - weights @ mean))


def _scales(like: Matrix, parts: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what is taken from each column, and what it is multiplied with: 0 if it never varies.

    The variance of all columns together is their number, and the same of every part.
    """
    mean, deviation = _moments(like)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-6)
    if parts:
        share = len(scale) / len(parts)
        scale *= np.concatenate([np.full(size, np.sqrt(share / size)) for size in parts])
    return mean, scale


def _moments(features: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each column."""
    if not sp.issparse(features):
        return features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    exact = sp.csr_matrix(features, dtype=np.float64)
    mean, square = (np.asarray(part.mean(axis=0)).ravel() for part in (exact, exact.power(2)))
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


def _gbm_candidates(
    train: tuple[Matrix, Labels], grid: Grid, seed: int, scales: Scales
) -> Iterable[Candidate]:
    """Yield LightGBM models on one binned copy of the rows: binning costs more than most fits.

    Columns that never vary on the training rows cannot be split on and are left out; if none does, the share of
    class 1 is all that can be learned. Settings that cannot but grow the same trees share one model.
    """
    features, labels = train
    used = _varying_columns(features)
    if not len(used):  # LightGBM takes no rows without columns
        share = Linear(np.zeros(features.shape[1]), float(logit(labels.mean())))
        yield from ((settings, share) for settings in ParameterGrid(grid))
        return
    fixed = {"objective": "binary", "min_data_in_leaf": 1, "num_threads": 1, "verbosity": -1}
    # Left to itself it times rows against columns on each fit; with many rows, rows are faster.
    fixed |= {"force_row_wise": True}
    data = lgb.Dataset(features[:, used], labels, params=fixed).construct()  # frees the copy
    grown: dict[str, lgb.Booster] = {}
    for settings in ParameterGrid(grid):
        trees = json.dumps(settings | _tree_limits(settings, len(labels)), sort_keys=True)
        if trees not in grown:
            grown[trees] = lgb.train(fixed | settings, data, TREES)
        yield settings, Trees(grown[trees], used)


def _tree_limits(settings: dict[str, Any], rows: int) -> dict[str, int]:
    """Return the leaves and the depth that a tree on so many rows can reach."""
    depth = settings.get("max_depth", -1)
    leaves = min(settings.get("num_leaves", 31), rows)
    if depth > 0:
        leaves = min(leaves, 2**depth)
    deepest = leaves - 1  # a chain
    return {"num_leaves": leaves, "max_depth": min(depth, deepest) if depth > 0 else deepest}


def _varying_columns(features: Matrix) -> NDArray[np.intp]:
    if sp.issparse(features):
        ranges = features.max(axis=0).toarray() - features.min(axis=0).toarray()
        return np.flatnonzero(ranges.ravel())
    return np.flatnonzero(np.ptp(features, axis=0))


def _forest_candidates(
    train: tuple[Matrix, Labels], grid: Grid, seed: int, scales: Scales
) -> Iterable[Candidate]:
    """Yield random forests; one of fewer trees is the beginning of one of more, grown once."""
    features, labels = train
    sizes = sorted(grid["n_estimators"])
    for settings in ParameterGrid({k: v for k, v in grid.items() if k != "n_estimators"}):
        forest = RandomForestClassifier(
            warm_start=True, random_state=seed, min_samples_leaf=1, min_samples_split=2, **settings
        )
        for size in sizes:
            forest.set_params(n_estimators=size).fit(features, labels)
            yield settings | {"n_estimators": size}, partial(_vote, list(forest.estimators_))


def _vote(trees: list[Any], features: Matrix) -> NDArray[np.float64]:
    return np.mean([tree.predict_proba(features)[:, 1] for tree in trees], axis=0)


def auroc_of(labels: Labels, scores: NDArray[np.float64]) -> float:
    """Return the AUROC, NaN where there is one class only."""
    return float(roc_auc_score(labels, scores)) if len(np.unique(labels)) == 2 else float("nan")


ESTIMATORS: dict[str, Callable[[tuple[Matrix, Labels], Grid, int, Scales], Iterable[Candidate]]] = {
    "logistic": _logistic_candidates,
    "standardised": _standardised_candidates,
    "lasso": _lasso_candidates,
    "gbm": _gbm_candidates,
    "forest": _forest_candidates,
}
