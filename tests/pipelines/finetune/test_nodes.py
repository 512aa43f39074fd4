"""From labels and events to predictions, on a hospital where one code decides the label."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy.special import expit

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.labels import select_label_rows, select_labels
from clm_ler.corridor.nodes import build_labelled_sequences, encode_sequences
from clm_ler.corridor.options import PreprocessOptions, VocabOptions
from clm_ler.modeling.evaluation.recalibration import METHODS, Recalibration
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForMaskedLM
from clm_ler.pipelines.finetune import evaluation, nodes
from clm_ler.pipelines.finetune.evaluation import evaluate_predictions
from clm_ler.pipelines.finetune.leakage import report_leakage
from clm_ler.pipelines.vocab.nodes import build_tokenizer, count_tokens
from clm_ler.tables.samples import label_samples

pytestmark = pytest.mark.slow  # it trains models

START = datetime(2020, 1, 1, 8)
PERSONS = 90
SPLITS = ("train", "train", "valid", "test")
CODES = [f"C{n}" for n in range(12)]

SCHEMAS = {
    "demographics": {
        "person_id": "int64",
        "birth_date": "date",
        "gender": "string",
        "race": "string",
        "ethnicity": "string",
        "region": "string",
    },
    "coded_events": {
        "person_id": "int64",
        "time": "timestamp",
        "system": "string",
        "code": "string",
    },
    "lab_events": {
        "person_id": "int64",
        "time": "timestamp",
        "system": "string",
        "code": "string",
        "value": "float64",
        "unit": "string",
    },
    "unit_conversions": {
        "system": "string",
        "code": "string",
        "unit": "string",
        "base_unit": "string",
        "factor": "float64",
        "offset": "float64",
        "n": "int64",
        "status": "string",
    },
    "lab_percentiles": {
        "system": "string",
        "code": "string",
        "base_unit": "string",
        "n": "int64",
        "n_distinct": "int64",
        "boundaries": "array<float64>",
    },
    "person_splits": {"person_id": "int64", "split": "string"},
    "person_ids": {"person_id": "int64", "own_id": "string"},
    "raw_labels": {
        "person_id": "int64",
        "prediction_time": "timestamp",
        "label": "int64",
        "task": "string",
    },
}


def simulate(seed: int = 0) -> dict[str, list[tuple]]:
    """Rows of every table: ten codes and three results over 200 days, predicted from on day 100."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[tuple]] = {name: [] for name in SCHEMAS}
    rows["unit_conversions"] = [("LOINC", "1-1", "g", "g", 1.0, 0.0, 9, "identity")]
    rows["lab_percentiles"] = [("LOINC", "1-1", "g", 9, 9, [0.5])]
    for person in range(PERSONS):
        label = int(rng.integers(0, 2))
        gender, race = ("F", "M")[person % 2], ("A", "B")[person % 3 > 0]
        rows["demographics"].append(
            (person, START.date().replace(year=1970), gender, race, None, None)
        )
        rows["person_splits"].append((person, SPLITS[person % 4]))
        times = [START + timedelta(minutes=int(m)) for m in rng.integers(0, 200 * 1440, 10)]
        codes = ["C0" if label and n % 2 else str(rng.choice(CODES[1:])) for n in range(10)]
        first = [(person, START, "ICD10CM", "C0" if label else "C1")]
        later = [(person, time, "ICD10CM", code) for time, code in zip(times, codes, strict=True)]
        rows["coded_events"] += first + later
        rows["lab_events"] += [
            (person, t, "LOINC", "1-1", float(rng.random()), "g") for t in times[:3]
        ]
        when = START + timedelta(days=100, minutes=int(rng.integers(0, 1440)))
        rows["raw_labels"].append((person, when, label, "t"))
    return rows


def tables(rows):
    """The rows as tables of an engine."""
    backend = ibis.duckdb.connect()

    def make(name):
        schema = ibis.schema(SCHEMAS[name]).to_pyarrow()
        records = [dict(zip(schema.names, row, strict=True)) for row in rows[name]]
        return backend.create_table(name, pa.Table.from_pylist(records, schema=schema))

    return {name: make(name) for name in SCHEMAS}


READING = PreprocessOptions(tables={})
OPTIONS = {
    "pooling": "mean",
    "override_maxlen": 32,
    "num_train_epochs": 1,
    "tuneable_parameters": {"learning_rate": (1e-4, 1e-2)},
    "bootstrap_replicates": 20,
    "smallest_cell": 1,
    "probe_shifts": (0, 30),
}


def encode(tables, labels, tokenizer=None):
    names = ("demographics", "coded_events", "lab_events")
    fitted = ("unit_conversions", "lab_percentiles", "person_splits")
    sequences = build_labelled_sequences(
        labels, *(tables[name] for name in (*names, *fitted)), READING
    )
    if tokenizer is None:
        counts = count_tokens(sequences, VocabOptions(min_persons=1))
        tokenizer = build_tokenizer(counts, tables["lab_percentiles"], VocabOptions(min_persons=1))
    encoded = encode_sequences(sequences, tokenizer).order_by("person_id").to_pyarrow()
    candidates = label_samples(labels, sequences)
    return (
        tokenizer,
        sequences,
        encoded,
        candidates,
        nodes.usable_samples(candidates, FinetuneOptions(checkpoints="")),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Everything up to the predictions, and the tables it came from."""
    data = tables(simulate())
    checkpoints = tmp_path_factory.mktemp("finetune")
    options = FinetuneOptions(checkpoints="", **OPTIONS)
    rows = select_label_rows(data["raw_labels"], None, options, READING)
    labels = select_labels(rows, None, data["person_ids"], None)
    tokenizer, sequences, encoded, candidates, samples = encode(data, labels)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = ClmLerConfig(vocab_size=len(tokenizer), intermediate_size=32, **sizes)
    pretrained = ClmLerForMaskedLM(config)
    inputs = (samples, encoded, tokenizer, pretrained, checkpoints, options, 1)
    model, grid = nodes.train_classifier(*inputs)
    return {
        "data": data,
        "options": options,
        "tokenizer": tokenizer,
        "sequences": sequences,
        "encoded": encoded,
        "candidates": candidates,
        "samples": samples,
        "pretrained": pretrained,
        "workspace": checkpoints,
        "model": model,
        "grid": grid,
    }


def predict(trained, samples, encoded):
    predictions = nodes.predict_samples(samples, encoded, trained["tokenizer"], trained["model"])
    return ibis.duckdb.connect().create_table("p", predictions.to_pyarrow())


def test_the_past_does_change_predictions(trained):
    rows = simulate()
    rows["coded_events"] = [(p, t, s, "C0") for p, t, s, _ in rows["coded_events"]]
    data = tables(rows)
    selected = select_label_rows(data["raw_labels"], None, trained["options"], READING)
    labels = select_labels(selected, None, data["person_ids"], None)
    _, _, encoded, _, samples = encode(data, labels, trained["tokenizer"])
    before = predict(trained, trained["samples"], trained["encoded"])
    assert not predict(trained, samples, encoded).to_pyarrow().equals(before.to_pyarrow())


def test_the_report_tells_what_the_model_is_worth(trained):
    predictions = predict(trained, trained["samples"], trained["encoded"])
    options, tokenizer = trained["options"], trained["tokenizer"]
    baselines = nodes.predict_baselines(trained["samples"], trained["encoded"], tokenizer, options)
    baselines = predictions.get_backend().create_table("b", baselines.to_pyarrow())
    demographics = predictions.get_backend().create_table(
        "d", trained["data"]["demographics"].to_pyarrow()
    )
    truth = (
        trained["data"]["raw_labels"]
        .to_pyarrow()
        .append_column(
            "probability", trained["data"]["raw_labels"].to_pyarrow()["label"].cast("float64")
        )
    )
    truth = predictions.get_backend().create_table("truth", truth).filter(ibis._.label > 0)
    hybrids = []
    for head in ("model", "hybrid"):
        chosen = replace(options, head=head)
        hybrid, scores = nodes.train_hybrid(
            trained["samples"], trained["encoded"], tokenizer, trained["model"], chosen
        )
        hybrids.append(predictions.get_backend().create_table(head, scores.to_pyarrow()))
        assert len(hybrid.outputs) == (head == "hybrid")
    metrics, both = (
        evaluate_predictions(
            predictions, baselines, scores, demographics, truth, trained["grid"], options
        )
        for scores in hybrids
    )
    assert "hybrid" not in metrics["tasks"]["t"]
    told = both["tasks"]["t"]["hybrid"]
    assert told["auroc"]["value"] > 0.9
    assert told["verdict"].startswith("The hybrid ")
    assert set(told["baselines"]) == set(metrics["tasks"]["t"]["baselines"]) >= {"windowed"}
    assert both["tasks"]["t"]["auroc"] == metrics["tasks"]["t"]["auroc"], "the model stays itself"
    json.dumps(both, allow_nan=False)
    published = [
        nodes.publish_classifier(
            trained["model"],
            tokenizer,
            trained["samples"],
            both,
            replace(options, min_persons=least),
        )
        for least in (2, PERSONS)
    ]
    card, silent = (model.card for model in published)
    for told in (metrics["tasks"]["t"]["verdict"], both["tasks"]["t"]["hybrid"]["verdict"]):
        assert told in card and told not in silent
    auroc = both["tasks"]["t"]["auroc"]
    assert f"| {auroc['value']:.3f} ({auroc['lower']:.3f} to {auroc['upper']:.3f}) |" in card
    assert f"| t | train | fewer than {PERSONS} | fewer than {PERSONS} |" in silent
    assert "too few to tell" in silent
    json.dumps(metrics, allow_nan=False)
    task = metrics["tasks"]["t"]
    assert task["auroc"]["value"] > 0.9
    assert task["auroc"]["lower"] <= task["auroc"]["value"] <= task["auroc"]["upper"]
    assert task["hidden_state_auroc"]["value"] == 1.0
    assert {"count", "count_bins", "windowed", "demographics"} == {*task["baselines"]}
    assert any(name in task["verdict"] for name in task["baselines"])
    assert {row["attribute"] for row in task["subgroups"]} == {"gender", "race", "ethnicity", "age"}
    assert metrics["selection"]["recalibration"]["t"]["method"] in METHODS
    assert [len(metrics["selection"]["trainings"]), metrics["selection"]["best"]] != [1, None]
    tested = sum(SPLITS[n % 4] == "test" for n in range(PERSONS))
    assert task["samples"]["test"]["persons"] == tested
    assert sum(task["samples"]["test"]["persons_by_class"].values()) >= tested


def test_risks_are_those_of_the_recalibration_that_is_kept(trained, tmp_path):
    """Two tasks have one each; the saved model has them, and predicts the same."""
    labels = trained["samples"].to_pyarrow()
    second = labels.set_column(labels.column_names.index("task"), "task", [["u"] * len(labels)])
    samples = (
        trained["samples"].get_backend().create_table("two", pa.concat_tables([labels, second]))
    )
    options = replace(trained["options"], recalibration="intercept", method="frozen")
    inputs = (samples, trained["encoded"], trained["tokenizer"], trained["pretrained"], tmp_path)
    model, grid = nodes.train_classifier(*inputs, options, 1)
    assert set(grid["recalibration"]) == {"t", "u"}
    assert [found["method"] for found in model.config.recalibration] == ["intercept"] * 2
    model.save_pretrained(tmp_path / "model")
    again = type(model).from_pretrained(tmp_path / "model")
    given = (samples, trained["encoded"], trained["tokenizer"])
    rows = nodes.predict_samples(*given, again).to_pandas()
    line = Recalibration(**again.config.recalibration[0])
    of_task = rows[rows["task"] == "t"]
    expected = expit(line.apply(np.stack(of_task["logits"])[:, 1]))
    assert np.stack(of_task["probabilities"])[:, 1] == pytest.approx(expected)


@pytest.mark.parametrize(
    "changes",
    [{"proportions_per_label": (1, 1)}, {"tuneable_parameters": {"max_proportion": (None, 2.0)}}],
)
def test_several_tasks_are_not_balanced(trained, tmp_path, changes):
    labels = trained["samples"].to_pyarrow()
    second = labels.set_column(labels.column_names.index("task"), "task", [["u"] * len(labels)])
    two = ibis.memtable(pa.concat_tables([labels, second]))
    inputs = (two, trained["encoded"], trained["tokenizer"], trained["pretrained"], tmp_path)
    told = r"finetune\.(proportions_per_label|max_proportion) is for one task, and there are 2"
    with pytest.raises(ValueError, match=told):
        nodes.train_classifier(*inputs, replace(trained["options"], **changes), 1)
    assert not list(tmp_path.iterdir())


def test_subgroups_are_columns_of_demographics(trained):
    test = trained["data"]["demographics"]
    grouped = evaluation._subgroups(
        test.mutate(sample_id=ibis.literal("s"), task=ibis.literal("t")), test, ("race",)
    )
    assert grouped.columns == ("sample_id", "task", "race")
    with pytest.raises(ValueError, match=r"subgroups: demographics has no column shoe_size; its"):
        evaluation._subgroups(test, test, ("gender", "shoe_size"))


def test_finished_grid_points_are_not_trained_again(trained, monkeypatch):
    monkeypatch.setattr(
        "clm_ler.modeling.training.finetuning.initial_classifier",
        lambda *_: pytest.fail("a finished grid point was trained again"),
    )
    names = ("samples", "encoded", "tokenizer", "pretrained", "workspace", "options")
    _, grid = nodes.train_classifier(*(trained[name] for name in names), 1)
    assert grid == trained["grid"]


def test_leaks_are_found(trained):
    on_time = ibis.memtable([], schema={"person_id": "int64", "time": "timestamp"})
    clean = [trained[name] for name in ("candidates", "samples", "sequences")]
    clean += [on_time, on_time, *(trained[name] for name in ("encoded", "tokenizer", "options"))]
    fitted = (PreprocessOptions(tables={}, fit_on="train"), VocabOptions())
    report = report_leakage(*clean, *fitted)
    assert report["persons_in_two_splits"] == {
        "train, valid": 0,
        "train, test": 0,
        "valid, test": 0,
    }
    assert report["pretrained_on"] == {"valid": 0, "test": 0}
    assert report["warnings"] == []
    assert [point["days_before"] for point in report["time_shift_probe"]["t"]] == [0, 30]

    everyone = trained["sequences"].mutate(split=ibis.literal("train"))
    clean[2] = everyone
    report = report_leakage(*clean, PreprocessOptions(tables={}, fit_on="all"), VocabOptions())
    assert (
        report["pretrained_on"]["test"]
        == trained["samples"].filter(ibis._.split == "test").count().execute()
    )
    assert report["fitted_outside_train"] == ["unit_conversions and lab_percentiles"]
    assert len(report["warnings"]) == 2

    labels = trained["candidates"].filter(ibis._.person_id == 0)
    told_late = labels.select(
        "person_id",
        happened=ibis._.prediction_time,
        time=ibis._.prediction_time + ibis.interval(days=1),
    )
    told_before = told_late.mutate(time=ibis._.happened)
    clean[3] = ibis.union(told_late, told_late, told_before)
    moments = labels.select("prediction_time").distinct().count().execute()
    report = report_leakage(*clean, *fitted)
    assert moments > 0
    assert report["known_later"] == {"events": 2 * moments, "samples": moments}
