"""What is chosen among cells, and what the model is worth beside its baselines."""

import json
import re
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from clm_ler.modeling.evaluation.combining import MODEL, RANKS, WINDOWED
from clm_ler.pipelines.ehrshot_eval import figures, results, verdict
from clm_ler.pipelines.ehrshot_eval.cells import CELL, by_sub_task, score
from clm_ler.pipelines.ehrshot_eval.choices import choose_rows
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions

TASKS = {"guo_los": "guo_los", "guo_icu": "guo_icu", "Edema": "chexpert"}
ROWS, VALID, PERSONS = 400, 60, 80
MODELS = {
    "clm_ler": ("a", "b"),
    "windowed": ("gbm",),
    "clm_ler_windowed": ("gbm",),
    "count": ("gbm",),
}
# How much of the truth each knows, in the test and in the validation samples.
KNOWS = {
    ("clm_ler", "a"): (0.0, 0.0),
    ("clm_ler", "b"): (1.5, 1.5),
    ("windowed", "gbm"): (1.5, 1.5),
    ("clm_ler_windowed", "gbm"): (0.2, 0.2),
    ("count", "gbm"): (0.2, 0.2),
}


def options(models=MODELS):
    heads = {name: {"estimator": "gbm", "grid": {}} for name in ("a", "b", "gbm")}
    return EhrshotOptions(
        shots=(8, -1), replicates=2, heads=heads, models=models, bootstraps=20, checkpoints=""
    )


def samples():
    generator = np.random.default_rng(0)
    parts = []
    for name, task in TASKS.items():
        frame = pd.DataFrame({"person_id": np.sort(generator.integers(0, PERSONS, ROWS))})
        frame["label"] = generator.integers(0, 2, ROWS).astype(np.int8)
        parts.append(frame.assign(sub_task=name, task=task, row=np.arange(ROWS), split="test"))
    return pd.concat(parts, ignore_index=True)


def cells(test):
    generator = np.random.default_rng(1)
    rows = []
    for (name, task), draw, (pair, knows) in (
        (t, d, k) for t in TASKS.items() for d in ((8, 0), (8, 1), (-1, 0)) for k in KNOWS.items()
    ):
        labels = test.loc[test["sub_task"] == name, "label"].to_numpy()
        valid = np.arange(VALID) % 2

        def scores(known, how, spread=1.0):
            noise = generator.normal(scale=spread, size=len(known))
            return 1 / (1 + np.exp(-(how * known + noise)))

        probability, validation = scores(labels, knows[0]), scores(valid, knows[1])
        row = {"labeling_function": task, "sub_task": name, "model": pair[0], "head": pair[1]}
        row |= {"k": draw[0], "replicate": draw[1], "model_hparams": "{}"}
        row |= {"valid_label": valid, "valid_probability": validation}
        row |= {"unlabelled": np.sort(validation), "probability": probability}
        row |= {"validation_auroc": roc_auc_score(valid, validation)}
        frame = test[test["sub_task"] == name]
        rows.append(row | score(frame, probability, 20))
    return pa.Table.from_pylist(rows, schema=CELL)


@pytest.fixture(scope="module")
def fitted():
    test = samples()
    con = ibis.duckdb.connect()
    table, known = con.create_table("cells", cells(test)), con.create_table("samples", test)
    chosen = pa.Table.from_batches(choose_rows(table, known, options()), CELL)
    return table, con.create_table("choices", chosen), known


@pytest.mark.parametrize("rows", [1, 2, 7, 1000])
def test_cells_come_one_sub_task_after_the_other(fitted, rows, monkeypatch):
    monkeypatch.setattr("clm_ler.pipelines.ehrshot_eval.cells.ROWS_PER_BATCH", rows)
    table = fitted[0].select("sub_task", "model", "head", "k", "replicate")
    found = list(by_sub_task(table))
    assert [name for name, _part in found] == sorted(TASKS)
    assert all(set(part["sub_task"]) == {name} for name, part in found)
    assert sum(len(part) for _name, part in found) == table.count().execute()


def test_a_stream_that_another_query_has_ended_is_not_taken_for_whole(fitted, monkeypatch):
    """As DuckDB does: without a word."""
    monkeypatch.setattr("clm_ler.pipelines.ehrshot_eval.cells.ROWS_PER_BATCH", 2)
    table, _choices, known = fitted
    with pytest.raises(RuntimeError, match=r"ehrshot_cells: \d+ of 45 cells were not read"):
        for _name, _part in by_sub_task(table):
            known.count().execute()


@pytest.mark.parametrize("rows", [2, 1000])
def test_all_sub_tasks_are_chosen_for_however_cells_are_read(fitted, rows, monkeypatch):
    monkeypatch.setattr("clm_ler.pipelines.ehrshot_eval.cells.ROWS_PER_BATCH", rows)
    table, choices, known = fitted
    chosen = pa.Table.from_batches(choose_rows(table, known, options()), CELL)
    assert set(chosen["sub_task"].to_pylist()) == set(TASKS)
    found = verdict.compare_with_baselines(verdict.headline_cells(table.union(choices)), known)
    assert set(TASKS) <= set(found["scope"])


def test_the_best_head_is_that_of_its_draw_in_every_column(fitted):
    table, choices, _known = (part.to_pandas() for part in fitted)
    best = choices[choices["head"] == "best"]
    assert len(best) == len(TASKS) * 3
    for row in best.to_dict("records"):
        draw = table[
            (table["sub_task"] == row["sub_task"])
            & (table["k"] == row["k"])
            & (table["replicate"] == row["replicate"])
            & (table["model"] == "clm_ler")
        ]
        expected = draw.loc[draw["validation_auroc"].idxmax()]
        assert json.loads(row["model_hparams"]) == {"head": expected["head"], "settings": {}}
        assert row["auroc"] == expected["auroc"]
        np.testing.assert_array_equal(row["probability"], expected["probability"])


def test_the_hybrid_is_the_best_on_validation_and_scored_as_any_cell(fitted):
    _table, choices, known = (part.to_pandas() for part in fitted)
    hybrids = choices[choices["model"] == "hybrid"]
    assert len(hybrids) == len(TASKS) * 3
    for row in hybrids.to_dict("records"):
        told = json.loads(row["model_hparams"])
        assert told["validation_auroc"][told["chosen"]] == max(told["validation_auroc"].values())
        test = known[known["sub_task"] == row["sub_task"]]
        assert row["auroc"] == pytest.approx(roc_auc_score(test["label"], row["probability"]))
        assert told["chosen"] in (RANKS, MODEL, WINDOWED)
    single = choices[(choices["model"] == "clm_ler") & (choices["head"] == "best")]
    assert hybrids["auroc"].mean() > single["auroc"].mean() + 0.03, "two views know more than one"


def test_of_equal_heads_the_first_named_is_best(fitted):
    table, _choices, known = fitted
    same = table.mutate(validation_auroc=table.validation_auroc * 0 + 0.5)
    for heads in (("a", "b"), ("b", "a")):
        chosen = choose_rows(same, known, options(MODELS | {"clm_ler": heads}))
        rows = pa.Table.from_batches(chosen, CELL).to_pandas()
        best = rows.loc[rows["head"] == "best", "model_hparams"].map(json.loads)
        assert {row["head"] for row in best} == {heads[0]}


def test_differences_are_those_of_the_best_heads_averaged_over_draws_and_tasks(fitted):
    table, choices, known = fitted
    found = verdict.compare_with_baselines(verdict.headline_cells(table.union(choices)), known)
    assert list(found) == list(verdict.VERDICT)
    heads = dict(found[["model", "head"]].drop_duplicates().itertuples(index=False))
    assert heads == {"clm_ler": "best", "hybrid": "stack"}
    row = found.query(
        "scope == 'macro' and k == 8 and model == 'clm_ler' and other_model == 'count'"
    )
    frame = pd.concat([table.to_pandas(), choices.to_pandas()])
    few = frame[(frame["k"] == 8)]
    means = few.groupby(["model", "head", "sub_task"])["auroc"].mean()
    weights = results.scopes(TASKS)["macro"]
    ours, theirs = (
        sum(means[model, head, task] * weight for task, weight in weights.items())
        for model, head in (("clm_ler", "best"), ("count", "gbm"))
    )
    assert row["auroc"].item() == pytest.approx(ours)
    assert row["difference"].item() == pytest.approx(ours - theirs)
    assert row["verdict"].item() == "beats"
    assert row["lower"].item() < row["difference"].item() < row["upper"].item()
    assert row["persons"].item() == PERSONS
    assert set(found["scope"]) == set(results.scopes(TASKS))


def test_words_follow_the_interval(fitted):
    table, choices, known = fitted
    names = {"clm_ler": "count", "count": "clm_ler"}  # the model for the counts, and the other way
    swapped = table.mutate(model=table.model.substitute(names)).filter(ibis._["head"] != "a")
    found = verdict.compare_with_baselines(verdict.headline_cells(swapped), known)
    assert found.query("scope == 'macro' and k == -1")["verdict"].tolist() == ["is beaten by"] * 2
    assert choices.count().execute()


def test_a_task_with_one_class_has_no_difference(fitted):
    table, choices, known = fitted
    one = known.mutate(
        label=ibis.ifelse(known.sub_task == "Edema", ibis.literal(0, "int8"), known.label)
    )
    cells_ = verdict.headline_cells(table.union(choices))
    found = verdict.compare_with_baselines(cells_, one)
    assert "Edema" not in set(found["scope"]) and "macro" not in set(found["scope"])
    assert "operational_outcomes" in set(found["scope"])


def test_lookbacks_that_do_not_rise_would_count_wrongly():
    with pytest.raises(ValueError, match="rise from one number of days"):
        EhrshotOptions(**options().model_dump() | {"lookbacks": (365, 30)})


def test_figures_show_baselines_chance_ceiling_and_what_is_hidden(fitted):
    table, choices, known = fitted
    both = table.union(choices)
    found = verdict.compare_with_baselines(verdict.headline_cells(both), known)
    figure = figures.plot_verdict(found, ["macro", "chexpert"])
    pairs = {y for trace in figure.data for y in trace.y}
    assert {"clm_ler - windowed", "hybrid - clm_ler"} <= pairs
    assert {trace.name for trace in figure.data} == {"k = 8", "k = all"}
    means = results.mean_over_draws(both.to_pandas())
    given = means[(means["model"] == "count") & (means["k"] == -1)]
    parts = [means, given.assign(model="truth"), given.assign(model="record ceiling")]
    summary = results.summarise(pd.concat(parts))
    shots = figures.plot_shots(summary, ["macro"], "task group")
    names = {trace.name for trace in shots.data}
    assert {"hidden state: not reachable", "record ceiling: ten times the labels"} <= names
    assert "clm_ler" in names and "clm_ler a" not in names
    assert any(shape.y0 == figures.CHANCE for shape in shots.layout.shapes)
    assert "<b>Best with k = all: " in shots.layout.title.text
    assert "At the right: ceiling, ten" in shots.layout.title.subtitle.text
    several = figures.plot_shots(summary, ["chexpert", "guo_los"], "task")
    assert re.search(r"in \d of \d panels", several.layout.title.text)
    assert not figures.plot_verdict(found[:0], ["macro"]).data
    alone = found.query("other_model == 'count' and model == 'clm_ler' and k == 8")
    assert len(figures.plot_verdict(alone, ["macro"]).data) == 1


def test_the_figure_takes_the_twelve_numbers_of_labels_of_the_published_protocol():
    conf = Path(__file__).parents[3] / "conf/ehrshot/parameters_ehrshot_eval.yml"
    shots = yaml.safe_load(conf.read_text("utf-8"))["ehrshot_eval"]["shots"]
    row = {"scope": "macro", "model": "clm_ler", "other_model": "count"}
    row |= {"difference": 0.1, "lower": 0.0, "upper": 0.2}
    figure = figures.plot_verdict(pd.DataFrame([row | {"k": k} for k in shots]), ["macro"])
    assert len({trace.marker.color for trace in figure.data}) == len(shots)
