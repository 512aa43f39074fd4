import numpy as np

from clm_ler.modeling.explanation.counterfactuals import risk_by_bin, samples_by_lab
from clm_ler.modeling.inference import predict_proba, trained_window
from tests.modeling.explanation.toy import LABS, VOCABULARY, make_model, people


def test_in_its_own_bin_a_lab_gives_the_risk_itself():
    model = make_model()
    store, samples = people(8)
    shown = samples_by_lab(store, samples, VOCABULARY, model)
    assert set(shown) <= set(LABS)
    assert shown
    for code, rows in shown.items():
        of_lab = samples[rows]
        risks = risk_by_bin(model, store, of_lab, VOCABULARY, code, 1)
        there = predict_proba(model, store, of_lab, VOCABULARY, trained_window(model))[:, 1]
        tokens = store.gather(of_lab.rows)
        for number, (first, last) in enumerate(
            zip(tokens.offsets, tokens.offsets[1:], strict=False)
        ):
            of_code = tokens.input_ids[first:last] == code
            with_bin = of_code & (tokens.token_type_ids[first:last] > 0)
            own = int(tokens.token_type_ids[first:last][np.flatnonzero(with_bin)[-1]])
            np.testing.assert_allclose(risks[number, own - 1], there[number], atol=1e-6)
        assert np.ptp(risks, axis=1).min() > 0
