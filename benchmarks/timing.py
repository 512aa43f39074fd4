"""A run of the project, timed, and the memory of a process."""

import re
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kedro.framework.hooks import hook_impl
from kedro.framework.session import KedroSession

PROJECT = Path(__file__).resolve().parents[1]


class Clock:
    """Seconds of the pipeline, on the clock and of the CPU, without the start of Kedro before it."""

    @hook_impl
    def before_pipeline_run(self) -> None:
        self.started, self.cpu_before = time.perf_counter(), time.process_time()

    @hook_impl
    def after_pipeline_run(self) -> None:
        self.seconds = time.perf_counter() - self.started
        self.cpu = time.process_time() - self.cpu_before


def timed_run(
    pipelines: Sequence[str], to_outputs: Sequence[str] | None = None, **parameters: object
) -> float:
    """Run pipelines and return the seconds from the first node to the last."""
    clock = Clock()
    with KedroSession.create(PROJECT, runtime_params=parameters) as session:
        session._hook_manager.register(clock)  # type: ignore[attr-defined]
        session.run(pipeline_names=list(pipelines), to_outputs=to_outputs)
    return clock.seconds


def peak_gib() -> float:
    """Return the most memory that this process has had, in GiB.

    Linux counts the parent's into ``ru_maxrss`` of a process that was forked from it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert found
        return int(found[1]) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2 ** (30 if sys.platform == "darwin" else 20)
