import json
from collections.abc import Callable

import lightgbm as lgb
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from clm_ler.modeling.evaluation.probes import Matrix, fit_probe

Data = tuple[np.ndarray, np.ndarray]


def draw(rows: int, seed: int) -> Data:
    generator = np.random.default_rng(seed)
    features = generator.poisson(1.0, (rows, 12)).astype(np.float32)
    features[:, 5] = 3  # never varies
    signal = features[:, 0] - features[:, 1] + generator.normal(0, 1, rows)
    return features, (signal > 0.3).astype(np.int8)


def search(estimator: object, grid: dict, train: Data, valid: Data) -> GridSearchCV:
    """The protocol as scikit-learn spells it."""
    fold = np.r_[np.full(len(train[1]), -1), np.zeros(len(valid[1]))]
    plain = GridSearchCV(estimator, grid, cv=PredefinedSplit(fold), scoring="roc_auc", refit=False)
    return plain.fit(np.vstack([train[0], valid[0]]), np.r_[train[1], valid[1]])


@pytest.fixture
def data() -> tuple[Data, Data, np.ndarray]:
    return draw(60, 0), draw(50, 1), draw(40, 2)[0]


def test_logistic_regression_is_that_of_the_protocol(data: tuple[Data, Data, np.ndarray]) -> None:
    train, valid, test = data
    grid = {"C": [1e-6, 1e-2, 1.0, 1e4]}
    probe = fit_probe("logistic", grid, train, valid)
    scaler = MaxAbsScaler().fit(train[0])
    scaled = [(scaler.transform(features), labels) for features, labels in (train, valid)]
    plain = search(LogisticRegression(max_iter=1000), grid, *scaled)
    assert json.loads(probe.settings) == plain.best_params_
    assert probe.validation_auroc == pytest.approx(plain.best_score_)
    refit = make_pipeline(MaxAbsScaler(), LogisticRegression(**plain.best_params_)).fit(*train)
    np.testing.assert_array_equal(probe.predict(test), refit.predict_proba(test)[:, 1])


def test_a_standardised_regression_takes_its_scale_from_unlabelled_rows(
    data: tuple[Data, Data, np.ndarray],
) -> None:
    train, valid, test = data
    many = draw(500, 3)[0]
    grid = {"C": [1e-3, 1e-2, 1.0]}
    probe = fit_probe("standardised", grid, train, valid, many)
    scaler = StandardScaler().fit(many)
    scaled = [(scaler.transform(features), labels) for features, labels in (train, valid)]
    plain = search(LogisticRegression(max_iter=1000), grid, *scaled)
    assert json.loads(probe.settings) == plain.best_params_
    refit = LogisticRegression(max_iter=1000, **plain.best_params_).fit(*scaled[0])
    expected = refit.predict_proba(scaler.transform(test))[:, 1]
    np.testing.assert_allclose(probe.predict(test), expected, atol=1e-4)


def test_parts_of_features_weigh_the_same_however_wide(
    data: tuple[Data, Data, np.ndarray],
) -> None:
    """A part that is repeated has the weights of the part itself."""
    train, valid, test = data

    def widened(features: np.ndarray) -> np.ndarray:
        return np.hstack([features[:, :2], *[features[:, 2:]] * 3])

    width = train[0].shape[1]
    wide = [(widened(features), labels) for features, labels in (train, valid)]
    once = fit_probe("standardised", {"C": [1e-2]}, train, valid, parts=[2, width - 2])
    # As many columns in all have the variance of as many in all.
    factor = wide[0][0].shape[1] / width
    grid = {"C": [1e-2 / factor]}
    repeated = fit_probe("standardised", grid, *wide, parts=[2, 3 * (width - 2)])
    np.testing.assert_allclose(repeated.predict(widened(test)), once.predict(test), atol=1e-4)
    flat = fit_probe("standardised", grid, *wide)
    assert np.abs(flat.predict(widened(test)) - once.predict(test)).max() > 1e-2


def test_sparse_features_are_scaled_and_not_centred(data: tuple[Data, Data, np.ndarray]) -> None:
    train, valid, test = data
    sparse = [(sp.csr_matrix(features), labels) for features, labels in (train, valid)]
    probe = fit_probe("standardised", {"C": [1e-2]}, *sparse)
    scaler = StandardScaler(with_mean=False).fit(train[0])
    refit = LogisticRegression(C=1e-2).fit(scaler.transform(train[0]), train[1])
    expected = refit.predict_proba(scaler.transform(test))[:, 1]
    np.testing.assert_allclose(probe.predict(sp.csr_matrix(test)), expected, atol=1e-4)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_the_penalty_of_a_lasso_is_a_share_of_the_least_that_leaves_all_out(
    data: tuple[Data, Data, np.ndarray], form: Callable[[np.ndarray], Matrix]
) -> None:
    train, valid, test = [(form(part[0]), part[1]) for part in data[:2]] + [form(data[2])]

    def weights(penalty: float) -> np.ndarray:
        probe = fit_probe("lasso", {"penalty": [penalty]}, train, valid)
        probabilities = probe.predict(test)
        assert probabilities.shape == (40,)
        return probe.predict.weights

    np.testing.assert_allclose(weights(1.01), 0, atol=1e-3)
    assert np.flatnonzero(weights(0.98)).tolist() == [1]  # the signal is column 0 less column 1
    assert {0, 1} <= set(np.flatnonzero(weights(0.3))) < set(range(12))


def test_a_lasso_is_the_regression_with_an_l1_penalty(data: tuple[Data, Data, np.ndarray]) -> None:
    train, valid, test = data
    probe = fit_probe("lasso", {"penalty": [0.2]}, train, valid)
    scaler = StandardScaler().fit(train[0])
    scaled = scaler.transform(train[0])
    most = np.abs(scaled.T @ (train[1] - train[1].mean())).max()
    exact = LogisticRegression(C=5 / most, l1_ratio=1, solver="saga", tol=1e-6, max_iter=10_000)
    expected = exact.fit(scaled, train[1]).predict_proba(scaler.transform(test))[:, 1]
    np.testing.assert_allclose(probe.predict(test), expected, atol=5e-3)


@pytest.mark.parametrize("sparse", [False, True])
def test_boosting_on_binned_rows_is_lightgbm(
    data: tuple[Data, Data, np.ndarray], sparse: bool
) -> None:
    train, valid, test = data
    grid = {"learning_rate": [0.1, 0.5], "max_depth": [-1, 3], "num_leaves": [10, 25]}
    form = sp.csr_matrix if sparse else np.asarray
    probe = fit_probe("gbm", grid, (form(train[0]), train[1]), (form(valid[0]), valid[1]))
    model = lgb.LGBMClassifier(min_child_samples=1, n_jobs=1, verbosity=-1)
    plain = search(model, grid, train, valid)
    assert json.loads(probe.settings) == plain.best_params_
    refit = model.set_params(**plain.best_params_).fit(*train)
    np.testing.assert_allclose(
        probe.predict(form(test)), refit.predict_proba(test)[:, 1], rtol=0, atol=1e-12
    )


def test_settings_that_grow_the_same_trees_are_fitted_once(
    data: tuple[Data, Data, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, valid, test = data
    fitted, train_model = [], lgb.train
    monkeypatch.setattr(lgb, "train", lambda *a: (fitted.append(a[0]), train_model(*a))[1])
    grid = {"max_depth": [3, 6, -1], "num_leaves": [10, 25, 100]}
    few = np.r_[0:4, np.flatnonzero(train[1])[:4]]
    for rows, fits in ((np.arange(60), 7), (few, 3)):
        fitted.clear()
        fit_probe("gbm", grid, (train[0][rows], train[1][rows]), valid)
        assert len(fitted) == fits
    predictions = {
        leaves: fit_probe("gbm", {"max_depth": [3], "num_leaves": [leaves]}, train, valid)
        for leaves in (8, 100)
    }
    np.testing.assert_array_equal(*(probe.predict(test) for probe in predictions.values()))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_boosting_on_equal_rows_learns_how_frequent_the_class_is(form) -> None:
    """Such as age and gender of women whose births are unknown."""
    rows, labels = form(np.ones((8, 2), np.float32)), np.array([0, 0, 0, 1] * 2, np.int8)
    probe = fit_probe("gbm", {"num_leaves": [4, 15]}, (rows, labels), (rows, labels))
    assert probe.predict(rows) == pytest.approx(0.25)
    assert probe.validation_auroc == 0.5


def test_a_forest_of_fewer_trees_is_the_beginning_of_a_larger_one(
    data: tuple[Data, Data, np.ndarray],
) -> None:
    train, valid, test = data
    grid = {"max_depth": [2, 4], "n_estimators": [3, 7]}
    probe = fit_probe("forest", grid, train, valid, seed=5)
    plain = search(RandomForestClassifier(random_state=5), grid, train, valid)
    assert json.loads(probe.settings) == plain.best_params_
    refit = RandomForestClassifier(random_state=5, **plain.best_params_).fit(*train)
    np.testing.assert_allclose(probe.predict(test), refit.predict_proba(test)[:, 1], atol=1e-12)


def test_the_first_of_equal_settings_is_taken(data: tuple[Data, Data, np.ndarray]) -> None:
    train, valid, _ = data
    one_class = (valid[0], np.zeros(len(valid[1]), np.int8))
    probe = fit_probe("logistic", {"C": [1e-3, 1.0]}, train, one_class)
    assert json.loads(probe.settings) == {"C": 1e-3}
    assert np.isnan(probe.validation_auroc)


def test_one_class_cannot_be_learned(data: tuple[Data, Data, np.ndarray]) -> None:
    train, valid, _ = data
    with pytest.raises(ValueError, match="one class only"):
        fit_probe("logistic", {"C": [1.0]}, (train[0], np.ones(60, np.int8)), valid)
