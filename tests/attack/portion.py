"""How much of a long list a run of the tests takes."""

import os
from datetime import date


def portion(parts):
    """All of it in a long attack; else one of so many parts, another each day, and the first in CI.

    Not at random: every process of the tests has to collect the same.
    """
    if "ATTACK_SECONDS" in os.environ:
        return slice(None)
    return slice(0 if "CI" in os.environ else date.today().toordinal() % parts, None, parts)
