"""Cells to tables: the official results, means over tasks and groups, paired differences."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clm_ler.modeling.evaluation.bootstrap import (
    OFFICIAL_METRICS,
    patient_weights,
    percentile_interval,
    percentile_intervals,
    unit_weights,
    weighted_metrics,
)
from clm_ler.tables.ehrshot.tasks import GROUP_OF, GROUPS

KEY = ["labeling_function", "sub_task", "model", "head", "replicate", "k"]
OFFICIAL_COLUMNS = [*KEY, "score", "value", "std", "lower", "mean", "upper", "model_hparams"]
CLASSIFIER = ["model", "head", "k"]
SUMMARY_KEY = ["source", "score", *CLASSIFIER, "scope"]
THIS_RUN = "this run"
TRUTH, CEILING = "truth", "record ceiling"  # models that only a simulation has
_DIFFERENCE = {
    **dict.fromkeys(["scope", "score"], "string"),
    "k": "int64",
    **dict.fromkeys(["model", "head", "other_model", "other_head"], "string"),
    **dict.fromkeys(["difference", "lower", "upper"], "float64"),
    "sub_tasks": "int64",
}
NORMAL_QUANTILE = 1.96  # as the official intervals of groups


@dataclass(frozen=True)
class Scores:
    """A score of one classifier, or the difference of two, in several sub-tasks.

    Attributes:
        places: The place of each sub-task.
        value: Over all test samples, ``[sub-tasks]``.
        bootstrap: In each resample of the test patients, ``[sub-tasks, resamples]``.
    """

    places: Mapping[str, int]
    value: NDArray[np.float64]
    bootstrap: NDArray[np.float64]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Self:
        """Return those of some rows of :func:`mean_over_draws`."""
        places = {name: place for place, name in enumerate(rows["sub_task"])}
        return cls(places, rows["value"].to_numpy(), np.stack(rows["bootstrap"].to_list()))

    def less(self, other: Self) -> Self:
        """Return the differences in the sub-tasks where both have a score."""
        shared = [
            name
            for name in self.places
            if name in other.places
            and not np.isnan(self.value[self.places[name]] - other.value[other.places[name]])
        ]
        ours, theirs = ([one.places[name] for name in shared] for one in (self, other))
        return type(self)(
            {name: place for place, name in enumerate(shared)},
            self.value[ours] - other.value[theirs],
            self.bootstrap[ours] - other.bootstrap[theirs],
        )


def official_rows(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each cell and score, in the 13 columns of ``all_results.csv``.

    ``value`` is that of all test samples; ``mean``, ``std`` (one degree of freedom less) and the
    2.5th and 97.5th percentile are those of the bootstrap.
    """
    rows = []
    for cell in cells.to_dict("records"):
        for score in OFFICIAL_METRICS:
            values = np.asarray(cell[f"{score}_bootstrap"])
            lower, upper = percentile_interval(values)
            row = {name: cell[name] for name in [*KEY, "model_hparams"]}
            mean, std = mean_and_std(values)
            rows.append(
                row
                | {"score": score, "value": cell[score], "lower": lower, "upper": upper}
                | {"mean": mean, "std": std}
            )
    return pd.DataFrame(rows, columns=OFFICIAL_COLUMNS)


def mean_and_std(values: NDArray[np.float64], axis: int | None = None) -> tuple[Any, Any]:
    """Return both of the values that there are, NaN where there are none: of one class, no mistake."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=axis), np.nanstd(values, axis=axis, ddof=1)


def mean_over_draws(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each sub-task, classifier, k and score, the mean of its replicates.

    ``bootstrap`` is the mean of the replicates in each resample of the test patients.
    """
    keys = ["labeling_function", "sub_task", *CLASSIFIER]
    rows = []
    for key, draws in cells.groupby(keys, sort=True):
        for score in OFFICIAL_METRICS:
            bootstrap = np.mean(np.stack(draws[f"{score}_bootstrap"].to_list()), axis=0)
            row = dict(zip(keys, key, strict=True)) | {"score": score, "bootstrap": bootstrap}
            rows.append(row | {"value": draws[score].mean()})
    return pd.DataFrame(rows)


def scopes(sub_tasks: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return what is averaged: for each scope the weight of each sub-task.

    The scopes are the sub-tasks themselves, the groups, ``14 tasks`` (all but the chest X-ray
    findings) and ``macro`` (the mean of the groups).

    Args:
        sub_tasks: The task of each sub-task.
    """
    groups = {
        group: {name: 0.0 for name, task in sub_tasks.items() if GROUP_OF[task] == group}
        for group in GROUPS
    }
    groups = {group: members for group, members in groups.items() if members}
    plain = [name for name, task in sub_tasks.items() if task != "chexpert"]
    shares = {group: {name: 1 / len(names) for name in names} for group, names in groups.items()}
    macro = {
        name: share / len(shares) for members in shares.values() for name, share in members.items()
    }
    single = {name: {name: 1.0} for name in sub_tasks}
    fourteen = {"14 tasks": {name: 1 / len(plain) for name in plain}} if plain else {}
    return single | shares | fourteen | {"macro": macro}


def summarise(means: pd.DataFrame) -> pd.DataFrame:
    """Return the value and interval of each scope, classifier, k and score.

    A sub-task has the percentiles of its bootstrap; a mean of several the official interval of
    groups: 1.96 standard errors, the sub-tasks taken as independent.

    Returns:
        scope, score, model, head, k, value, lower, upper, sub_tasks (how many there are), source.
    """
    wanted = _scopes_of(means)
    rows = [
        dict(zip(["score", *CLASSIFIER], key, strict=True)) | estimate
        for key, part in means.groupby(["score", *CLASSIFIER], sort=True)
        for estimate in _estimates(Scores.of(part), wanted)
    ]
    return pd.DataFrame(rows).assign(source=THIS_RUN)


def compare(means: pd.DataFrame) -> pd.DataFrame:
    """Return the difference between each two classifiers with the same k, paired by patient.

    Both see the same resamples, so their difference is taken in each. Intervals are as in
    :func:`summarise`.

    Returns:
        scope, score, k, model, head, other_model, other_head, difference, lower, upper, sub_tasks;
        no row where there is one classifier only.
    """
    rows = []
    wanted = _scopes_of(means)
    for (score, k), part in means.groupby(["score", "k"], sort=True):
        classifiers = {name: Scores.of(rows) for name, rows in part.groupby(["model", "head"])}
        for (first, ours), (second, theirs) in combinations(classifiers.items(), 2):
            pair = {"model": first[0], "head": first[1]}
            pair |= {"other_model": second[0], "other_head": second[1]}
            key = {"score": score, "k": k, **pair}
            rows += [key | estimate for estimate in _estimates(ours.less(theirs), wanted)]
    frame = pd.DataFrame(rows).rename(columns={"value": "difference"})
    return frame.reindex(columns=[*_DIFFERENCE]).astype(_DIFFERENCE)  # one classifier: no row


def given_rows(
    name: str, given: pd.DataFrame, samples: pd.DataFrame, bootstraps: int
) -> pd.DataFrame:
    """Return what probabilities reach that are known of a simulation, such as those that drew the labels.

    Args:
        name: The model that they count as.
        given: task, sub_task, person_id, prediction_time, probability.
        samples: Test samples: task, sub_task, person_id, prediction_time, label.
        bootstraps: Resamples of the test patients.

    Returns:
        The columns of :func:`mean_over_draws`.
    """
    keys = ["task", "sub_task", "person_id", "prediction_time"]
    known = samples.merge(given.drop_duplicates(keys), on=keys)
    rows = []
    for (task, sub_task), part in known.groupby(["task", "sub_task"]):
        labels, probability = part["label"].to_numpy(), part["probability"].to_numpy()
        values = weighted_metrics(labels, probability, unit_weights(len(part)))
        weights = patient_weights(part["person_id"].to_numpy(), bootstraps)
        replicates = weighted_metrics(labels, probability, weights)
        key = {"labeling_function": task, "sub_task": sub_task, "model": name, "head": "none"}
        rows += [
            key
            | {"k": -1, "score": score, "value": values[score][0], "bootstrap": replicates[score]}
            for score in OFFICIAL_METRICS
        ]
    return pd.DataFrame(rows)


def _scopes_of(means: pd.DataFrame) -> dict[str, dict[str, float]]:
    pairs = means[["sub_task", "labeling_function"]].drop_duplicates()
    return scopes(dict(pairs.itertuples(index=False)))


def _estimates(
    scores: Scores, wanted: Mapping[str, Mapping[str, float]]
) -> Iterator[dict[str, Any]]:
    """Yield the weighted mean over the sub-tasks of each scope with its interval, where none is missing."""
    value, places = scores.value, scores.places
    lower, upper = percentile_intervals(scores.bootstrap)
    std = mean_and_std(scores.bootstrap, axis=1)[1]
    for scope, weights in wanted.items():
        if not weights.keys() <= places.keys():
            continue
        index, shares = [places[name] for name in weights], np.array(list(weights.values()))
        mean = float(shares @ value[index])
        ends = float(lower[index[0]]), float(upper[index[0]])
        if len(index) > 1:
            error = NORMAL_QUANTILE * float(np.sqrt(np.square(shares * std[index]).sum()))
            ends = mean - error, mean + error
        found = {"scope": scope, "value": mean, "lower": ends[0], "upper": ends[1]}
        yield found | {"sub_tasks": len(index)}
