"""Random streams named after what they are for.

Each table of a chunk of persons can be made alone, and none depends on how many chunks there are.
"""

import zlib

import numpy as np


def stream(seed: int, chunk: int, purpose: str) -> np.random.Generator:
    """Return the random stream of a chunk for one purpose."""
    return np.random.default_rng([seed, chunk, zlib.crc32(purpose.encode())])


def own_stream(*names: object) -> np.random.Generator:
    """Return a random stream that depends on names alone: what is the same whatever the seed."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, names)).encode()))
