"""Which groups are too few to be told of, and which would tell of them."""

from hypothesis import given
from hypothesis import strategies as st

from clm_ler.modeling.evaluation.groups import hidden_counts

cells = st.fixed_dictionaries({"0": st.integers(0, 30), "1": st.integers(0, 30)})


def counts(*sick):
    return {str(n): {"0": 40, "1": persons} for n, persons in enumerate(sick)}


def test_a_small_group_takes_the_smallest_other_with_it():
    assert hidden_counts(counts(7, 30, 15), 10, hidden_already=False) == {"0", "2"}
    assert hidden_counts(counts(30, 15), 10, hidden_already=False) == set()
    assert hidden_counts(counts(30, 15), 10, hidden_already=True) == {"1"}


@given(st.lists(cells, max_size=6), st.booleans())
def test_no_group_is_shown_that_tells_of_few(found, hidden_already):
    groups = {str(n): persons for n, persons in enumerate(found)}
    hidden = hidden_counts(groups, 10, hidden_already)
    shown = groups.keys() - hidden
    assert all(min(groups[group].values()) >= 10 for group in shown)
    # Whether persons are the same or not, so many are in what is hidden.
    if shown and (hidden or hidden_already):
        assert all(max(groups[g][label] for g in hidden) >= 10 for label in ("0", "1"))
