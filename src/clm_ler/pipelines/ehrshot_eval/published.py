"""Published results on EHRSHOT, copied from the sources that are named beside each number."""

from importlib.resources import files

import pandas as pd


def published_results() -> pd.DataFrame:
    """Return every number, a row for each, with its interval where one was published.

    ``scope`` is a task, a finding, a group of tasks, ``14 tasks`` (all but the chest X-ray findings) or
    ``macro`` (the mean of the groups); ``k`` the positive and negative training samples, -1 for all. The
    leaderboard's AUROC of the chest X-ray group (0.752 for CLMBR) contradicts its own findings, whose mean
    is given instead.
    """
    return pd.read_csv(files(__package__).joinpath("published.csv").open(encoding="utf-8"))
