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
        "sequences: 2,000 of 4,000 persons, 56 a second, about 36 s left"
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


def test_work_of_hours_has_a_line_each_tenth(clock, caplog):
    caplog.set_level(logging.INFO)
    work = Progress("sequences", 1000, "buckets")
    for _step in range(1000):
        clock.now += 60
        work.step()
    assert len(caplog.messages) == 9  # its end is said by the step that it is part of
    assert caplog.messages[-1].startswith("sequences: 900 of 1,000 buckets")


def test_what_goes_on_counts_from_where_it_was(clock, caplog):
    caplog.set_level(logging.INFO)
    work = Progress("pretrain", 100, "steps", done=50)
    work.note("loss 1.500")
    clock.now += 40
    work.step(10)
    (told,) = caplog.messages
    assert told == "pretrain: 60 of 100 steps, 0.25 a second, about 160 s left, loss 1.500"


def test_a_terminal_has_a_live_line(monkeypatch, capsys, caplog):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    work = Progress("sequences", 2, "buckets")
    for _step in range(2):
        work.step()
    assert "sequences:   0%" in capsys.readouterr().err
    assert work._bar.disable  # closed
    assert caplog.messages == []
