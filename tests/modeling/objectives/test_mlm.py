import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.modeling.data.samples import NO_LABEL
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, cut, evaluation_windows
from clm_ler.modeling.objectives.mlm import MlmOptions, mask_tokens
from tests.modeling.persons import BINS, IDS, VOCABULARY, Person, make_store, persons

fractions = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: sorted(pair))


@st.composite
def options(draw):
    masking, both = draw(fractions)
    shares = draw(st.floats(0, 1)), masking, both - masking
    return MlmOptions(*shares, draw(st.booleans()), draw(st.floats(0, 1)))


def windows_of(people):
    store = make_store(people)
    rows = np.arange(len(people))
    return cut(store, evaluation_windows(store, rows, WindowOptions(64)), VOCABULARY)


def masked_tokens(tokens, vocabulary, chosen, rng):
    masked, targets = mask_tokens(tokens, vocabulary, chosen, rng)
    assert targets.items == len(targets.values["labels"])
    nothing = np.empty(0, np.int64)
    none = {"bin_only_index": nothing, "bin_only_labels": nothing}
    return masked, none | dict(targets.values)


@given(st.lists(persons(), min_size=1, max_size=5), options(), st.integers(0, 99))
def test_masking_laws(people, chosen, seed):
    tokens = windows_of(people)
    before = tokens.input_ids.copy(), tokens.token_type_ids.copy()
    masked, targets = masked_tokens(tokens, VOCABULARY, chosen, np.random.default_rng(seed))
    # The input is left alone; the days and the rows too.
    assert (tokens.input_ids == before[0]).all() and (tokens.token_type_ids == before[1]).all()
    assert masked.offsets is tokens.offsets and masked.position_ids is tokens.position_ids
    # What is asked is what stood there.
    assert (targets["labels"] == tokens.input_ids[targets["masked_index"]]).all()
    bins = tokens.token_type_ids[targets["masked_index"]].astype(int)
    assert (targets["bin_labels"] == np.where(bins > 0, bins, NO_LABEL)).all()
    # Nothing else has changed, and special tokens are no targets; nor demographics unless told.
    others = np.setdiff1d(np.arange(len(tokens.input_ids)), targets["masked_index"])
    assert (masked.input_ids[others] == tokens.input_ids[others]).all()
    kept = np.setdiff1d(others, targets["bin_only_index"])
    assert (masked.token_type_ids[kept] == tokens.token_type_ids[kept]).all()
    # Bins are masked alone at labs that are no targets themselves.
    alone = targets["bin_only_index"]
    assert not np.intersect1d(alone, targets["masked_index"]).size and (np.diff(alone) > 0).all()
    assert (targets["bin_only_labels"] == tokens.token_type_ids[alone]).all()
    assert (targets["bin_only_labels"] > 0).all()
    assert (masked.token_type_ids[alone] == BINS + 1).all()
    assert (targets["labels"] >= 4).all()
    if not chosen.mask_demographics:
        assert not VOCABULARY.is_demographic[targets["labels"]].any()
    # At least one target, because every person has an event.
    assert len(targets["masked_index"]) >= 1 and (np.diff(targets["masked_index"]) > 0).all()
    # [MASK] hides the bin; elsewhere a bin is kept or another bin, and no bin stays none.
    hidden = masked.input_ids[targets["masked_index"]] == VOCABULARY.mask
    types = masked.token_type_ids[targets["masked_index"]]
    assert (types[hidden] == BINS + 1).all()
    assert ((types[~hidden] > 0) == (bins[~hidden] > 0)).all() and (types[~hidden] <= BINS).all()


def test_shares_are_those_of_the_options():
    rng = np.random.default_rng(0)
    codes = rng.integers(IDS["ICD10CM:0"], len(IDS), 40_000)
    events = [(1, int(code), int(code) % (BINS + 1)) for code in codes]
    store = make_store([Person([], events, None)])
    windows = evaluation_windows(store, np.array([0]), WindowOptions(len(events) + 1))
    tokens = cut(store, windows, VOCABULARY)
    masked, targets = masked_tokens(tokens, VOCABULARY, MlmOptions(), rng)
    now = masked.input_ids[targets["masked_index"]]
    hidden, same = now == VOCABULARY.mask, now == targets["labels"]
    assert abs(len(now) / len(events) - 0.15) < 0.01
    assert abs(hidden.mean() - 0.8) < 0.02
    labs = np.setdiff1d(np.flatnonzero(tokens.token_type_ids), targets["masked_index"])
    assert abs(len(targets["bin_only_index"]) / len(labs) - 0.5) < 0.01
    # A tenth is left alone; so is one in thirty of those replaced at random.
    assert abs(same.mean() - (0.1 + 0.1 / 30)) < 0.02
    assert set(now[~hidden & ~same]) == set(VOCABULARY.codes)


def test_a_random_token_does_not_tell_the_bin():
    store = make_store([Person([], [(1, IDS["ICD10CM:3"], 4)] * 2000, None)])
    windows = evaluation_windows(store, np.array([0]), WindowOptions(2001))
    every = MlmOptions(1.0, masking_fraction=0.0, random_replacement_fraction=1.0)
    tokens = cut(store, windows, VOCABULARY)
    masked, _ = masked_tokens(tokens, VOCABULARY, every, np.random.default_rng(0))
    counts = np.bincount(masked.token_type_ids[1:], minlength=BINS + 1)
    assert counts[0] == 0 and counts[1:].min() > 100


def test_the_most_bins_still_have_a_type_for_the_mask():
    vocabulary = Vocabulary.from_tokens(IDS, 255)
    every = MlmOptions(1.0, masking_fraction=1.0, random_replacement_fraction=0.0)
    tokens = windows_of([Person([], [(1, IDS["ICD10CM:3"], 255)], None)])
    masked, targets = masked_tokens(tokens, vocabulary, every, np.random.default_rng(0))
    assert masked.token_type_ids.tolist() == [0, 256]
    assert targets["bin_labels"].tolist() == [255]
