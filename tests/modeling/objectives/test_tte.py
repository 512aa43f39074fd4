"""Targets of the time after a query, against a plain reading of each person's events."""

from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.modeling.data.batches import collate
from clm_ler.modeling.data.packing import pack, renumber
from clm_ler.modeling.data.windows import WindowOptions, cut, evaluation_windows, query_windows
from clm_ler.modeling.loading import build_model, number_labs
from clm_ler.modeling.objectives import tte
from clm_ler.modeling.objectives.base import measure, model_sums
from clm_ler.modeling.objectives.mlm import MlmOptions
from clm_ler.modeling.objectives.mlm_and_tte import MlmAndTte
from clm_ler.modeling.objectives.tte import Tte, TteOptions
from clm_ler.modeling.objectives.tte_targets import choose_targets
from clm_ler.modeling.training.loaders import BatchRecipe, evaluation_loader
from tests.modeling.persons import BINS, CODES, IDS, TOKENS, VOCABULARY, Person, make_store, persons


@dataclass(frozen=True)
class Options(TteOptions, MlmOptions, WindowOptions):
    event_min_persons: int = 1
    override_maxlen: int = 32
    model_type: str = "clm_ler"
    bin_loss_weight: float = 1.0


OPTIONS = Options()
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "hidden_dropout_prob": 0.0,
}


def objective_of(store: Any, kind: Any = Tte) -> Any:
    targets = kind.fit(OPTIONS, store, VOCABULARY)
    return kind.create(OPTIONS, VOCABULARY, TOKENS, targets), targets


def model_of(objective: Any) -> Any:
    torch.manual_seed(0)
    labs = [IDS[code] for code in CODES[:-1]]  # of the last one nothing was known in training
    chosen = SIZES | objective.configure() | {"lab_rows": len(labs)}
    model = build_model("clm_ler", len(TOKENS), BINS, chosen)
    number_labs(model, np.array(labs))
    objective.start(model)
    return model.eval()


def batch_of(objective: Any, store: Any, windows: Any) -> dict[str, Any]:
    tokens = cut(store, windows, VOCABULARY)
    tokens, targets = objective.make(
        tokens, windows, store, np.random.default_rng(0), evaluation=False
    )
    batch = collate(tokens, VOCABULARY)
    places = torch.from_numpy(np.flatnonzero(batch["attention_mask"].numpy()))
    tensors = {name: torch.from_numpy(values) for name, values in targets.values.items()}
    tensors["items"] = torch.as_tensor(targets.items)
    return batch | {"targets": renumber(tensors, places)}


def plain_targets(person: Person, end: int, day: int) -> tuple[dict[Any, int], dict[int, int]]:
    """The day of the first coming event of each target, and the next bin of each lab within a year."""
    first: dict[Any, int] = {}
    bins: dict[int, int] = {}
    for when, code, lab_bin in person.events[end:]:
        first.setdefault(("code", code), when - day)
        if lab_bin in (1, BINS):
            first.setdefault(("low" if lab_bin == 1 else "high", code), when - day)
        if lab_bin and when - day <= 365:
            bins.setdefault(code, lab_bin)
    return first, bins


@given(st.lists(persons(last_day=500), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_targets_are_the_first_coming_events(people: list[Person], seed: int) -> None:
    store = make_store(people, rows_per_chunk=2)
    objective, targets = objective_of(store)
    rows = np.arange(len(people))
    windows = query_windows(store, rows, OPTIONS, np.random.default_rng(seed))
    values = objective.make(
        cut(store, windows, VOCABULARY), windows, store, np.random.default_rng(0), evaluation=False
    )[1].values
    names = list(zip(targets["kind"].to_pylist(), targets["token_id"].to_pylist(), strict=True))
    for row, person in enumerate(people):
        end = int(windows.firsts[row] + windows.events[row]) - len(person.baseline)
        day = int(windows.query_days[row])
        first, bins = plain_targets(person, end, day)
        mine = values["event_query"] == row
        got = zip(values["event_target"][mine], values["event_days"][mine], strict=True)
        assert {names[target]: int(days) for target, days in got} == first
        mine = values["bin_query"] == row
        got = zip(values["bin_code"][mine], values["next_bin"][mine] + 1, strict=True)
        assert dict(got) == bins
        coming = [when - day for when, _, _ in person.events[end:]]
        assert values["followed"][row] == (coming[-1] if coming else 0)


def test_visits_are_counted_as_far_as_the_record_goes() -> None:
    events = [(day, IDS[CODES[0]], 0) for day in (1, 3, 3, 12, 40, 200)]
    store = make_store([Person([], events, None)])
    windows = evaluation_windows(
        store, np.array([0, 0]), OPTIONS, np.array([1, 5]), np.array([2, 40])
    )
    objective, _ = objective_of(store)
    values = objective.make(
        cut(store, windows, VOCABULARY), windows, store, np.random.default_rng(0), evaluation=False
    )[1].values
    # On day 2 the next comes a day later; on days 3 and 12 within 30; then 40 too; no year is known.
    # On day 40 the next comes after 160 days.
    assert values["visit_labels"].tolist() == [[0, 2, 3, -100], [7, 0, 0, -100]]


def test_targets_need_persons_and_the_most_frequent_are_taken() -> None:
    a, b, c = (IDS[code] for code in CODES[:3])
    people = [Person([], [(1, a, 0), (2, a, 0), (3, b, 1)], None) for _ in range(3)]
    people += [Person([], [(1, a, 0), (4, c, 0)], None)]
    store = make_store(people)
    targets = choose_targets(TteOptions(event_min_persons=2), store, VOCABULARY)
    assert targets.to_pylist() == [
        {"token_id": a, "kind": "code", "persons": 4},
        {"token_id": b, "kind": "code", "persons": 3},
        {"token_id": b, "kind": "low", "persons": 3},
    ]
    assert len(choose_targets(TteOptions(1, 1), store, VOCABULARY)) == 1
    with pytest.raises(ValueError, match=r"no code occurs in 5 persons.*event_min_persons"):
        Tte.fit(Options(event_min_persons=5), store, VOCABULARY)


def some_people(number: int = 40) -> list[Person]:
    rng = np.random.default_rng(1)
    people = []
    for _ in range(number):
        days = np.sort(rng.integers(1, 900, rng.integers(2, 30)))
        codes = rng.integers(IDS[CODES[0]], len(IDS), len(days))
        bins = np.where(codes % 2, rng.integers(1, BINS + 1, len(days)), 0)
        events = zip((days - days[0] + 1).tolist(), codes.tolist(), bins.tolist(), strict=True)
        people.append(Person([(0, IDS["GENDER:F"], 0)], list(events), 9000))
    return people


@pytest.mark.parametrize("kind", [Tte, MlmAndTte])
def test_padded_and_packed_batches_have_the_same_loss_and_metrics(kind: Any) -> None:
    store = make_store(some_people())
    objective, _ = objective_of(store, kind)
    model = model_of(objective)
    windows = query_windows(store, np.arange(40), OPTIONS, np.random.default_rng(3))
    batch = batch_of(objective, store, windows)
    for read_out in (objective.loss, objective.sums):
        padded, packed = (model(**form, read_out=read_out) for form in (batch, pack(batch)))
        torch.testing.assert_close(padded, packed, rtol=1e-4, atol=1e-4)


def test_the_losses_are_those_of_the_metrics() -> None:
    store = make_store(some_people())
    objective, _ = objective_of(store)
    model = model_of(objective)
    windows = query_windows(store, np.arange(40), OPTIONS, np.random.default_rng(3))
    batch = batch_of(objective, store, windows)
    losses = model(**batch, read_out=objective.loss) / batch["targets"]["items"]
    summary = objective.summary(model(**batch, read_out=objective.sums))
    weighted = [summary["event_loss"], summary["next_bin_loss"], 0.2 * summary["visit_loss"]]
    assert losses.tolist() == pytest.approx(weighted, rel=1e-4)
    assert summary["loss"] == pytest.approx(sum(weighted))


def test_a_new_model_starts_near_the_base_rates_and_no_worse_than_without_them() -> None:
    store = make_store(some_people())
    objective, _ = objective_of(store)
    model = model_of(objective)
    recipe = BatchRecipe(objective, VOCABULARY, OPTIONS, 512, seed=5)
    loader = evaluation_loader(recipe, store, np.arange(40))
    started = objective.summary(measure(model_sums(objective, model), loader))
    (base_rates,) = objective.baselines(store).values()
    base = objective.summary(measure(base_rates, loader))
    assert started["event_loss"] == pytest.approx(base["event_loss"], rel=0.02)
    model.event_head.bias.data.zero_()
    assert objective.summary(measure(model_sums(objective, model), loader))["event_loss"] > 10
    assert "base rates" in objective.describe(started | {"baselines": {"base rates": base}})


def test_records_of_one_day_have_nothing_to_tell() -> None:
    people = [Person([], [(1, IDS[CODES[0]], 3)], None) for _ in range(3)]
    store = make_store(people)
    objective, _ = objective_of(store)
    windows = query_windows(store, np.arange(3), OPTIONS, np.random.default_rng(0))
    batch = batch_of(objective, store, windows)
    assert batch["targets"]["items"].tolist() == [0, 0, 0]
    loss = model_of(objective)(**batch, read_out=objective.loss)
    assert loss.tolist() == [0, 0, 0]


def test_the_base_rates_are_those_of_windows_as_they_are_trained_on() -> None:
    store = make_store(some_people())
    options = replace(OPTIONS, max_position_embeddings=9)
    objective = Tte.create(options, VOCABULARY, TOKENS, Tte.fit(options, store, VOCABULARY))
    with patch.object(tte, "drawn_windows", wraps=tte.drawn_windows) as drawn:
        objective.baselines(store)
    (_store, window), _named = drawn.call_args
    assert window == WindowOptions(options.override_maxlen, 9)
