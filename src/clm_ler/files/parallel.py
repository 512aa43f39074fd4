"""Long work in pieces, on all cores of this machine."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from threadpoolctl import threadpool_limits

from clm_ler.files.progress import Progress

Result = TypeVar("Result")


def do_side_by_side(jobs: Sequence[Callable[[], Result]], progress: Progress) -> Sequence[Result]:
    """Do all jobs, one on each core, and return what they return, in their order.

    Each keeps to its core: linear algebra on all of them at once takes five times as long, and its last
    digits depend on how many there are.

    Args:
        jobs: Work that leaves Python's lock to others most of the time.
        progress: Counts them.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as threads:
        futures = [threads.submit(job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
                progress.step()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]
