import numpy as np
import pytest
import torch

from clm_ler.modeling.explanation.contributions import LARGEST_GAP, explain
from tests.modeling.explanation.toy import TOLD, VOCABULARY, history, make_model, people
from tests.modeling.test_inference import make_store, whole_rows


def explained(model, store, samples, outcome=1):
    """Contributions of each sample, without padding, in the order of the samples."""
    found = {}
    for part in explain(model, store, samples, VOCABULARY, outcome):
        for row, sample in enumerate(part.index):
            found[int(sample)] = part.contributions[row]
    return [found[number] for number in range(len(samples))]


@pytest.mark.parametrize("told", [TOLD, {}])
@pytest.mark.parametrize("time_encoding", ["rope_days", "order", "day_embedding"])
def test_contributions_add_up_to_the_difference_from_the_baseline(time_encoding, told):
    model = make_model(time_encoding=time_encoding, **told)
    for one in explained(model, *people()):
        told = one.code.sum() + one.lab_bin.sum() + one.day.sum()
        assert told == pytest.approx(one.log_odds - one.baseline + one.gap, abs=1e-4)
        assert abs(one.gap) <= LARGEST_GAP * (abs(one.code) + abs(one.lab_bin) + abs(one.day)).sum()


@pytest.mark.parametrize("told", [TOLD, {}])
def test_only_what_tells_of_the_person_contributes(told):
    model = make_model(**told)
    store, samples = people()
    for part in explain(model, store, samples, VOCABULARY, 1):
        silent = ~part.inputs.told.numpy()
        found = part.contributions
        assert silent.any()
        for channel in (found.code, found.lab_bin, found.day):
            assert (channel[silent] == 0).all()
        no_bin = part.tokens["token_type_ids"] == 0
        assert (found.lab_bin[no_bin] == 0).all()
        assert (found.lab_bin[~no_bin] != 0).any()


def test_the_result_of_an_unknown_lab_adds_nothing():
    """It has no row of its own, so what it added would be missing from the sum."""
    rng = np.random.default_rng(1)
    events = [(day, VOCABULARY.unk, 1) if day % 2 else (day, t, b) for day, t, b in history(rng, 9)]
    store = make_store([events])
    samples = whole_rows(store, np.arange(1))
    (part,) = explain(make_model(), store, samples, VOCABULARY, 1)
    unknown = (part.tokens["input_ids"] == VOCABULARY.unk) & (part.tokens["token_type_ids"] > 0)
    assert unknown.any()
    assert (part.contributions.lab_bin[unknown] == 0).all()
    one, told = part.contributions[0], part.inputs.told.numpy()[0]
    assert one.total[told].sum() == pytest.approx(one.log_odds - one.baseline + one.gap, abs=1e-4)


def test_a_channel_that_the_model_does_not_use_adds_nothing():
    model = make_model(lab_rows=0, lab_forecasts=False, pooling="query", time_encoding="order")
    with torch.no_grad():
        model.clm_ler.embeddings.lab_bins.weight[1:] = 0.5  # every bin is the same
    for one in explained(model, *people()):
        assert np.abs(one.lab_bin).max() == 0
        assert np.abs(one.day).max() == 0
        assert np.abs(one.code).max() > 0


def test_a_sample_is_explained_the_same_alone_and_among_others():
    model = make_model(**TOLD)
    store, samples = people()
    together = explained(model, store, samples)
    for number, one in enumerate(together):
        (alone,) = explained(model, store, samples[np.array([number])])
        length = len(alone.total)
        np.testing.assert_allclose(one.total[:length], alone.total, atol=1e-4)
