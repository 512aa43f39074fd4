"""What the predictions of ``diabetes_1y`` rest on in the simulated hospital, where its causes are known.

    python benchmarks/causes.py --storage DIR

DIR is what ``kedro run`` and ``kedro run --pipelines=explain`` have left. Of the test split, with intervals clustered
by person: how much of the absolute contributions of true positives lies on causes, for the fine-tuned model and, by
TreeSHAP, for boosted counts; how much of what sets true positives apart from those without the outcome does; and how
good the model is where only causes can be read, or all but causes (``[MASK]`` in their place, days kept).
"""

import argparse
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from numpy.typing import NDArray
from timing import PROJECT

from clm_ler.corridor.samples import to_samples, wide_samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.baselines import counts_and_age
from clm_ler.modeling.evaluation.bootstrap import patient_weights, percentile_interval
from clm_ler.modeling.evaluation.metrics import auroc_difference, auroc_with_interval
from clm_ler.pipelines.explain.estimates import clustered_ratio
from clm_ler.pipelines.finetune.nodes import predict_samples

TASK = "diabetes_1y"
READ = ("samples", "labelled_encoded", "tokenizer", "finetuned_model", "known_causes")

Flags = NDArray[np.bool_]


def true_positives(scores: NDArray[Any], positive: Flags) -> Flags:
    """Return who has the outcome, and one of as many highest scores as there are outcomes."""
    flagged: Flags = scores >= np.quantile(scores, 1 - positive.mean())
    return positive & flagged


def of_the_model(contributions: pd.DataFrame, labels: pd.DataFrame, causes: set[str]) -> None:
    """Print where the contributions of tokens lie."""
    rows = contributions.assign(
        total=contributions[["from_code", "from_bin", "from_day"]].sum(axis=1),
        is_cause=contributions["token"].isin(causes),
    ).merge(labels, on="sample_id")
    rows["size"] = rows["total"].abs()
    for name in ("total", "size"):
        rows[f"{name}_on_causes"] = rows[name] * rows["is_cause"]
    found = rows.groupby("sample_id").agg(
        person=("person_id", "first"),
        score=("log_odds", "first"),
        label=(TASK, "first"),
        tokens=("token", "size"),
        causes=("is_cause", "sum"),
        **{c: (c, "sum") for c in ("total", "size", "total_on_causes", "size_on_causes")},
    )
    positive = found["label"].to_numpy() == 1
    hits = true_positives(found["score"].to_numpy(), positive)
    true, persons = found[hits], found["person"].to_numpy()
    read = true["person"].to_numpy()
    print(f"{hits.sum()} true positives of {len(found)} samples")
    print("model, absolute:", clustered_ratio(true["size_on_causes"], true["size"], read))
    print("equal shares:", clustered_ratio(true["causes"], true["tokens"], read))
    weights = patient_weights(persons, 1000).dense()

    def apart(column: str, weighted: NDArray[np.float64]) -> NDArray[np.float64]:
        values = found[column].to_numpy()
        means = [(weighted * part) @ values / (weighted @ part) for part in (hits, ~positive)]
        return means[0] - means[1]

    value, replicates = (
        apart("total_on_causes", w) / apart("total", w) for w in (np.ones((1, len(found))), weights)
    )
    print("model, true positives minus others:", value[0], percentile_interval(replicates))


def of_counts(read: dict[str, Any], causes: set[str]) -> None:
    """Print where TreeSHAP values of boosted counts lie."""
    frame, store = wide_samples(read["samples"]), TokenStore.from_arrow(read["labelled_encoded"])
    samples, vocabulary = (
        to_samples(frame, store),
        Vocabulary.from_tokenizer(read["tokenizer"]),
    )
    features = counts_and_age(store, vocabulary, samples, (30, 365), vocabulary.bins)
    labels, split = samples.labels, frame["split"].to_numpy().astype(str)
    train, valid, test = (np.flatnonzero(split == part) for part in ("train", "valid", "test"))
    model = lgb.LGBMClassifier(num_leaves=4, learning_rate=0.03, n_estimators=300, verbose=-1)
    stop = lgb.early_stopping(50, verbose=False)
    kept = [(features[valid], labels[valid])]
    model.fit(features[train], labels[train], eval_set=kept, eval_metric="auc", callbacks=[stop])
    given = np.array([name in causes for name in token_names(read["tokenizer"])])
    blocks = (features.shape[1] - 1) // len(given)
    of_column = np.append(np.tile(given, blocks), True)  # the age comes last
    hits = true_positives(model.predict_proba(features[test])[:, 1], labels[test] == 1)
    shares = model.predict(features[test][hits], pred_contrib=True)
    size = np.abs(shares.toarray() if hasattr(shares, "toarray") else shares)[:, :-1]
    persons = frame["person_id"].to_numpy()[test][hits]
    found = clustered_ratio(size[:, of_column].sum(axis=1), size.sum(axis=1), persons)
    print(f"boosted counts, absolute ({hits.sum()} true positives):", found)


def where_read(read: dict[str, Any], causes: set[str]) -> None:
    """Print the AUROC of the model with some of the events masked."""
    given = np.array([name in causes for name in token_names(read["tokenizer"])])
    everything = predicted(read, np.ones_like(given))
    weights = patient_weights(everything["person_id"].to_numpy(), 1000)
    labels, whole = everything["label"].to_numpy(), np.stack(everything["probabilities"])
    print("all events:", auroc_with_interval(labels, whole, weights))
    for name, kept in {"causes only": given, "all but causes": ~given}.items():
        scores = np.stack(predicted(read, kept)["probabilities"])
        print(f"{name}:", auroc_with_interval(labels, scores, weights))
        print("  minus that:", auroc_difference(labels, scores, whole, weights))


def predicted(read: dict[str, Any], kept: Flags) -> pd.DataFrame:
    """Return the test predictions where only tokens that are kept, and the baseline, can be read."""
    table, tokenizer = read["labelled_encoded"].combine_chunks(), read["tokenizer"]
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    ids, bins, days = (
        columns[name].values.to_numpy().copy()
        for name in ("input_ids", "token_type_ids", "position_ids")
    )
    hidden = ~kept[ids] & (days > 0)
    ids[hidden], bins[hidden] = tokenizer.mask_token_id, 0
    for name, values in (("input_ids", ids), ("token_type_ids", bins)):
        kind, offsets = columns[name].type, columns[name].offsets
        columns[name] = pa.ListArray.from_arrays(offsets, pa.array(values)).cast(kind)
    seen = pa.table(columns)
    found = predict_samples(read["samples"], seen, tokenizer, read["finetuned_model"]).to_pandas()
    return found[found["split"] == "test"].sort_values("sample_id")


def token_names(tokenizer: Any) -> list[str]:
    """Return the tokens by number."""
    names: list[str] = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    return names


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--storage", required=True)
    arguments = parser.parse_args()
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, runtime_params={"storage": arguments.storage}) as session:
        catalog = session.load_context().catalog
    read = {name: catalog.load(name) for name in READ}
    known = read["known_causes"].to_pandas()
    causes = set(known.loc[known["task"] == TASK, "token"])
    labels = wide_samples(read["samples"])[["sample_id", TASK]]
    of_the_model(catalog.load("contributions").to_pandas(), labels, causes)
    of_counts(read, causes)
    where_read(read, causes)


if __name__ == "__main__":
    main()
