"""How simulated values are written, at every site."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

LAST_DAY = float(np.datetime64("2024-12-31").astype(int))


def clock(time: np.ndarray) -> pa.Array:
    """Return times as text, ``yyyy-MM-dd HH:mm:ss``."""
    return (
        pa.array(np.round(time * 1440).astype("int64") * 60).cast(pa.timestamp("s")).cast("string")
    )


def choose(options: Sequence[str | None], index: np.ndarray) -> pa.Array:
    """Return the chosen text of each row."""
    return pa.array(options, pa.string()).take(pa.array(index))


def ndc11(ndc: str) -> str:
    """Return an NDC of ten digits as the billing form of eleven, 5-4-2.

    >>> ndc11("0093-7214-01"), ndc11("16714-683-01"), ndc11("63653-1171-1")
    ('00093-7214-01', '16714-0683-01', '63653-1171-01')
    """
    labeler, product, package = ndc.split("-")
    return f"{labeler:0>5}-{product:0>4}-{package:0>2}"


def ndc_digits(ndc: str) -> str:
    """Return the eleven digits of an NDC: labeler, product, package."""
    return ndc11(ndc).replace("-", "")
