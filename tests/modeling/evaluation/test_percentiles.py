"""A risk among those of the training persons."""

import numpy as np
import pytest

from clm_ler.modeling.evaluation.percentiles import person_percentiles, shares_above


def test_the_share_of_persons_above_is_found():
    risks = np.random.default_rng(0).random((5000, 2))
    bounds = person_percentiles(risks, np.arange(5000))
    assert [len(column) for column in bounds] == [99, 99]
    asked = np.array([[0.25, 0.9], [0.5, 0.5], [0.999, 0.0]])
    true = (risks[:, None, :] > asked).mean(axis=0)
    assert shares_above(asked, bounds) == pytest.approx(true, abs=0.011)
    assert shares_above(asked, bounds)[2].tolist() == pytest.approx([0.01, 0.99])


def test_persons_count_once_however_often_they_were_asked():
    """A thousand persons of risk .1 asked once, as many of risk .9 asked nine times."""
    risks = np.repeat([0.1, 0.9], [1000, 9000])[:, None]
    persons = np.concatenate([np.arange(1000), np.repeat(np.arange(1000, 2000), 9)])
    bounds = person_percentiles(risks, persons)
    assert shares_above(np.array([[0.5]]), bounds)[0, 0] == pytest.approx(0.5, abs=0.011)


@pytest.mark.parametrize(("persons", "parts"), [(19, 1), (20, 2), (405, 40)])
def test_a_part_is_of_ten_persons_or_more(persons, parts):
    bounds = person_percentiles(np.linspace(0, 1, persons)[:, None], np.arange(persons))
    assert len(bounds[0]) == parts - 1


@pytest.mark.parametrize("unknown", [None, [[], []]])
def test_what_is_not_known_is_not_told(unknown):
    assert np.isnan(shares_above(np.array([[0.2, 0.8]]), unknown)).all()
