"""What the docs have the reader do, done as it stands."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT
from tests.test_docs import FENCED

SHELL = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def sh(command, folder, **environment):
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        env=os.environ | SHELL | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, as a reader has it."""
    folder = tmp_path_factory.mktemp("reader") / "project"
    unwanted = {"data", "build", "dist", "tests"}  # of the root

    def ignore(place, names):
        hidden = {name for name in names if name.startswith(".") or name == "__pycache__"}
        return hidden | (unwanted if Path(place) == ROOT else set())

    shutil.copytree(ROOT, folder, ignore=ignore)
    shutil.copy(ROOT / ".telemetry", folder)
    (folder / "conf" / "local").mkdir(exist_ok=True)
    return folder


def test_your_own_tables_in_ten_minutes(project):
    printed = ""
    for language, text in FENCED.findall((project / "docs" / "own_tables.md").read_text()):
        name = re.match(r"# (\S+\.(?:py|yml))\n", text)
        if name:
            path = project / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        else:
            assert language == "sh"
            printed += sh(text, project)
    assert "ok    patient: found" in printed  # by the doctor
    assert "filter_expr" in printed  # in the ledger
    assert "converted" in printed  # the unit of a fifth of the results
    assert (project / "data" / "mine" / "06_models" / "pretrained_model").is_dir()


def test_the_packaged_project_runs_elsewhere(project, tmp_path):
    pytest.importorskip("build")
    sh("kedro package", project)
    (wheel,) = (project / "dist").glob("*.whl")
    site = tmp_path / "site"
    sh(f"python -m pip install --quiet --no-deps --target {site} {wheel}", tmp_path)
    where = sh(
        "python -c 'import clm_ler; print(clm_ler.__file__)'", tmp_path, PYTHONPATH=str(site)
    )
    assert where.startswith(str(site))
    archive = project / "dist" / "conf-clm_ler.tar.gz"
    small = "cohort.persons=60,cohort.ehrshot.persons=30"
    run = f"python -m clm_ler --conf-source={archive} --pipelines=cohort,split --params={small}"
    said = sh(run, tmp_path, PYTHONPATH=str(site))
    assert (tmp_path / "data" / "03_primary" / "person_splits").is_dir()
    assert said.count("split: done in") == 1 and "INFO" not in said  # as in the project


@pytest.mark.parametrize("page", ["pretraining.md", "labs.md"])
def test_python_blocks_run_beside_the_results(page, chain, storage, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(storage)
    monkeypatch.chdir(tmp_path)
    ran = 0
    for language, text in FENCED.findall((ROOT / "docs" / page).read_text()):
        if language == "python":
            exec(compile(text, page, "exec"), {"catalog": chain})
            ran += 1
    assert ran
