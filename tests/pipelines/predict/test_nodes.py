from dataclasses import replace
from datetime import datetime, timedelta

import ibis
import numpy as np
import pytest
import torch

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.corridor.samples import export_embeddings
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.vocabulary import vocabulary_digest
from clm_ler.modeling.evaluation.counts import last_visible_days
from clm_ler.modeling.inference import embed, predict_proba
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import (
    ClmLerForMaskedLM,
    ClmLerForSequenceClassification,
)
from clm_ler.modeling.training.hybrid import Hybrid, fit_hybrid, hybrid_inputs
from clm_ler.pipelines.predict import nodes
from tests.modeling.test_inference import (
    FIRST_CODE,
    TOKENS,
    VOCABULARY,
    WINDOW,
    make_store,
    make_table,
    whole_rows,
)

pytestmark = pytest.mark.slow  # it trains models

SIZES = {
    "vocab_size": len(TOKENS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.5,
}
PEOPLE = [[(day, FIRST_CODE + day % 7, 0) for day in range(1, 3 + n)] for n in range(9)]


PERSON_IDS = ibis.schema({"person_id": "int64", "own_id": "string"})
NUMBERS = ibis.memtable([], schema=PERSON_IDS)


class Tokenizer:
    """What is asked of a tokenizer."""

    init_kwargs = {"bin_labels": [str(number) for number in range(10)]}

    def __len__(self):
        return len(TOKENS)

    def get_vocab(self):
        return {token: number for number, token in enumerate(TOKENS)}


PREDICTED = ("probabilities", "training_above")


def make_model(**changes):
    torch.manual_seed(0)
    model = ClmLerForSequenceClassification(ClmLerConfig(**SIZES, num_labels=2))
    settings = {
        "tasks": ["t"],
        "window_length": WINDOW.override_maxlen,
        "calibration_temperature": 2.0,
    }
    for name, value in (settings | changes).items():
        setattr(model.config, name, value)
    return model


def predict(person_ids, model, times=None, sequences=None):
    options = PreprocessOptions(tables={})
    given = make_table(PEOPLE), sequences, person_ids, times, Tokenizer()
    return nodes.predict_persons(*given, model, options)


def test_everyone_is_predicted_from_the_whole_history(monkeypatch):
    monkeypatch.setattr(nodes, "PERSONS_PER_CHUNK", 4)
    model = make_model()
    table = predict(NUMBERS, model).read_all()
    store = make_store(PEOPLE)
    expected = predict_proba(model, store, whole_rows(store, np.arange(9)), VOCABULARY, WINDOW)
    assert table["person_id"].to_pylist() == list(range(9))
    assert set(table["task"].to_pylist()) == {"t"}
    assert np.array(table["probabilities"].to_pylist()) == pytest.approx(expected, abs=1e-5)


def test_each_task_of_several_has_rows_of_its_own():
    model = make_model(tasks=["a", "b"], problem_type="multi_label_classification")
    table = predict(NUMBERS, model).read_all().to_pandas()
    assert table.groupby("task").size().to_dict() == {"a": 9, "b": 9}
    assert np.stack(table["probabilities"]).sum(axis=1) == pytest.approx(1)


def test_a_hybrid_predicts_in_a_table_of_its_own():
    model, store = make_model(), make_store(PEOPLE * 4)
    samples = whole_rows(store, np.arange(36))
    days = last_visible_days(store, samples.rows, samples.ends)
    inputs = hybrid_inputs(model, store, replace(samples, days=days), VOCABULARY)
    labels = (store.lengths % 2).astype(np.int64)
    splits = np.array(["train", "valid", "valid"] * 12)
    hybrid = fit_hybrid(model, inputs, labels, splits)
    given = (make_table(PEOPLE * 4), None, NUMBERS, None, Tokenizer())
    options = PreprocessOptions(tables={})
    table = nodes.predict_hybrid(*given, model, hybrid, options).read_all()
    expected = hybrid.predict(inputs)
    assert np.array(table["probabilities"].to_pylist()) == pytest.approx(expected, abs=1e-5)
    assert table.schema == nodes.predict_persons(*given, model, options).schema
    for nothing in (None, Hybrid()):
        assert nodes.predict_hybrid(*given, model, nothing, options).read_all().num_rows == 0
    other = make_model()
    other.classifier.bias.data += 1
    with pytest.raises(ValueError, match="another finetuned_model"):
        nodes.predict_hybrid(*given, other, hybrid, options)


def test_a_table_of_times_says_what_is_seen(caplog):
    """The history until then, as a cut one would be; who has none yet is counted."""
    con = ibis.duckdb.connect()
    first = datetime(2020, 1, 1)
    histories = [
        {
            "person_id": person,
            "split": "new",
            "sorted_event_tokens": ["x"] * len(events),
            "day_position_tokens": [day for day, *_ in events],
            "date": [first + timedelta(days=day - 1) for day, *_ in events],
        }
        for person, events in enumerate(PEOPLE)
    ]
    sequences = con.create_table("sequences", ibis.memtable(histories))
    times = [
        ("8", "2020-01-03T23:30:00-02:00"),
        ("8", "2020-01-05"),
        ("3", "2019"),
        ("3", "2020-01-02"),
    ]
    columns = dict(zip(("person_id", "prediction_time"), zip(*times, strict=True), strict=True))
    table = predict(
        NUMBERS, make_model(), con.create_table("times", ibis.memtable(columns)), sequences
    )
    found = table.read_all()
    assert found["person_id"].to_pylist() == [3, 8, 8]
    assert "1 of 4 prediction times see no event" in caplog.text
    store = make_store(PEOPLE)
    seen = Samples.unlabelled(np.array([3, 8, 8]), np.array([2, 4, 5]), np.array([2, 4, 5]))
    expected = predict_proba(make_model(), store, seen, VOCABULARY, WINDOW)
    assert np.array(found["probabilities"].to_pylist()) == pytest.approx(expected, abs=1e-5)


def test_who_is_skipped_is_told_and_why(caplog):
    persons = ibis.memtable({"person_id": [1, 2, 3]})
    predicted = ibis.memtable({"person_id": [1, 3]})
    options = PreprocessOptions(tables={})
    found = nodes.list_skipped(persons, predicted, NUMBERS, None, options)
    assert found.to_pyarrow().to_pylist() == [{"person_id": 2, "reason": nodes.NO_EVENT}]
    times = [(1, "2020-01-01"), (1, "2021-01-01"), (9, "2021-01-01")]
    columns = dict(zip(("person_id", "prediction_time"), zip(*times, strict=True), strict=True))
    moment = {"person_id": [1], "prediction_time": [datetime(2021, 1, 1)]}
    own = ibis.memtable({"person_id": [1, 9], "own_id": ["P-1", "P-9"]}, schema=PERSON_IDS)
    con = ibis.duckdb.connect()
    times = con.create_table("times", ibis.memtable(columns))
    asked = (persons, ibis.memtable(moment), own, times, options)
    rows = nodes.list_skipped(*asked).to_pyarrow().to_pylist()
    told = {row["own_id"]: (row["prediction_time"], row["reason"]) for row in rows}
    assert told == {
        "P-1": (datetime(2020, 1, 1), nodes.NO_EVENT_YET),
        "P-9": (datetime(2021, 1, 1), nodes.NOBODY),
    }
    assert "1 without a prediction: not among the persons." in caplog.text


def test_each_risk_stands_among_those_of_the_training():
    bounds = [np.linspace(0.01, 0.99, 99).tolist()] * 2
    table = predict(NUMBERS, make_model(training_risks=bounds)).read_all()
    risks, above = (np.array(table[name].to_pylist()) for name in PREDICTED)
    assert above == pytest.approx((1 - risks).clip(0.01, 0.99), abs=1e-9)
    unknown = predict(NUMBERS, make_model()).read_all()
    assert unknown["training_above"].to_pylist() == [[None, None]] * 9


def test_only_those_are_read_who_are_asked_about():
    everybody = ibis.memtable({"person_id": [1, 2, 3]})
    assert nodes.mark_new(everybody, None).count().execute() == 3
    asked = ibis.memtable({"subject_id": [3, 3], "prediction_time": ["2020-01-01", "2021-01-01"]})
    found = nodes.mark_new(everybody, asked).to_pyarrow().to_pylist()
    assert found == [{"person_id": 3, "split": "new"}]


def test_predictions_carry_the_ids_of_the_data():
    own = ibis.memtable({"person_id": [7, 2], "own_id": ["P-7", "P-2"]}, schema=PERSON_IDS)
    table = predict(own, make_model()).read_all()
    names = dict(zip(table["person_id"].to_pylist(), table["own_id"].to_pylist(), strict=True))
    assert names == {n: str(n) for n in range(9)} | {7: "P-7", 2: "P-2"}


@pytest.mark.parametrize("other", [{"vocab_size": 7}, {"vocabulary_digest": "of another"}])
def test_a_tokenizer_of_another_training_is_refused(other):
    with pytest.raises(ValueError, match="is not the one that the model"):
        predict(NUMBERS, make_model(**other))


def test_the_tokenizer_of_the_training_is_known_by_its_digest():
    model = make_model(vocabulary_digest=vocabulary_digest(Tokenizer()))
    assert predict(NUMBERS, model).read_all().num_rows == 9


def test_one_vector_per_sample_of_what_it_may_see():
    samples = ibis.memtable(
        {
            "sample_id": ["c", "a", "a", "b"],
            "person_id": [8, 3, 3, 8],
            "prediction_time": [None] * 4,
            "split": ["test"] * 4,
            "task": ["t", "t", "u", "t"],
            "n_positions": [12, 4, 4, 5],
            "prediction_day": [None] * 4,
        },
        schema={
            "sample_id": "string",
            "person_id": "int64",
            "prediction_time": "timestamp",
            "split": "string",
            "task": "string",
            "n_positions": "int32",
            "prediction_day": "int32",
        },
    )
    samples = ibis.duckdb.connect().create_table("samples", samples)
    torch.manual_seed(0)
    pretrained = ClmLerForMaskedLM(ClmLerConfig(**SIZES))
    options = FinetuneOptions(checkpoints="", override_maxlen=WINDOW.override_maxlen)
    table = export_embeddings(
        samples, make_table(PEOPLE), Tokenizer(), pretrained, options
    ).read_all()
    expected = embed(
        pretrained.clm_ler,
        make_store(PEOPLE),
        Samples.unlabelled(np.array([3, 8, 8]), np.array([4, 5, 12]), np.array([1, 1, 1])),
        VOCABULARY,
        WINDOW,
    )
    assert table["sample_id"].to_pylist() == ["a", "b", "c"]
    assert np.array(table["embedding"].to_pylist()) == pytest.approx(expected, abs=1e-6)
