import logging

import pytest

from clm_ler.files import progress
from clm_ler.files.progress import SECONDS_BETWEEN_LINES, Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves on."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_long_work_says_how_far_it_is(clock, caplog):
    caplog.set_level(logging.INFO)
    work = Progress("sequences", 4000, "persons")
    for _step in range(3):
        clock.now += 0.6 * SECONDS_BETWEEN_LINES
        work.step(1000)
    assert [record.getMessage() for record in caplog.records] == [
        "sequences: 2,000 of 4,000 persons, 83 a second, about 24 s left"
    ]


def test_slow_steps_have_a_rate_too(clock, caplog):
    caplog.set_level(logging.INFO)
    work = Progress("cells", 5, "cells")
    clock.now += 40
    work.step()
    assert caplog.messages == ["cells: 1 of 5 cells, 0.025 a second, about 160 s left"]


def test_short_work_says_nothing(clock, caplog):
    caplog.set_level(logging.INFO)
    work = Progress("sequences", 4, "buckets")
    for _step in range(4):
        clock.now += 1
        work.step()
    assert caplog.messages == []
