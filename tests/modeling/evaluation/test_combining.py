import numpy as np

from clm_ler.modeling.evaluation.combining import (
    BOTH,
    MODEL,
    RANKS,
    WINDOWED,
    Scores,
    candidate_scores,
    choose_combination,
)


def test_ranks_are_taken_among_unlabelled_scores():
    scores = Scores(np.array([0.0, 0.2, 0.3, 9.0]), np.array([0.1, 0.2, 0.2, 0.4]))
    assert scores.ranks.tolist() == [0, 0.5, 0.75, 1]


def test_the_rank_of_one_does_not_depend_on_the_others():
    scores = Scores(np.array([0.0, 0.2, 0.3, 9.0]), np.array([0.1, 0.2, 0.2, 0.4]))
    alone = Scores(scores.of[2:3], scores.unlabelled)
    assert alone.ranks.tolist() == scores.ranks[2:3].tolist()


def test_another_is_chosen_only_where_validation_tells_it_from_the_mean_of_ranks():
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 200)
    good, other = (labels + rng.normal(0, 1, 400) for _ in range(2))
    reference = np.linspace(-3, 4, 99)
    both = labels + rng.normal(0, 0.3, 400)
    scores = candidate_scores(Scores(good, reference), Scores(other, reference), both)
    name, aurocs = choose_combination(labels, scores)
    assert name == BOTH
    assert aurocs[BOTH] == max(aurocs.values())
    few = {name: values[:6] for name, values in scores.items()} | {BOTH: good[:6]}
    assert choose_combination(labels[:6], few)[0] == RANKS
    useless = candidate_scores(
        Scores(rng.normal(0, 1, 400), reference), Scores(good, reference), good
    )
    assert choose_combination(labels, useless)[0] == WINDOWED


def test_where_validation_cannot_tell_it_is_the_mean_of_ranks():
    scores = {MODEL: np.zeros(2), WINDOWED: np.ones(2), RANKS: np.ones(2)}
    assert choose_combination(np.zeros(2, np.int8), scores)[0] == RANKS
