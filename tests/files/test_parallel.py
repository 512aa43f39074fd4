import threading
import time
from functools import partial

import pytest

from clm_ler.files.parallel import do_side_by_side
from clm_ler.files.progress import Progress


def test_results_come_in_the_order_of_the_jobs():
    first_waits = threading.Event()

    def second():
        first_waits.set()
        return 2

    jobs = [lambda: first_waits.wait(60) and 1, second, *(partial(int, n) for n in range(3, 30))]
    assert do_side_by_side(jobs, Progress("jobs", len(jobs), "jobs")) == list(range(1, 30))


def test_one_that_fails_ends_all():
    done = []

    def fail():
        raise ValueError("no")

    def work(number):
        time.sleep(0.01)
        done.append(number)

    jobs = [fail, *(partial(work, n) for n in range(1000))]
    with pytest.raises(ValueError, match="no"):
        do_side_by_side(jobs, Progress("jobs", len(jobs), "jobs"))
    assert len(done) < 1000
