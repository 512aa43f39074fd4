import numpy as np
import pandas as pd
import pytest

from clm_ler.pipelines.ehrshot_eval import figures, results
from clm_ler.pipelines.ehrshot_eval.published import published_results
from clm_ler.tables.ehrshot.tasks import GROUP_OF, GROUPS, SUB_TASKS

TASKS = {"guo_los": "guo_los", "guo_icu": "guo_icu", "Edema": "chexpert"}


def cells() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for sub_task, task in TASKS.items():
        for model in ("clm_ler", "count"):
            for k, replicate in ((8, 0), (8, 1), (-1, 0)):
                row = {"labeling_function": task, "sub_task": sub_task, "model": model}
                row |= {"head": "gbm", "replicate": replicate, "k": k, "model_hparams": "{}"}
                for score in ("auroc", "auprc", "brier"):
                    row |= {score: generator.random(), f"{score}_bootstrap": generator.random(50)}
                rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture
def means() -> pd.DataFrame:
    return results.mean_over_draws(cells())


def test_official_rows_have_the_columns_of_the_official_files() -> None:
    rows = results.official_rows(cells())
    names = "labeling_function,sub_task,model,head,replicate,k,score,value,std,lower,mean,upper"
    assert ",".join(rows.columns) == f"{names},model_hparams"
    assert len(rows) == 3 * len(cells())


def test_draws_are_averaged(means: pd.DataFrame) -> None:
    raw = cells()
    chosen = raw[(raw["sub_task"] == "guo_los") & (raw["model"] == "count") & (raw["k"] == 8)]
    row = means.query("sub_task == 'guo_los' and model == 'count' and k == 8 and score == 'auroc'")
    assert row["value"].item() == pytest.approx(chosen["auroc"].mean())
    np.testing.assert_allclose(
        row["bootstrap"].item(), np.mean(chosen["auroc_bootstrap"].to_list(), axis=0)
    )


def test_scopes_weigh_tasks_equally_and_groups_equally() -> None:
    weights = results.scopes(TASKS)
    assert weights["operational_outcomes"] == {"guo_los": 0.5, "guo_icu": 0.5}
    assert weights["14 tasks"] == {"guo_los": 0.5, "guo_icu": 0.5}
    assert weights["macro"] == {"guo_los": 0.25, "guo_icu": 0.25, "Edema": 0.5}
    assert weights["Edema"] == {"Edema": 1.0}


def test_a_group_has_the_official_interval(means: pd.DataFrame) -> None:
    summary = results.summarise(means)
    query = "score == 'auroc' and model == 'count' and k == -1"
    group = summary.query(f"scope == 'operational_outcomes' and {query}").iloc[0]
    parts = means.query(f"sub_task in ('guo_los', 'guo_icu') and {query}")
    error = 1.96 * np.sqrt(sum(np.var(b, ddof=1) for b in parts["bootstrap"])) / 2
    assert group["value"] == pytest.approx(parts["value"].mean())
    assert group["upper"] - group["value"] == pytest.approx(error)
    single = summary.query(f"scope == 'guo_los' and {query}").iloc[0]
    own = means.query(f"sub_task == 'guo_los' and {query}")["bootstrap"].item()
    assert (single["lower"], single["upper"]) == tuple(np.percentile(own, [2.5, 97.5]))


def test_differences_are_paired(means: pd.DataFrame) -> None:
    compared = results.compare(means)
    row = compared.query("scope == 'guo_icu' and score == 'auroc' and k == -1").iloc[0]
    ours, theirs = (
        means.query(f"sub_task == 'guo_icu' and score == 'auroc' and k == -1 and model == '{m}'")
        for m in ("clm_ler", "count")
    )
    assert (row["model"], row["other_model"]) == ("clm_ler", "count")
    assert row["difference"] == pytest.approx(ours["value"].item() - theirs["value"].item())
    resampled = ours["bootstrap"].item() - theirs["bootstrap"].item()
    assert row["lower"] == pytest.approx(np.percentile(resampled, 2.5))


def test_one_classifier_has_nothing_to_be_compared_with(means: pd.DataFrame) -> None:
    compared = results.compare(means[means["model"] == "count"])
    assert compared.empty
    assert list(compared) == list(results.compare(means))


def test_a_mean_that_lacks_a_task_is_not_given(means: pd.DataFrame) -> None:
    lacking = means[~((means["sub_task"] == "guo_los") & (means["model"] == "count"))]
    summary = results.summarise(lacking)
    assert summary.query("scope == 'operational_outcomes' and model == 'count'").empty
    assert not summary.query("scope == 'operational_outcomes' and model == 'clm_ler'").empty


def test_the_truth_is_scored_on_its_own_samples() -> None:
    times = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-04"])
    keys = pd.DataFrame({"task": "guo_los", "sub_task": "guo_los", "person_id": [1, 1, 2, 3]})
    keys["prediction_time"] = times
    truth = keys.assign(probability=[0.1, 0.4, 0.3, 0.9])
    rows = results.given_rows("truth", truth, keys.assign(label=[0, 1, 0, 1]), bootstraps=10)
    assert rows.set_index("score")["value"]["auroc"] == 1.0


def test_published_tasks_average_to_the_published_groups() -> None:
    """Guards against slips of copying: the sources agree with one another to a digit."""
    rows = published_results().query("k == -1")
    tasks = rows[rows["scope"].isin(SUB_TASKS)].copy()
    assert set(tasks["scope"]) == set(SUB_TASKS)
    task_of = {name: name if name in GROUP_OF else "chexpert" for name in SUB_TASKS}
    tasks["group"] = tasks["scope"].map(task_of).map(GROUP_OF)
    means = tasks.groupby(["group", "model", "head", "score"])["value"].mean()
    groups = rows[rows["scope"].isin(list(GROUPS)) & rows["model"].isin(["CLMBR-T-base", "count"])]
    for row in groups.itertuples():
        assert means[row.scope, row.model, row.head, row.score] == pytest.approx(
            row.value, abs=0.002
        )


def test_figures_show_every_classifier_and_task(means: pd.DataFrame) -> None:
    summary = pd.concat([results.summarise(means), published_results()], ignore_index=True)
    shots = figures.plot_shots(summary, list(TASKS), "task")
    names = {trace.name for trace in shots.data}
    assert {"clm_ler", "count", "CLMBR-T-base lr_lbfgs (published)"} <= names
    places = dict(zip(shots.layout.xaxis.ticktext, shots.layout.xaxis.tickvals, strict=True))
    assert list(places) == ["8", "128", figures.ALL_SHOTS, figures.PUBLISHED]
    assert shots.layout.xaxis.type == "log"
    lines = [list(trace.x) for trace in shots.data if trace.name == "clm_ler"]
    assert lines == [[8, places[figures.ALL_SHOTS]]] * 3
    labels = [note.text for note in shots.layout.annotations]
    assert labels.count("clm_ler") == labels.count("chance") == 3
    published = places[figures.PUBLISHED]
    marks = {tuple(trace.x) for trace in shots.data if str(trace.name).endswith("(published)")}
    assert marks == {(published,), (8, 128, published)}
    table = figures.plot_table(summary, list(TASKS))
    assert {"clm_ler", "count gbm (published)"} <= {*table.data[0].cells["values"][0]}
    assert len(table.data[0].header["values"]) == 2 + len(TASKS)
