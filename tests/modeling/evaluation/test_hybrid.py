import numpy as np

from clm_ler.modeling.evaluation.hybrid import (
    BOTH,
    MODEL,
    RANKS,
    WINDOWED,
    Scores,
    candidate_scores,
    choose,
)

LABELS = np.array([0, 0, 1, 1], np.int8)


def test_ranks_are_taken_among_unlabelled_scores():
    scores = Scores(np.array([0.0, 0.2, 0.3, 9.0]), np.array([0.1, 0.2, 0.2, 0.4]))
    assert scores.ranks.tolist() == [0, 0.5, 0.75, 1]


def test_the_rank_of_one_does_not_depend_on_the_others():
    scores = Scores(np.array([0.0, 0.2, 0.3, 9.0]), np.array([0.1, 0.2, 0.2, 0.4]))
    alone = Scores(scores.of[2:3], scores.unlabelled)
    assert alone.ranks.tolist() == scores.ranks[2:3].tolist()


def test_the_best_on_validation_is_chosen_and_the_first_of_equals():
    right, wrong = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.3, 0.2, 0.1])
    half = np.array([0.1, 0.3, 0.2, 0.4])
    reference = np.linspace(0, 1, 11)
    scores = candidate_scores(Scores(half, reference), Scores(wrong, reference), right)
    name, aurocs = choose(LABELS, scores)
    assert name == BOTH
    assert aurocs == {MODEL: 0.75, WINDOWED: 0.0, RANKS: aurocs[RANKS], BOTH: 1.0}
    assert choose(LABELS, dict.fromkeys(scores, right))[0] == MODEL


def test_where_validation_cannot_tell_it_is_the_model():
    scores = {MODEL: np.zeros(2), WINDOWED: np.ones(2)}
    assert choose(np.zeros(2, np.int8), scores)[0] == MODEL
