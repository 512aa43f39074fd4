"""The short form of the attack by crashes: see crash.py, and `make attack` for an hour of it."""

import subprocess
import sys

import pytest
from kedro.framework.project import configure_project, pipelines

from tests.attack.crash import ROOT, STAGES


@pytest.mark.slow
def test_a_killed_or_failing_run_is_finished_by_the_same_command():
    # A process of its own: forks of one that has threads do not end well.
    command = [sys.executable, "-m", "tests.attack.crash", "0", "split"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_the_long_form_reaches_every_pipeline():
    configure_project("clm_ler")
    attacked = {name for stage in STAGES for name in stage.split(",")}
    assert attacked == {*pipelines} - {"__default__"}
