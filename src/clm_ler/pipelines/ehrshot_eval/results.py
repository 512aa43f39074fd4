"""Cells to tables: the official results, means over tasks and groups, paired differences."""

import numpy as np
import pandas as pd

from clm_ler.modeling.bootstrap import METRICS, percentile_interval

KEY = ["labeling_function", "sub_task", "model", "head", "replicate", "k"]
OFFICIAL_COLUMNS = [*KEY, "score", "value", "std", "lower", "mean", "upper", "model_hparams"]
CLASSIFIER = ["model", "head", "k"]


def official_rows(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each cell and score, in the 13 columns of ``all_results.csv``.

    ``value`` is that of all test samples; ``mean``, ``std`` (one degree of freedom less) and the
    2.5th and 97.5th percentile are those of the bootstrap.
    """
    rows = []
    for cell in cells.to_dict("records"):
        for score in METRICS:
            values = np.asarray(cell[f"{score}_bootstrap"])
            lower, upper = percentile_interval(values)
            row = {name: cell[name] for name in [*KEY, "model_hparams"]}
            rows.append(
                row
                | {"score": score, "value": cell[score], "lower": lower, "upper": upper}
                | {"mean": np.nanmean(values), "std": np.nanstd(values, ddof=1)}
            )
    return pd.DataFrame(rows, columns=OFFICIAL_COLUMNS)
