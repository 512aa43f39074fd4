"""The package without the project has the same lines."""

import subprocess
import sys
from pathlib import Path

import clm_ler
from tests.end_to_end.conftest import ROOT

LOGGED = """
import sys
sys.argv = ["clm-ler", "--help"]
import logging
from clm_ler.__main__ import main
try:
    main()
finally:
    logging.getLogger("clm_ler").info("a line of the project")
"""


def test_the_package_has_the_logging_of_the_project():
    packaged = Path(clm_ler.__file__).with_name("logging.yml")
    assert packaged.read_text() == (ROOT / "conf" / "logging.yml").read_text()


def test_a_line_is_told_once_outside_of_the_project(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOGGED], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.count("a line of the project") == 1
    assert "INFO" not in done.stdout + done.stderr
