"""Random numbers that are the same on every machine, in every process, whatever was drawn before."""

import numpy as np

# What a stream is for: the second word of its seed.
WINDOWS, ORDER, TARGETS, EVALUATION_TARGETS, EVALUATION_WINDOWS = range(5)
SAMPLING, FITTING = 7, 8


def random_stream(*words: int) -> np.random.Generator:
    """Return the generator of a seed and what it is for, and of which epoch and batch."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
