"""The short form of the attack by clocks: see clock.py; all of its stages with `make attack`."""

import os
import subprocess
import sys

import pytest

from tests.attack.crash import ROOT

STAGES = [] if "ATTACK_SECONDS" in os.environ else ["split"]


@pytest.mark.slow
def test_a_clock_that_is_set_back_changes_nothing():
    # A process of its own, see test_crash.py.
    command = [sys.executable, "-m", "tests.attack.clock", *STAGES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
