"""Set the clock back, between two runs and again and again within one: the same artifacts, and no negative time.

    python -m tests.attack.clock [STAGE ...]

A stage is one command, as in crash.py. Each is run on a clock that is an hour ahead and killed at a change of a
file; what it leaves has the times of that clock, and the same command goes on with the right one. Then it
is run on a clock that jumps up to an hour either way whenever somebody looks at it.
"""

import datetime
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest.mock import patch

from tests.attack.crash import (
    PIPELINES,
    ROOT,
    artifacts,
    attempt,
    copy_of,
    die,
    differences,
    prepare,
)

HOUR = 3600.0
STAGES = ("cohort", ",".join(PIPELINES), "pretrain", "finetune")
# In a line, and in JSON: how long, how fast, how much is left.
_NEGATIVE = re.compile(r"(?:in|,|about) -\d[^\n]*|\"\w*(?:seconds|per_second)\w*\": -[^,}]*")


@contextmanager
def clock(ahead: Callable[[], float]) -> Iterator[None]:
    """Let Python's clocks be some seconds ahead; those that only run forward stay as they are."""
    real, real_ns = time.time, time.time_ns

    class Told(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.fromtimestamp(real() + ahead(), tz)

    holders = [module for name, module in sys.modules.items() if name.startswith("clm_ler")]
    holders = [one for one in holders if getattr(one, "datetime", None) is datetime.datetime]
    patches = [patch.object(one, "datetime", Told) for one in holders]
    patches += [patch("time.time", lambda: real() + ahead())]
    patches += [patch("time.time_ns", lambda: real_ns() + int(ahead() * 1e9))]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


@contextmanager
def said(path: Path) -> Iterator[None]:
    """Write what this process and its children say into a file."""
    kept = [os.dup(number) for number in (1, 2)]
    with path.open("wb") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        try:
            yield
        finally:
            for number, before in zip((1, 2), kept, strict=True):
                os.dup2(before, number)
                os.close(before)


def set_ahead(storage: Path, seconds: float) -> None:
    """Give all files the times that a clock which was ahead would have given them."""
    for path in storage.rglob("*"):
        found = path.stat()
        os.utime(path, (found.st_atime + seconds, found.st_mtime + seconds))


def negative_times(storage: Path, log: Path) -> list[str]:
    texts = [log, *storage.rglob("*.json")]
    return sorted({found for path in texts for found in _NEGATIVE.findall(path.read_text())})


def faults(stage, dice: Random, folder: Path) -> list[str]:
    """Run a stage on both clocks; return what was wrong."""
    log, wrong = folder / "said", []
    for what in ("set back between runs", "jumping within a run"):
        storage = copy_of(stage.before)
        with said(log):
            if what.startswith("set"):
                with clock(lambda: HOUR):
                    attempt(
                        storage, stage.pipelines, at=dice.randint(1, stage.changes), happens=die
                    )
                set_ahead(storage, HOUR)
                ended = attempt(storage, stage.pipelines)
            else:
                with clock(lambda: dice.uniform(-HOUR, HOUR)):
                    ended = attempt(storage, stage.pipelines)
        found = [f"refused: {ended.said or ended.trace}"] if ended.code else []
        if not ended.code and (differing := differences(artifacts(storage), stage.expected)):
            found.append(f"differ: {differing}")
        found += negative_times(storage, log)
        wrong += [f"{','.join(stage.pipelines)}, {what}: {one}" for one in found]
    return wrong


def main(stages=STAGES, seed=None) -> list[str]:
    """Attack each stage once with either clock; return what was wrong."""
    from kedro.framework.startup import bootstrap_project

    import clm_ler.hooks
    import clm_ler.modeling  # noqa: F401

    bootstrap_project(ROOT)
    dice = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        made = prepare(Path(folder), stages)
        return [fault for stage in made for fault in faults(stage, dice, Path(folder))]


if __name__ == "__main__":
    wrong = main(tuple(sys.argv[1:]) or STAGES)
    sys.exit("\n".join(wrong) or None)
