from dataclasses import replace

import numpy as np

from clm_ler.modeling.explanation.contributions import explain
from clm_ler.modeling.explanation.faithfulness import measure
from tests.modeling.explanation.toy import VOCABULARY, make_model, people


def parts(model, count=12):
    return list(explain(model, *people(count), VOCABULARY, 1))


def mean(found, name):
    return np.nanmean(np.concatenate([getattr(one, name) for one in found]))


def reversed_order(part):
    found = part.contributions
    turned = replace(found, code=-found.code, lab_bin=-found.lab_bin, day=-found.day)
    return replace(part, contributions=turned)


def test_contributions_find_what_the_model_uses_and_their_opposite_does_not():
    model = make_model()
    explained = parts(model)
    right, wrong = (
        [measure(model, part, 1, np.random.default_rng(0)) for part in given]
        for given in (explained, map(reversed_order, explained))
    )
    for name in ("deletion", "insertion", "occlusion"):
        assert mean(right, name) > 0
        assert mean(wrong, name) < 0


def test_what_nobody_asked_for_is_not_a_number():
    model = make_model()
    (part,) = parts(model, count=3)
    found = measure(model, part, 1, np.random.default_rng(0), occlude=False)
    assert np.isnan(found.occlusion).all()
    assert np.isfinite(found.deletion).all()
