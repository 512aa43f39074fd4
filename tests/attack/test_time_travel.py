"""Nothing that happens after a prediction time changes a bit of what is predicted; and a leak is found.

`make attack` makes each of the changes alone, the short form each for some of the persons.
"""

import os
import uuid

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.options import PreprocessOptions, VocabOptions
from clm_ler.corridor.wiring import read_events, select_persons
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import (
    ClmLerForMaskedLM,
    ClmLerForSequenceClassification,
)
from clm_ler.pipelines import embed_at, finetune, predict, preprocess, split, vocab
from clm_ler.pipelines.ehrshot_eval import baselines, features
from clm_ler.pipelines.split.options import SplitOptions
from tests.attack.futures import CHANGES, COLUMNS, SECOND, changed, written
from tests.pipelines.ehrshot_eval import site as ehrshot
from tests.pipelines.outputs import outputs_of

pytestmark = pytest.mark.slow  # it embeds and predicts

SEED = 0 if "CI" in os.environ else int.from_bytes(os.urandom(4))
FUTURES = [[name] for name in CHANGES] if "ATTACK_SECONDS" in os.environ else [list(CHANGES)]
PERSONS, BLIND = 60, (7, 8, 9)
CODES = [("ICD10CM", f"I{n}") for n in range(10, 16)] + [("ICD10CM", "E11.9")]
LABS = ("2345-7", "2160-0")
EVENT = "person AS person_id, time AS date"
READING = PreprocessOptions(
    tables={
        "patient": {
            "select_expr": ["person AS person_id", "born AS px_birth_date", "sex AS px_gender"]
        },
        **{
            table: {
                "select_expr": [
                    *EVENT.split(", "),
                    f"system AS {short}_{table}_code_type",
                    f"code AS {short}_{table}_code",
                ]
            }
            for table, short in (("diagnosis", "dx"), ("prescription", "rx"), ("procedure", "pr"))
        },
        "lab": {
            "select_expr": [
                *EVENT.split(", "),
                *("system AS lx_lab_code_type", "code AS lx_lab_code"),
                *("value AS lx_result_val", "unit AS lx_result_unit"),
            ]
        },
    },
    number_of_days_threshold=0,
    min_history_size=1,
    min_loinc_counts=5,
    min_loinc_value_counts=5,
    results={"text_min_persons": 1, "without_unit": True},
    max_loss={},
)
OPTIONS = FinetuneOptions(
    checkpoints="", override_maxlen=32, head="hybrid", labels={"max_loss": 1.0}
)
PARAMETERS = {
    "params:preprocess": READING,
    "params:split": SplitOptions(train_ratio=0.6, validation_ratio=0.2, test_ratio=0.2),
    "params:vocab": VocabOptions(min_persons=1),
    "params:finetune": OPTIONS,
    "params:task": None,
    "params:seed": 1,
}
ABSENT = dict.fromkeys(
    (
        *("given_translations", "given_unit_conversions", "given_lab_percentiles"),
        *("predefined_splits", "pretraining_persons", "task_candidates", "parent_tokenizer"),
    )
)
MODELS = ("pretrained_model", "trained_classifier", "finetuned_model")
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


def simulated():
    """Events of everybody before and after a prediction, of some after it only; and when that is."""
    dice, day = np.random.default_rng(1), pd.Timedelta(days=1)
    when = pd.Series(
        [pd.Timestamp("2020-06-01 12:00") + day * int(n) for n in dice.integers(0, 90, PERSONS)],
        index=range(1, PERSONS + 1),
    )
    rows = []
    for person, time in when.items():
        first = 0.01 if person in BLIND else -150
        times = [time + day * n for n in dice.uniform(first, 150, 20)] + [time + SECOND]
        times += [] if person in BLIND else [time - SECOND, time]
        for number, moment in enumerate(times):
            if number % 3:
                table = ("diagnosis", "prescription", "procedure")[number % 7 % 3]
                rows.append((table, person, moment, *CODES[dice.integers(len(CODES))], None, None))
            else:
                value = f"{dice.normal(100, 20):.2f}"
                rows.append(("lab", person, moment, "LOINC", LABS[number % 2], value, "mg/dL"))
    events = pd.DataFrame(rows, columns=COLUMNS)
    return events.assign(time=written(events["time"])), when


EVENTS, WHEN = simulated()
BACKEND = ibis.duckdb.connect()


def as_table(frame, **kinds):
    schema = ibis.schema(dict.fromkeys(frame.columns, "string") | kinds)
    return held(pa.Table.from_pandas(frame, schema.to_pyarrow(), preserve_index=False))


def held(rows):
    return BACKEND.create_table(uuid.uuid4().hex, rows)


def stored(pipeline, inputs, *wanted):
    """The inputs, and one output after another as the catalog keeps it; what is given is not made again."""
    made = dict(inputs)
    for name in wanted:
        given = pipeline.all_outputs() & made.keys()
        part = pipeline - pipeline.only_nodes_with_outputs(*given)
        made[name] = kept(name, outputs_of(part, made, name)[name])
    return made


def kept(name, data):
    if isinstance(data, pa.RecordBatchReader):
        return data.read_all()
    if not isinstance(data, ibis.Table):
        return data
    rows = data.to_pyarrow()
    return rows.sort_by("person_id") if name.endswith("encoded") else held(rows)


def raw_tables(events):
    """The tables of a hospital, and what is asked of it."""
    numbers = {"person": "int64"}
    patients = pd.DataFrame({"person": WHEN.index, "born": "1950-01-01", "sex": "F"})
    patients.loc[patients["person"] % 5 == 0, "born"] = None
    times = pd.DataFrame({"person_id": WHEN.index, "prediction_time": written(WHEN.to_numpy())})
    labels = times.assign(label=(WHEN.index % 2).astype(str), task="t")
    tables = {
        table: as_table(events[events["table"] == table].drop(columns="table"), **numbers)
        for table in ("diagnosis", "prescription", "procedure", "lab")
    }
    return tables | {
        "patient": as_table(patients, **numbers),
        "prediction_times": as_table(times, person_id="int64"),
        "raw_labels": as_table(labels, person_id="int64"),
    }


@pytest.fixture(scope="module")
def fitted():
    """What was fitted once, and models with random weights."""
    pipeline = split.create_pipeline() + preprocess.create_pipeline() + vocab.create_pipeline()
    wanted = ("unit_conversions", "lab_percentiles", "sequences", "tokenizer")
    made = stored(pipeline, read(EVENTS), "person_splits", "lab_value_counts", *wanted)
    torch.manual_seed(0)
    config = ClmLerConfig(vocab_size=len(made["tokenizer"]), intermediate_size=32, **SIZES)
    model = ClmLerForSequenceClassification(config)
    settings = {"tasks": ["t"], "window_length": 32, "calibration_temperature": 1.5}
    for name, value in settings.items():
        setattr(model.config, name, value)
    made |= dict.fromkeys(MODELS, model.eval()) | {
        "pretrained_model": ClmLerForMaskedLM(config).eval()
    }
    known = ("unit_conversions", "lab_percentiles", "tokenizer", "finetuned_model")
    tuned = ("labelled_sequences", "labelled_encoded", "samples", "hybrid_head")
    hybrid = stored(finetune.create_pipeline(), made, *tuned)["hybrid_head"]
    names = ("unit_conversions", "lab_percentiles", "person_splits", "tokenizer")
    fitted = {name: made[name] for name in (*names, *MODELS)}
    return (
        fitted | {f"trained_{name}": made[name] for name in known} | {"trained_hybrid_head": hybrid}
    )


def read(events):
    """The tables of the corridor, and what else pipelines ask for."""
    wanted = ("demographics", "person_ids", "coded_events", "lab_events")
    raw = raw_tables(events) | ABSENT | PARAMETERS
    return stored(select_persons() + read_events(), raw, *wanted)


def visible(samples, encoded):
    """The tokens, bins and days that each sample sees."""
    rows = {row["person_id"]: row for row in encoded.to_pylist()}
    return [
        (sample, {name: rows[sample["person_id"]][name][: sample["n_positions"]] for name in names})
        for sample in samples.order_by("sample_id").to_pyarrow().to_pylist()
        for names in [("input_ids", "token_type_ids", "position_ids")]
    ]


def seen(events, fitted):
    """What ``finetune``, ``embed_at`` and ``predict`` make of the events, by name."""
    given = read(events) | fitted
    sequences = ("labelled_sequences", "labelled_encoded", "samples")
    tuned = stored(
        finetune.create_pipeline(),
        given,
        *sequences,
        "finetune_predictions",
        "baseline_predictions",
    )
    timed = ("timed_persons", "timed_sequences", "timed_encoded", "timed_samples")
    at = stored(embed_at.create_pipeline(), given, *timed, "timed_embeddings")
    new = ("new_demographics", "new_person_ids", "new_coded_events", "new_lab_events")
    new += ("new_unit_conversions", "new_sequences", "new_encoded")
    risks = stored(predict.create_pipeline(), given, *new, "predictions", "hybrid_predictions")
    return {
        "samples": visible(tuned["samples"], tuned["labelled_encoded"]),
        "timed_samples": visible(at["timed_samples"], at["timed_encoded"]),
        **{name: rows_of(tuned[name]) for name in ("finetune_predictions", "baseline_predictions")},
        "embeddings": rows_of(at["timed_embeddings"]),
        **{name: rows_of(risks[name]) for name in ("predictions", "hybrid_predictions")},
    }


def rows_of(table):
    rows = table.to_pyarrow() if isinstance(table, ibis.Table) else table
    return sorted(rows.to_pylist(), key=repr)


@pytest.fixture(scope="module")
def before(fitted):
    return seen(EVENTS, fitted)


@pytest.mark.parametrize("names", FUTURES, ids=lambda names: names[0] if len(names) == 1 else "all")
def test_no_other_future_changes_a_bit(fitted, before, names):
    after = seen(changed(EVENTS, WHEN, [CHANGES[name] for name in names], SEED), fitted)
    assert len(before["predictions"]) == len(before["samples"]) == PERSONS - len(BLIND)
    different = [name for name in before if before[name] != after[name]]
    assert different == [], f"seed {SEED}"


@pytest.mark.skipif("ATTACK_SECONDS" not in os.environ, reason="it takes as long as all others")
def test_another_past_does_change_everything(fitted, before):
    """Else the test above could not fail: an event at the prediction time is not after it."""
    past = EVENTS["time"] == EVENTS["person"].map(written(WHEN))
    after = seen(
        EVENTS.assign(code=EVENTS["code"].mask(past & EVENTS["value"].isna(), "I15")), fitted
    )
    assert [name for name in before if before[name] == after[name]] == []


def benchmark_features(events, site, fitted, tmp_path):
    """What classifiers of the benchmark see of each sample."""
    options = ehrshot.options(tmp_path, min_persons=1)
    found = ehrshot.features_of(events, site, fitted, options)
    seen = found["ehrshot_seen"].order_by("person_id", "prediction_time").to_pandas()
    ages = features.age_features(seen, found["ehrshot_count_tokens"])
    ancestors = ibis.memtable({"token": ["SNOMED/111"], "ancestor": ["SNOMED/1"]})
    tables = found["ehrshot_count_tokens"], ancestors
    simple = found["ehrshot_untrained_embeddings"], (), found["ehrshot_demographics"]
    frozen = features.embedding_features(found["ehrshot_embeddings"], ())
    beside = found["ehrshot_valued_events"], found["ehrshot_samples"]
    made = {
        "clm_ler": frozen,
        **features.counted_features(seen, *tables, ages, options),
        **baselines.simple_features(seen, *simple, ages, options),
        **baselines.windowed_beside(frozen, seen, *beside, ages, options, tmp_path),
    }
    rows = {name: one.rows(seen) for name, one in made.items()}
    dense = {name: r.toarray() if hasattr(r, "toarray") else r for name, r in rows.items()}
    return seen, dense


def benchmark_events(events):
    """The events as one file of the benchmark."""
    code = events["system"].fillna("") + "/" + events["code"].fillna("")
    named = events.assign(code=code, end="2031-01-01 00:00:00").rename(
        columns={"person": "patient_id", "time": "start"}
    )
    return named[["patient_id", "start", "end", "code", "value", "unit"]]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """The tiny site, its events in the form of ``futures``, and what is seen of it."""
    site = ehrshot.make_site()
    events = site["events"]
    parts = events["code"].str.split("/", n=1, expand=True)
    table = np.where(events["value"].isna(), "diagnosis", "lab")
    events = events.assign(table=table, system=parts[0], code=parts[1])
    events = events.rename(columns={"patient_id": "person", "start": "time"})[COLUMNS]
    labels = site["labels"].set_index("patient_id")["prediction_time"]
    when = pd.to_datetime(labels)
    later = events.assign(time=written(pd.to_datetime(events["time"]) + pd.Timedelta(days=400)))
    blind = events["person"].isin(BLIND)
    # Somebody told of, and nobody's events, before the prediction.
    told = events["system"].isin(["Gender"]) & blind
    past = pd.concat([events[~blind | told], later[~told]], ignore_index=True)
    fitted = ehrshot.fit(site)
    folder = tmp_path_factory.mktemp("benchmark")
    return (
        site,
        past,
        when,
        fitted,
        benchmark_features(benchmark_events(past), site, fitted, folder),
    )


@pytest.mark.parametrize("names", FUTURES, ids=lambda names: names[0] if len(names) == 1 else "all")
def test_no_other_future_changes_a_feature_of_the_benchmark(
    benchmark, tmp_path, monkeypatch, names
):
    # Of some futures most rows cannot be read, and that is refused elsewhere.
    lenient = ehrshot.LABS.model_copy(update={"max_loss": {}})
    monkeypatch.setattr(ehrshot, "LABS", lenient)
    site, past, when, fitted, before = benchmark
    future = changed(past, when, [CHANGES[name] for name in names], SEED)
    after = benchmark_features(benchmark_events(future), site, fitted, tmp_path)
    assert before[0].equals(after[0]), f"seed {SEED}"
    assert set(before[1]) == set(ehrshot.MODELS)
    different = [
        name for name, rows in before[1].items() if not np.array_equal(rows, after[1][name])
    ]
    assert different == [], f"seed {SEED}"


@pytest.fixture(scope="module")
def audited(fitted):
    """What the leakage audit looks at."""
    wanted = ("labelled_sequences", "labelled_encoded", "sample_candidates", "samples")
    made = stored(finetune.create_pipeline(), read(EVENTS) | fitted, *wanted)
    return made | {"sequences": made["labelled_sequences"].filter(ibis._.split == "nobody")}


def in_two_splits(made):
    samples = made["samples"]
    once = samples.filter(samples.split == "test").limit(1)
    again = once.mutate(split=ibis.literal("train"), sample_id=ibis.literal("again"))
    return {"samples": held(samples.union(again).to_pyarrow())}


def trained_on(made):
    return {"sequences": made["labelled_sequences"].mutate(split=ibis.literal("train"))}


def sees(more):
    def plant(made):
        samples = made["samples"].to_pyarrow()
        lengths = {
            row["person_id"]: len(row["input_ids"]) for row in rows_of(made["labelled_encoded"])
        }
        ends = [
            min(row["n_positions"] + more, lengths[row["person_id"]]) for row in samples.to_pylist()
        ]
        place = samples.column_names.index("n_positions")
        return {
            "samples": held(samples.set_column(place, "n_positions", pa.array(ends, pa.int32())))
        }

    return plant


def recorded_before_it_is_predicted(made):
    """The last thing that each sample sees is its outcome."""
    words = made["tokenizer"].get_vocab()
    outcome, other = words["ICD10CM:E11.9"], words["ICD10CM:I10"]
    samples = {row["person_id"]: row for row in rows_of(made["samples"])}
    encoded, ids = made["labelled_encoded"], []
    for row in encoded.to_pylist():
        seen = [other if token == outcome else token for token in row["input_ids"]]
        if sample := samples.get(row["person_id"]):
            seen[sample["n_positions"] - 1] = outcome if sample["label"] else other
        ids.append(seen)
    place, kind = encoded.column_names.index("input_ids"), encoded.schema.field("input_ids").type
    return {"labelled_encoded": encoded.set_column(place, "input_ids", pa.array(ids, kind))}


PLANTS = {
    "nothing": (lambda made: {}, []),
    "a person in two splits": (in_two_splits, ["in more than one split"]),
    "pre-trained on everybody": (trained_on, ["pre-trained on persons of the valid or test"]),
    "labs fitted on everybody": (
        lambda made: {"params:preprocess": READING.model_copy(update={"fit_on": "all"})},
        ["Fitted outside the train split: unit_conversions and lab_percentiles"],
    ),
    "tokenizer fitted on everybody": (
        lambda made: {"params:vocab": VocabOptions(fit_on="all")},
        ["Fitted outside the train split: tokenizer"],
    ),
    "sees all": (sees(1000), ["samples see days after their prediction"]),
    "sees three events more": (sees(3), ["samples see days after their prediction"]),
    "outcomes recorded before": (recorded_before_it_is_predicted, ["are outcomes recorded before"]),
}


@pytest.mark.parametrize("name", PLANTS)
def test_the_audit_finds_a_planted_leak(audited, name):
    plant, expected = PLANTS[name]
    made = audited | plant(audited)
    report = stored(finetune.create_pipeline(), made, "leakage_report")["leakage_report"]
    for words in expected:
        assert any(words in warning for warning in report["warnings"]), report
    assert bool(expected) == bool(report["warnings"])
