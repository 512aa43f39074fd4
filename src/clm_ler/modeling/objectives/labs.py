"""The labs of a data set."""

import numpy as np
import pyarrow as pa

from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.objectives.base import TARGETS

LAB = "lab"  # the kind of a row of `pretrain_targets` that is a lab, not something to predict
ROWS_PER_BLOCK = 65_536


def lab_targets(store: TokenStore) -> pa.Table:
    """Return a row of ``pretrain_targets`` for each code that has a result in a bin, by token id."""
    found = set()
    for first in range(0, len(store), ROWS_PER_BLOCK):
        tokens = store.gather(np.arange(first, min(first + ROWS_PER_BLOCK, len(store))))
        found |= set(np.unique(tokens.input_ids[tokens.token_type_ids > 0]).tolist())
    labs = pa.array(sorted(found), pa.int32())
    kinds = pa.array([LAB] * len(labs), pa.string())
    nothing = [pa.nulls(len(labs), kind) for kind in TARGETS.types[2:]]
    return pa.Table.from_arrays([labs, kinds, *nothing], schema=TARGETS)
