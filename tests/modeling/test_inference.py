"""What comes after the last visible position must not change a bit of any result."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from clm_ler.modeling import inference
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, cut
from clm_ler.modeling.evaluation.counts import ages, count_features
from clm_ler.modeling.inference import embed, predict_logits, predict_proba, sample_windows
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForSequenceClassification
from clm_ler.tokens import SPECIAL_TOKENS

TOKENS = [*SPECIAL_TOKENS, "AGE:40", "AGE:41", "GENDER:F", *(f"ICD10CM:{n}" for n in range(20))]
VOCABULARY = Vocabulary.from_tokens({token: i for i, token in enumerate(TOKENS)}, bins=10)
FIRST_CODE = TOKENS.index("ICD10CM:0")
WINDOW = WindowOptions(override_maxlen=16)


def make_table(histories: list[list[tuple[int, int, int]]]) -> pa.Table:
    """Encoded persons, each a list of (day, token, lab bin) after the baseline."""
    baseline = [(0, TOKENS.index("AGE:40"), 0), (0, TOKENS.index("GENDER:F"), 0)]
    columns = list(
        zip(*[zip(*(baseline + events), strict=True) for events in histories], strict=True)
    )
    days, tokens, bins = columns
    return pa.table(
        {
            "person_id": pa.array(range(len(histories)), pa.int64()),
            "split": ["train"] * len(histories),
            "birth_to_start": pa.array([40 * 365] * len(histories), pa.int32()),
            "input_ids": pa.array(tokens, pa.list_(pa.int32())),
            "token_type_ids": pa.array(bins, pa.list_(pa.uint8())),
            "position_ids": pa.array(days, pa.list_(pa.int32())),
        }
    )


def make_store(histories: list[list[tuple[int, int, int]]]) -> TokenStore:
    return TokenStore.from_arrow(make_table(histories))


def random_history(rng: np.random.Generator, events: int) -> list[tuple[int, int, int]]:
    days = np.sort(rng.integers(1, 400, events))
    tokens = rng.integers(FIRST_CODE, len(TOKENS), events)
    return list(
        zip(days.tolist(), tokens.tolist(), rng.integers(0, 11, events).tolist(), strict=True)
    )


def whole_rows(store: TokenStore, rows: np.ndarray) -> Samples:
    return Samples.unlabelled(rows, store.lengths[rows], np.full(len(rows), 400))


@pytest.fixture(scope="module", params=["mean", "query", "query+mean"])
def model(request: pytest.FixtureRequest) -> ClmLerForSequenceClassification:
    torch.manual_seed(0)
    config = ClmLerConfig(
        query_token="query" in request.param,
        pooling=request.param,
        vocab_size=len(TOKENS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.5,
    )
    return ClmLerForSequenceClassification(config)


@pytest.mark.parametrize("change", ["change", "add", "delete"])
def test_nothing_after_the_end_changes_a_bit(model, change):
    rng = np.random.default_rng(1)
    past = [random_history(rng, int(n)) for n in rng.integers(0, 40, 30)]
    future = {
        "change": [random_history(rng, 25) for _ in past],
        "add": [random_history(rng, 60) for _ in past],
        "delete": [[] for _ in past],
    }[change]
    rows, ends = np.arange(len(past)), np.array([2 + len(history) for history in past])
    samples = Samples.unlabelled(rows, ends, np.full(len(rows), 400))
    before = make_store([a + random_history(rng, 25) for a in past])
    after = make_store([a + b for a, b in zip(past, future, strict=True)])
    for store in (before, after):
        assert predict_logits(model, store, samples, VOCABULARY, WINDOW).std() > 0
    arguments = (samples, VOCABULARY, WINDOW, 64)
    assert np.array_equal(
        predict_logits(model, before, *arguments), predict_logits(model, after, *arguments)
    )
    assert np.array_equal(
        embed(model.clm_ler, before, *arguments), embed(model.clm_ler, after, *arguments)
    )
    counts = [
        count_features(store, samples, len(TOKENS), lab_bins=10, time_bins=(30,))
        for store in (before, after)
    ]
    assert (counts[0] != counts[1]).nnz == 0


def test_a_query_token_tells_when_it_is_asked(model):
    store, rows = make_store([[(1, FIRST_CODE, 0), (30, FIRST_CODE + 1, 3)]]), np.array([0, 0])
    samples = Samples.unlabelled(rows, store.lengths[rows], np.array([30, 300]))
    first, second = embed(model.clm_ler, store, samples, VOCABULARY, WINDOW)
    assert np.array_equal(first, second) != model.config.query_token
    assert len(first) == (32 if model.config.pooling == "query+mean" else 16)


def test_batches_do_not_change_the_results(model):
    rng = np.random.default_rng(2)
    store = make_store([random_history(rng, int(n)) for n in rng.integers(0, 40, 30)])
    samples = whole_rows(store, rng.integers(0, 30, 50))
    small, large = (
        predict_logits(model, store, samples, VOCABULARY, WINDOW, budget) for budget in (16, 4096)
    )
    assert small == pytest.approx(large, abs=1e-5)


def test_probabilities_use_the_temperature_and_the_kind_of_problem(model):
    store = make_store([[(1, FIRST_CODE, 0)], [(1, FIRST_CODE + 1, 3)]])
    arguments = (store, whole_rows(store, np.arange(2)), VOCABULARY, WINDOW)
    plain = predict_proba(model, *arguments)
    assert plain.sum(axis=1) == pytest.approx(1)
    model.config.calibration_temperature = 4.0
    softer = predict_proba(model, *arguments)
    del model.config.calibration_temperature
    assert softer.max() < plain.max()
    model.config.problem_type = "multi_label_classification"
    assert predict_proba(model, *arguments).sum() != pytest.approx(2)
    model.config.problem_type = None


def test_counts_by_lab_bin_and_period():
    store = make_store(
        [[(1, FIRST_CODE, 0), (80, FIRST_CODE, 2), (100, FIRST_CODE, 2), (300, 9, 0)]]
    )
    size = len(TOKENS)
    samples = Samples.unlabelled(np.array([0, 0]), np.array([5, 6]), np.array([100, 300]))
    plain = count_features(store, samples, size)
    assert plain[0, FIRST_CODE] == 3
    assert plain[1].sum() == 6
    binned = count_features(store, samples[:1], size, lab_bins=10, time_bins=(30,))
    recent, earlier = 2 * size + FIRST_CODE, 11 * size + FIRST_CODE
    assert binned.shape == (1, 2 * 11 * size)
    assert binned[0, recent] == 2  # days 80 and 100, seen from day 100
    assert binned[0, earlier] == 1
    asked_later = replace(samples[:1], days=np.array([115]))
    later = count_features(store, asked_later, size, time_bins=(30,))
    assert later[0, FIRST_CODE] == 1  # only day 100 is within 30 days of day 115


def test_age_on_the_day_of_the_prediction():
    store = make_store([[(1, FIRST_CODE, 0), (366, FIRST_CODE, 0)]])
    rows, ends, days = np.array([0, 0, 0]), np.array([0, 3, 4]), np.array([0, 1, 366])
    assert ages(store, Samples.unlabelled(rows, ends, days)) == pytest.approx([40, 40, 41])


def test_the_number_of_threads_changes_no_bit_and_is_left_as_it_was(model):
    rng = np.random.default_rng(3)
    store = make_store([random_history(rng, int(n)) for n in rng.integers(1, 60, 40)])
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            arguments = (store, whole_rows(store, np.arange(40)), VOCABULARY, WINDOW)
            found.append(predict_logits(model, *arguments, tokens_per_batch=64))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert found[0].std() > 0
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_the_whole_model_is_where_it_computes(model, monkeypatch):
    """The device "meta", which every machine has, stands in for a GPU."""
    monkeypatch.setattr(inference, "device", lambda: torch.device("meta"))
    elsewhere = deepcopy(model)
    elsewhere.clm_ler.to("meta")  # as embeddings for a new head leave it
    assert elsewhere.classifier.weight.device.type == "cpu"

    def work(index: np.ndarray) -> set[str]:
        return {values.device.type for values in elsewhere.state_dict().values()}

    found = list(inference.by_batch(elsewhere, np.full(4, 8), 16, work))
    assert [len(index) for index, _devices in found] == [2, 2]
    assert all(devices == {"meta"} for _index, devices in found)


@pytest.mark.parametrize(
    ("asks", "age"),
    [
        ({"query_token": True, "query_person": True}, "AGE:41"),
        ({"query_token": True}, "AGE:40"),
        ({}, "AGE:40"),
    ],
)
def test_a_model_is_told_the_age_that_it_was_trained_with(asks: dict[str, bool], age: str) -> None:
    store = make_store([[(1, FIRST_CODE, 0), (390, FIRST_CODE, 0)]])
    windows = sample_windows(store, whole_rows(store, np.arange(1)), WINDOW, ClmLerConfig(**asks))
    shown = cut(store, windows, VOCABULARY).input_ids
    assert [TOKENS[number] for number in shown if TOKENS[number].startswith("AGE")] == [age]
