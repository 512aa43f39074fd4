"""Random numbers that are the same on every machine, in every process, whatever was drawn before."""

import numpy as np

# What a stream is for: the second word, after the seed; FITTING, the same whatever the seed, stands alone.
WINDOWS, ORDER, TARGETS, EVALUATION_TARGETS, EVALUATION_WINDOWS = range(5)
SAMPLING, FITTING = 7, 8


def random_stream(*words: int) -> np.random.Generator:
    """Return the generator of these words: a seed, what it is for, then which epoch and batch."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
