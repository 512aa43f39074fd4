"""The nodes from raw events to predictions on a tiny site, and what may not change them."""

import inspect
from pathlib import Path
from typing import Any

import ibis
import pytest
import torch
from ibis import _

from clm_ler.datasets.cells import CellsDataset
from clm_ler.datasets.chunked_table import ChunkedTableDataset
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForMaskedLM
from clm_ler.modeling.training import finetuning
from clm_ler.pipelines import ehrshot_eval
from clm_ler.pipelines.ehrshot_eval import nodes
from clm_ler.pipelines.ehrshot_eval import site as site_nodes
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions
from clm_ler.pipelines.ehrshot_native.nodes import keep_codes
from clm_ler.tables.labs.parsing import ResultOptions
from tests.pipelines.ehrshot_eval.site import (
    LABS,
    MODELS,
    PAIRS,
    PERSONS,
    embedded,
    evaluated,
    fit,
    make_site,
    options,
    read_site,
    seen_of,
)
from tests.pipelines.outputs import outputs_of

pytestmark = pytest.mark.slow  # it trains models


@pytest.fixture(scope="module")
def site() -> dict[str, Any]:
    return make_site()


@pytest.fixture(scope="module")
def fitted(site: dict[str, Any]) -> dict[str, Any]:
    return fit(site)


@pytest.fixture(scope="module")
def seen(site: dict[str, Any], fitted: dict[str, Any]) -> dict[str, Any]:
    """What the site's events make a model see."""
    return seen_of(site["events"], site, fitted, options(Path()))


def cells_of(
    seen: dict[str, Any], fitted: dict[str, Any], chosen: EhrshotOptions
) -> dict[str, Any]:
    found = embedded(seen, fitted, chosen)
    rows = found["ehrshot_samples"].to_pandas()
    draw = {}
    for ours, theirs in (("train", "train"), ("valid", "val")):
        labels = rows[rows["split"] == ours].sort_values("row")["label"].tolist()
        draw |= {f"{theirs}_idxs": list(range(len(labels))), f"label_values_{theirs}_k": labels}
    return dict(
        nodes.fit_cells(
            found["ehrshot_samples"],
            {"guo_los": lambda: {"guo_los": {"-1": {"0": draw}}}},
            found["ehrshot_seen"],
            found["ehrshot_embeddings"],
            found["ehrshot_untrained_embeddings"],
            found["ehrshot_count_tokens"],
            ibis.memtable({"token": ["SNOMED/111"], "ancestor": ["SNOMED/1"]}),
            found["ehrshot_valued_events"],
            found["ehrshot_demographics"],
            found["ehrshot_encoded"],
            fitted["tokenizer"],
            fitted["pretrained_model"],
            Path(chosen.checkpoints),
            chosen,
        )
    )


def test_events_at_the_prediction_time_are_seen(
    site: dict[str, Any], fitted: dict[str, Any], seen: dict[str, Any]
) -> None:
    without = site["events"][site["events"]["code"] != "SNOMED/333"]
    tables = read_site(without, site) | fitted | {"params:ehrshot_eval": options(Path())}
    unseen = evaluated(tables, "ehrshot_seen")["ehrshot_seen"].to_pandas()
    both = seen["ehrshot_seen"].to_pandas().merge(unseen, on=["person_id", "prediction_time"])
    assert (both["n_positions_x"] - both["n_positions_y"] == 1).all()
    assert (both["prediction_day_x"] == 31).all()


def test_another_models_tokenizer_is_refused(
    fitted: dict[str, Any], seen: dict[str, Any], tmp_path: Path
) -> None:
    other = ClmLerForMaskedLM(ClmLerConfig(**fitted["pretrained_model"].config.to_dict()))
    other.config.vocabulary_digest = "that of another"
    with pytest.raises(ValueError, match="is not the one that the model"):
        embedded(seen, fitted | {"pretrained_model": other}, options(tmp_path))


def test_cells_give_results_predictions_and_figures(
    fitted: dict[str, Any], seen: dict[str, Any], tmp_path: Path
) -> None:
    chosen = options(tmp_path)
    connection = {"backend": "duckdb"}
    cells = CellsDataset(filepath=str(tmp_path / "cells"), connection=connection)
    cells.save(cells_of(seen, fitted, chosen))
    samples = seen["ehrshot_samples"]
    choices = ChunkedTableDataset(filepath=str(tmp_path / "choices"), connection=connection)
    choices.save(nodes.choose_classifiers(cells.load(), samples, chosen, {}, {}))
    both = (cells.load(), choices.load())
    predictions = nodes.collect_predictions(*both, samples).to_pandas()
    extra = {("clm_ler", "best"), ("windowed", "best"), ("hybrid", "stack")}
    assert set(predictions[["model", "head"]].itertuples(index=False, name=None)) == PAIRS | extra
    assert len(predictions) == len(PAIRS | extra) * 9
    assert predictions["probability"].between(0, 1).all()
    test = samples.filter(_.split == "test").to_pandas()
    assert set(predictions["person_id"]) == set(test["person_id"])
    truth = test.rename(columns={"person_id": "patient_id"}).assign(probability=test["label"] * 0.5)
    columns = ["task", "sub_task", "patient_id", "prediction_time", "probability"]
    known = ibis.memtable(truth[columns])
    tables = nodes.tabulate_results(*both, samples, known, None, chosen)
    official, summary, differences = (table.to_pandas() for table in tables)
    row = official.query("model == 'count' and score == 'auroc'").iloc[0]
    own = predictions[predictions["model"] == "count"].sort_values("person_id")
    positive, negative = (own.loc[own["label"] == label, "probability"] for label in (1, 0))
    wins = (positive.to_numpy()[:, None] > negative.to_numpy()).mean()
    assert row["value"] == pytest.approx(wins)
    assert wins == 1.0, "the code of the day before tells the label"
    assert summary.query("model == 'truth' and score == 'auroc'")["value"].eq(1).all()
    assert {"count", "count_bins", "windowed", "hybrid"} <= set(differences["other_model"])
    verdict = nodes.judge_model(*both, samples, chosen).to_pandas()
    assert set(verdict["model"]) == {"clm_ler", "hybrid"}
    assert set(verdict["other_model"]) == set(MODELS) - {"clm_ler_windowed"}
    assert len(nodes.plot_results(ibis.memtable(summary), ibis.memtable(verdict))) == 4
    assert list(nodes.split_by_task(ibis.memtable(official))) == ["guo_los"]


def test_the_model_of_another_run_is_a_row_of_its_own(
    fitted: dict[str, Any], seen: dict[str, Any], tmp_path: Path
) -> None:
    chosen = options(tmp_path, beside={"native": "elsewhere"})
    cells = CellsDataset(filepath=str(tmp_path / "cells"), connection={"backend": "duckdb"})
    cells.save(cells_of(seen, fitted, chosen))
    ours, samples = cells.load(), seen["ehrshot_samples"]
    alone = nodes.choose_classifiers(ours, samples, chosen, {}, {}).read_all()
    theirs = ({"native": ours}, {"native": ibis.memtable(alone)})
    choices = nodes.choose_classifiers(ours, samples, chosen, *theirs).read_all()
    rows = choices.to_pandas()
    assert set(rows["model"]) == {"clm_ler", "windowed", "hybrid", "native"}
    same = [rows[rows["model"] == name].squeeze()["probability"] for name in ("clm_ler", "native")]
    assert same[0].tolist() == same[1].tolist()
    verdict = nodes.judge_model(ours, ibis.memtable(choices), samples, chosen).to_pandas()
    macro = verdict.query("other_model == 'native' and scope == 'macro'").squeeze()
    assert (macro["model"], macro["difference"]) == ("clm_ler", 0)

    drawn = ours.mutate(valid_label=ours.valid_label.map(lambda label: (1 - label).cast("int8")))
    with pytest.raises(ValueError, match="the run 'native' had other samples"):
        nodes.choose_classifiers(
            ours, samples, chosen, {"native": drawn}, {"native": drawn.limit(0)}
        ).read_all()
    with pytest.raises(ValueError, match="'count' is a row already"):
        options(tmp_path, beside={"count": "elsewhere"})


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ({"count": ("gmb",)}, "'count' cannot have the head 'gmb'.*: lr, standardised, gbm"),
        ({"count": ("full",)}, "'count' cannot have the head 'full'.*: lr, standardised, gbm"),
        ({"clm_ler_finetuned": ("lr",)}, "'clm_ler_finetuned' cannot have the head 'lr'.*: full"),
    ],
)
def test_a_head_that_a_model_cannot_have_is_refused_at_once(
    models: dict[str, Any], told: str, tmp_path: Path
) -> None:
    heads = options(tmp_path).model_dump()["heads"]
    heads["full"] = {"estimator": "finetune", "grid": {"num_train_epochs": (1,)}}
    with pytest.raises(ValueError, match=told):
        options(tmp_path, heads=heads, models=models)


def test_the_model_itself_is_fine_tuned(
    fitted: dict[str, Any], seen: dict[str, Any], tmp_path: Path
) -> None:
    grid = {"learning_rate": (0.003,), "num_train_epochs": (2,), "probe_first": (False,)}
    chosen = options(
        tmp_path,
        heads={"full": {"estimator": "finetune", "grid": grid}},
        models={"clm_ler_finetuned": ("full",)},
    )
    cells = cells_of(seen, fitted, chosen)
    row = next(iter(cells.values()))().to_pylist()[0]
    assert row["model_hparams"].startswith('{"learning_rate": 0.003')
    assert len(row["probability"]) == 9
    assert not list((tmp_path / "checkpoints").glob("*")), "finished trainings are removed"


def test_a_killed_fine_tuning_of_another_model_is_not_taken_up(
    fitted: dict[str, Any],
    seen: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid = {"learning_rate": (0.003,), "num_train_epochs": (1,), "probe_first": (False,)}
    chosen = options(
        tmp_path,
        heads={"full": {"estimator": "finetune", "grid": grid}},
        models={"clm_ler_finetuned": ("full",)},
    )
    torch.manual_seed(1)
    other = type(fitted["pretrained_model"])(fitted["pretrained_model"].config).eval()

    def tune(model: Any, checkpoints: str) -> list[float]:
        where = chosen.model_copy(update={"checkpoints": str(tmp_path / checkpoints)})
        cells = cells_of(seen, fitted | {"pretrained_model": model}, where)
        return next(iter(cells.values()))().to_pylist()[0]["probability"]

    with monkeypatch.context() as patch:
        patch.setattr(finetuning, "load_result", killed)
        with pytest.raises(KeyboardInterrupt):
            tune(fitted["pretrained_model"], "shared")
    assert list((tmp_path / "shared").glob("*"))
    assert tune(other, "shared") == tune(other, "fresh")


def killed(folder: Path) -> None:
    raise KeyboardInterrupt


def test_the_ledger_counts_what_reaches_the_model(
    site: dict[str, Any], fitted: dict[str, Any]
) -> None:
    known = fitted["code_translations"].filter(_.source_code != "333")
    tables = read_site(site["events"], site) | fitted | {"code_translations": known}
    ledger = evaluated(tables, "ehrshot_ledger")["ehrshot_ledger"].to_pandas()
    left = ledger[ledger["reason"].isna()].set_index(["step", "table"])["rows"]
    lost = ledger[ledger["reason"].notna()].set_index(["step", "table", "reason"])["rows"]
    assert left["raw", "diagnosis"] == PERSONS * 3
    assert left["read", "diagnosis"] == PERSONS * 2
    assert left["read", "lab"] == left["lab_tokens", "lab"] == PERSONS * 8
    assert lost.to_dict() == {("read", "diagnosis", "code without a token"): PERSONS}
    assert left["once_a_day", "events"] == PERSONS * 10
    assert (ledger.loc[ledger["reason"].isna(), "persons"] == PERSONS).all()


def test_tasks_without_labels_are_named(
    site: dict[str, Any], fitted: dict[str, Any], tmp_path: Path
) -> None:
    chosen = {"params:ehrshot_eval": options(tmp_path, tasks=("guo_los", "guo_icu"))}
    with pytest.raises(ValueError, match="no file for guo_icu"):
        evaluated(read_site(site["events"], site) | fitted | chosen, "ehrshot_seen")


def test_tasks_without_shots_are_named(tmp_path: Path) -> None:
    given = dict.fromkeys(inspect.signature(nodes.fit_cells).parameters)
    given |= {"ehrshot_shots": {"guo_icu": dict}, "options": options(tmp_path)}
    with pytest.raises(ValueError, match="ehrshot_shots has no file for guo_los"):
        nodes.fit_cells(**given)


def test_results_without_a_unit_count_where_they_are_read_so(site: dict[str, Any]) -> None:
    reading = LABS.model_copy(update={"results": ResultOptions(without_unit=True)})
    read = read_site(site["events"].assign(unit=None), site)
    timeline = read["ehrshot_timeline"]
    fits = site_nodes.fit_native_labs(timeline, read["ehrshot_person_splits"], reading)
    made = (*fits, keep_codes(read["source_codes"], reading))
    *known, codes = (ibis.memtable(table.to_pyarrow()) for table in made)
    tables = read | dict(zip(("unit_conversions", "lab_percentiles"), known, strict=True))
    tables |= {"code_translations": codes, "params:preprocess": reading}
    found = outputs_of(ehrshot_eval.create_pipeline(), tables, "ehrshot_sequences")
    tokens = found["ehrshot_sequences"].sorted_event_tokens.to_pyarrow().to_pylist()
    assert sum(token.startswith("LOINC:2345-7:") for of in tokens for token in of) == PERSONS * 8
    binned = site_nodes.collect_count_tokens(timeline, *known).token.startswith("LOINC:2345-7:")
    assert binned.sum().to_pyarrow().as_py() == PERSONS * 8
    values = site_nodes.collect_valued_events(timeline, known[0]).value
    assert values.count().to_pyarrow().as_py() == PERSONS * 8
