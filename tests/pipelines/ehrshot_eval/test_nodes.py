"""The nodes from raw events to predictions on a tiny site, and what may not change them."""

from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
import torch
from ibis import _

from clm_ler.corridor.nodes import encode_sequences
from clm_ler.corridor.options import PreprocessOptions, VocabOptions
from clm_ler.datasets.cells import CellsDataset
from clm_ler.datasets.chunked_table import ChunkedTableDataset
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForMaskedLM
from clm_ler.modeling.training import finetuning
from clm_ler.pipelines import ehrshot_eval, ehrshot_read
from clm_ler.pipelines.ehrshot_eval import nodes
from clm_ler.pipelines.ehrshot_eval import site as site_nodes
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions
from clm_ler.pipelines.ehrshot_native.nodes import keep_codes
from clm_ler.pipelines.vocab.nodes import build_tokenizer, count_tokens
from tests.pipelines.outputs import outputs_of

pytestmark = pytest.mark.slow  # it trains models

PERSONS = 36
LABS = PreprocessOptions(tables={}, min_loinc_counts=5, min_loinc_value_counts=5)
DAY = pd.Timedelta(days=1)
MODELS = {
    "clm_ler": ("standardised", "lr"),
    "untrained": ("standardised",),
    "demographics": ("standardised",),
    "count": ("lr",),
    "count_bins": ("lr",),
    "windowed": ("standardised", "gbm"),
    "clm_ler_windowed": ("gbm",),
}
PAIRS = {(model, head) for model, heads in MODELS.items() for head in heads}


@pytest.fixture(scope="module")
def site() -> dict[str, Any]:
    """Raw files of a site: the label of a person shows in a code the day before."""
    generator = np.random.default_rng(0)
    events, labels = [], []
    for person in range(1, PERSONS + 1):
        label = int(generator.random() < 0.5)
        start = pd.Timestamp("2020-01-01") + DAY * int(generator.integers(0, 300))
        prediction = (start + 30 * DAY).normalize() + pd.Timedelta("23:59:00")
        rows = [
            (start - 18000 * DAY, "SNOMED/3950001", None, None),
            (start - 18000 * DAY, "Gender/F" if person % 2 else "Gender/M", None, None),
            (start, "Visit/IP", None, None),
            (prediction - DAY, "SNOMED/111" if label else "SNOMED/222", None, None),
            (prediction, "SNOMED/333", None, None),
        ]
        rows += [
            (start + DAY * day, "LOINC/2345-7", f"{generator.normal(100, 20):.1f}", "mg/dL")
            for day in range(8)
        ]
        events += [(person, str(time), "", code, value, unit) for time, code, value, unit in rows]
        labels.append((person, str(prediction), str(bool(label)), "boolean"))
    columns = ["patient_id", "start", "end", "code", "value", "unit"]
    splits = ["train"] * 18 + ["val"] * 9 + ["test"] * 9
    return {
        "events": pd.DataFrame(events, columns=columns, dtype=object),
        "splits": pd.DataFrame({"omop_person_id": range(1, PERSONS + 1), "split": splits}),
        "labels": pd.DataFrame(
            labels, columns=["patient_id", "prediction_time", "value", "label_type"]
        ),
    }


@pytest.fixture(scope="module")
def fitted(site: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer, lab tables and a model with random weights, fitted once."""
    read = read_site(site["events"], site)
    conversions, percentiles = site_nodes.fit_native_labs(
        read["ehrshot_timeline"], read["ehrshot_person_splits"], LABS
    )
    known = {
        "unit_conversions": ibis.memtable(conversions.to_pyarrow()),
        "lab_percentiles": ibis.memtable(percentiles.to_pyarrow()),
        "code_translations": ibis.memtable(keep_codes(read["source_codes"], LABS).to_pyarrow()),
    }
    sequences = evaluated(read | known, "ehrshot_sequences")["ehrshot_sequences"]
    counts = count_tokens(sequences, VocabOptions(min_persons=1))
    tokenizer = build_tokenizer(counts, known["lab_percentiles"], VocabOptions(min_persons=1))
    torch.manual_seed(0)
    model = ClmLerForMaskedLM(
        ClmLerConfig(
            vocab_size=len(tokenizer),
            num_lab_bins=10,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
        )
    )
    return known | {"tokenizer": tokenizer, "pretrained_model": model.eval()}


def read_site(events: pd.DataFrame, site: dict[str, Any]) -> dict[str, Any]:
    """What ``ehrshot_read`` makes of the files, stored."""
    files = {
        "ehrshot_events": as_table(events),
        "ehrshot_splits": ibis.memtable(site["splits"]),
        "ehrshot_labels": {"guo_los/labeled_patients": lambda: ibis.memtable(site["labels"])},
    }
    names = ["ehrshot_timeline", "ehrshot_person_splits", "ehrshot_samples", "source_codes"]
    found = outputs_of(ehrshot_read.create_pipeline(), files, *names)
    return {name: ibis.memtable(table.to_pyarrow()) for name, table in found.items()}


def evaluated(tables: dict[str, Any], *wanted: str) -> dict[str, Any]:
    """The outputs of ``ehrshot_eval`` that are asked for."""
    return outputs_of(ehrshot_eval.create_pipeline(), tables | {"params:preprocess": LABS}, *wanted)


def as_table(events: pd.DataFrame) -> ibis.Table:
    schema = dict.fromkeys(events.columns, "string") | {"patient_id": "int64"}
    return ibis.memtable(events, schema=schema)


def options(tmp_path: Path, **changes: Any) -> EhrshotOptions:
    settings: dict[str, Any] = {
        "tasks": ("guo_los",),
        "shots": (-1,),
        "replicates": 1,
        "heads": {
            "lr": {"estimator": "logistic", "grid": {"C": (1e-2, 1.0)}},
            "standardised": {"estimator": "standardised", "grid": {"C": (1e-2, 1.0)}},
            "gbm": {"estimator": "gbm", "grid": {"num_leaves": (4,)}},
        },
        "models": MODELS,
        "bootstraps": 20,
        "max_length": 32,
        "checkpoints": str(tmp_path / "checkpoints"),
    }
    return EhrshotOptions.model_validate(settings | changes)


@pytest.fixture(scope="module")
def seen(site: dict[str, Any], fitted: dict[str, Any]) -> dict[str, Any]:
    """What the site's events make a model see."""
    return seen_of(site["events"], site, fitted)


def seen_of(events: pd.DataFrame, site: dict[str, Any], fitted: dict[str, Any]) -> dict[str, Any]:
    """The tables that cells are fitted on, but for embeddings."""
    tables = read_site(events, site) | fitted | {"params:ehrshot_eval": options(Path())}
    found = evaluated(tables, "ehrshot_seen", "ehrshot_sequences", "ehrshot_demographics")
    found["ehrshot_count_tokens"] = site_nodes.collect_count_tokens(
        tables["ehrshot_timeline"], tables["unit_conversions"], tables["lab_percentiles"]
    )
    found["ehrshot_valued_events"] = site_nodes.collect_valued_events(
        tables["ehrshot_timeline"], tables["unit_conversions"]
    )
    encoded = encode_sequences(found["ehrshot_sequences"], fitted["tokenizer"])
    encoded = encoded.order_by("person_id").to_pyarrow()
    found = {name: in_memory(table) for name, table in found.items()}
    return found | {"ehrshot_encoded": encoded, "ehrshot_samples": tables["ehrshot_samples"]}


def in_memory(table: ibis.Table) -> ibis.Table:
    return ibis.memtable(table.to_pyarrow())


def embedded(
    found: dict[str, Any], fitted: dict[str, Any], chosen: EhrshotOptions
) -> dict[str, Any]:
    """The tables with the embeddings of the model, and those of an untrained one."""
    read = (found["ehrshot_encoded"], found["ehrshot_seen"])
    model = (fitted["tokenizer"], fitted["pretrained_model"])
    return found | {
        "ehrshot_embeddings": nodes.embed_samples(*read, *model, chosen),
        "ehrshot_untrained_embeddings": nodes.embed_untrained(*read, *model, chosen, 1),
    }


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


def changed_future(site: dict[str, Any]) -> pd.DataFrame:
    """The same past, and another future: more events, none, and other ends of past events."""
    events = site["events"].copy()
    after = pd.to_datetime(site["labels"]["prediction_time"]) + pd.Timedelta(minutes=1)
    future = pd.DataFrame({"patient_id": site["labels"]["patient_id"], "start": after.astype(str)})
    future["end"], future["value"], future["unit"] = "", None, None
    events["end"] = "2031-01-01 00:00:00"
    more = [future.assign(code=code) for code in ("SNOMED/111", "Visit/IP", "SNOMED/444")]
    labs = future.assign(code="LOINC/2345-7", value="999", unit="mg/dL")
    return pd.concat([events, *more, labs], ignore_index=True)


def test_nothing_after_the_prediction_time_changes_a_prediction(
    site: dict[str, Any], fitted: dict[str, Any], seen: dict[str, Any], tmp_path: Path
) -> None:
    chosen = options(tmp_path)
    before, after = (
        {
            (row["model"], row["head"]): row["probability"]
            for compute in cells_of(read, fitted, chosen).values()
            for row in compute().to_pylist()
        }
        for read in (seen, seen_of(changed_future(site), site, fitted))
    )
    assert set(before) == PAIRS
    for name, probability in before.items():
        np.testing.assert_allclose(after[name], probability, atol=1e-6, err_msg=str(name))


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
    choices.save(nodes.choose_classifiers(cells.load(), samples, chosen))
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
    verdict = nodes.judge_model(*both, samples).to_pandas()
    assert set(verdict["model"]) == {"clm_ler", "hybrid"}
    assert set(verdict["other_model"]) == set(MODELS) - {"clm_ler_windowed"}
    assert len(nodes.plot_results(ibis.memtable(summary), ibis.memtable(verdict))) == 4
    assert list(nodes.split_by_task(ibis.memtable(official))) == ["guo_los"]


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
