import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ROOT

pytestmark = pytest.mark.slow  # it starts processes


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("localhost", 0))
        return opened.getsockname()[1]


def run_two(folder: Path, fails: str) -> list[tuple[int, str, str]]:
    """Return exit code, lines and errors of each rank, in folders of their own."""
    common = {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    common |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    script = [sys.executable, "-m", "tests.modeling.training.two_ranks"]
    command = [*script, str(folder / "run"), fails]
    ranks = []
    for rank in ("0", "1"):
        (here := folder / rank).mkdir()
        environment = os.environ | common | {"RANK": rank, "OMP_NUM_THREADS": "1"}
        ranks.append(
            subprocess.Popen(command, cwd=here, env=environment, stdout=-1, stderr=-1, text=True)
        )
    outputs = [rank.communicate(timeout=300) for rank in ranks]
    assert list(folder.rglob(".shared-*")) == []
    return [(rank.returncode, *output) for rank, output in zip(ranks, outputs, strict=True)]


@pytest.fixture(scope="module", params=["waiting", "training"])
def said(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[int, str, str]]:
    """What they say until the first one fails, while the other waits or trains."""
    return run_two(tmp_path_factory.mktemp("ranks"), request.param)


def test_both_train_what_the_first_has_on_what_each_reads(said: list[tuple[int, str, str]]) -> None:
    assert [lines.splitlines()[0] for _code, lines, _errors in said] == ["trained on 60"] * 2


def test_what_they_do_not_share_is_refused_by_both(said: list[tuple[int, str, str]]) -> None:
    (_, first, _), (_, other, _) = said
    assert first == other
    _, folder, data = first.splitlines()
    assert folder.startswith("own is not one folder for all machines: give one")
    assert data.startswith("The machines read different encoded_sequences: give all of them")


def test_nobody_waits_for_a_rank_that_has_ended(said: list[tuple[int, str, str]]) -> None:
    (first, _, _), (other, _, errors) = said
    assert (first, other) == (3, 1)
    assert "LostRankError: Another rank has ended: see what its machine says." in errors
