"""What one person alone has is in nothing that leaves the storage, in no line of the log, and in no error."""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

import pytest
from kedro.framework.startup import bootstrap_project

from clm_ler.cli import explanation
from tests.attack import provoked_doors  # noqa: F401 it adds to ERRORS
from tests.attack.crash import ROOT
from tests.attack.planted import files_below, planted, planted_in, write_site
from tests.attack.portion import portion
from tests.attack.provoked import ERRORS, run

pytestmark = pytest.mark.slow

TRACKED, TASK = "wandb=offline", "long_stay"
RUNS = (
    (
        "split,preprocess,vocab,pretrain,finetune,explain,embed,meds_export,meds_labels,package",
        TRACKED,
    ),
    ("predict,label,report", f"task={TASK},{TRACKED}"),
)
PORTION = portion(24)
# It names what single persons have, and stays in the storage (docs/trust.md).
STAYS = "loss_ledger.parquet"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A project of its own in which everything has run, with a home and temporary files of its own; what was said."""
    bootstrap_project(ROOT)
    site = write_site(tmp_path_factory.mktemp("planted"))
    folder, said = site.folder, []
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "src").mkdir()
    (folder / "src" / "clm_ler").symlink_to(ROOT / "src" / "clm_ler")
    own = {name: folder / name.lower() for name in ("HOME", "TMPDIR")}
    for place in own.values():
        place.mkdir()
    environment = {name: text for name, text in os.environ.items() if not name.startswith("XDG_")}
    environment |= {name: str(place) for name, place in own.items()} | {"KEDRO_ENV": "mine"}

    def kedro(*words):
        command = [sys.executable, "-m", "kedro", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        said.append(done.stdout + done.stderr)

    for pipelines, parameters in RUNS:
        kedro(
            "run", "--verbose", "--traceback", f"--pipelines={pipelines}", f"--params={parameters}"
        )
    kedro("viz", "build", "--include-previews")
    return site, "".join(said)


def test_nothing_of_a_single_person_leaves_the_storage(ran):
    site, said = ran
    assert planted_in(
        files_below(site.storage / "04_feature" / "sequences")
    )  # it is in the storage
    outside = files_below(*(site.folder / name for name in ("home", "tmpdir", "build/api", ".viz")))
    shared = files_below(
        *(site.storage / name for name in ("04_feature/tokenizer", "06_models", "08_reporting"))
    )
    tracked = files_below(site.storage / "tmp" / "wandb")
    assert {path.suffix for path in tracked} >= {".wandb"}
    assert min(len(outside), len(shared)) > 50
    assert planted(said) == []
    found = planted_in([*outside, *tracked, *(path for path in shared if path.name != STAYS)])
    assert found == {}


@pytest.mark.parametrize("what", [*ERRORS][PORTION])
def test_no_error_quotes_a_person(what, ran, tmp_path, caplog, capfd, monkeypatch):
    error, site = ERRORS[what], copy_of(ran[0], tmp_path / "site")
    error.change(site)
    aside = tmp_path / "aside"
    aside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(aside))
    monkeypatch.setenv("HOME", str(aside))
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Exception) as raised:
        run(error, site)
    told = "".join(traceback.format_exception(raised.value)) + str(explanation(raised.value))
    said = "".join(capfd.readouterr())
    assert planted(told + said + caplog.text) == []
    assert planted_in(files_below(aside)) == {}


def copy_of(site, folder):
    """A copy with its storage, to be broken."""
    ignored = shutil.ignore_patterns("build", "home", "tmpdir", "tmp")
    shutil.copytree(site.folder, folder, symlinks=True, ignore=ignored)
    return type(site)(folder)
