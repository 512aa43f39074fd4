"""What weighs most in a prediction, all mentions of a code together."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from clm_ler.modeling.explanation.contributions import explain
from clm_ler.pipelines.predict.reasons import heaviest, outcomes_of
from tests.modeling.explanation.toy import VOCABULARY, make_model, people
from tests.modeling.test_inference import TOKENS


def test_mentions_are_added_up_and_the_heaviest_come_first():
    model = make_model()
    names, labels = np.array(TOKENS, object), np.array([None, *map(str, range(1, 11))], object)
    (part,) = explain(model, *people(5), VOCABULARY, 1)
    found = heaviest(part, names, labels, most=3)
    everything = heaviest(part, names, labels, most=100)
    assert found["rank"].max() == 3
    for row, sample in enumerate(part.index):
        told = part.inputs.told.numpy()[row]
        tokens = names[part.tokens["input_ids"][row]]
        of_sample = everything.loc[[sample]]
        assert of_sample["mentions"].sum() == told.sum()
        assert of_sample["adds"].abs().is_monotonic_decreasing
        for one in of_sample.itertuples():
            of_token = told & (tokens == one.token)
            total = part.contributions.total[row][of_token]
            np.testing.assert_allclose(one.adds, total.sum(), atol=1e-6)
            last = np.flatnonzero(of_token)[-1]
            bin_ = labels[part.tokens["token_type_ids"][row, last]]
            assert one.last_bin == bin_ or (bin_ is None and pd.isna(one.last_bin))
            assert one.last_days_before == part.inputs.actual.before[row, last]


def test_outcomes_are_tasks_or_the_classes_of_one():
    several = SimpleNamespace(config=SimpleNamespace(tasks=["a", "b"], num_labels=2))
    assert outcomes_of(several) == [(0, "a", 1), (1, "b", 1)]
    classes = SimpleNamespace(config=SimpleNamespace(tasks=["stage"], num_labels=3))
    assert outcomes_of(classes) == [(1, "stage", 1), (2, "stage", 2)]
