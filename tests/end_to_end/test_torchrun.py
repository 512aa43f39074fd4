"""`torchrun ... -m kedro run --pipelines=pretrain`: two agents, as on two machines, and one that has two ranks."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import ibis
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from clm_ler.files.locks import HOLDER
from tests.end_to_end.conftest import ROOT
from tests.modeling.records import records, tokenizer
from tests.modeling.training.test_torchrun import free_port

pytestmark = pytest.mark.slow  # it trains models

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "override_maxlen": 32,
    "tokens_per_batch": 256,
    "max_steps": 40,
    "logging_steps": 1,
}
RESULT = "06_models/checkpoints/result"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A storage with what `vocab` leaves to `pretrain`."""
    place = tmp_path_factory.mktemp("made")
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT, runtime_params={"storage": str(place)}) as session:
        catalog = session.load_context().catalog
        catalog.save("tokenizer", tokenizer())
        catalog.save("encoded_sequences", ibis.memtable(records()))
    return place


def pretrain(storage, **more):
    """The command, as a process would be given it."""
    given = {f"pretrain.{name}": value for name, value in (TINY | more).items()}
    pairs = ",".join(f"{name}={value}" for name, value in (given | {"storage": storage}).items())
    return ["-m", "kedro", "run", "--pipelines=pretrain", f"--params={pairs}"]


def start(*arguments):
    command = [sys.executable, *arguments]
    threads = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=threads, stdout=-1, stderr=-2, text=True)


def start_machines(storage):
    """Both machines' torchrun."""
    place = f"--rdzv-endpoint=localhost:{free_port()}"
    agent = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    agent += ["--rdzv-backend=c10d", place, "--local-addr=localhost"]
    return [start(*agent, *pretrain(storage)) for _machine in range(2)]


def ends(*processes):
    """Exit codes, and all that was printed."""
    printed = "".join(process.communicate(timeout=300)[0] for process in processes)
    return [process.returncode for process in processes], printed


@pytest.fixture(scope="module")
def alone(made, tmp_path_factory):
    """What two ranks of one machine have made, undisturbed."""
    storage = shutil.copytree(made, tmp_path_factory.mktemp("alone") / "data")
    codes, printed = ends(start(*pretrain(storage, ranks=2)))
    assert codes == [0], printed
    return storage


@pytest.fixture(scope="module")
def together(made, tmp_path_factory):
    """What two machines have made after their first rank was killed; and what they have printed."""
    storage = shutil.copytree(made, tmp_path_factory.mktemp("together") / "data")
    machines = start_machines(storage)
    while not any((storage / RESULT).parent.glob("checkpoint-*/complete")):
        assert [machine.poll() for machine in machines] == [None, None], ends(*machines)
        time.sleep(0.01)
    os.kill(json.loads((storage / HOLDER).read_text())["process"], signal.SIGKILL)
    codes, _printed = ends(*machines)
    assert 0 not in codes
    assert not (storage / RESULT).exists(), "it was to be killed before its end"
    codes, printed = ends(*start_machines(storage))
    assert codes == [0, 0], printed
    return storage, printed


def test_two_machines_train_what_one_machine_does(alone, together):
    there, _printed = together
    for name in ("model.safetensors", "history.json"):
        assert (there / RESULT / name).read_bytes() == (alone / RESULT / name).read_bytes()
    assert json.loads((there / RESULT / "training.json").read_text())["ranks"] == 2


def test_the_first_rank_publishes_the_model(alone, together):
    there, _printed = together
    metrics = [
        json.loads((at / "08_reporting" / "pretrain_metrics.json").read_text())["test"]
        for at in (alone, there)
    ]
    assert metrics[0] == metrics[1]
    assert (there / "06_models" / "pretrained_model" / "README.md").is_file()


def test_one_rank_tells_what_happens(together):
    _there, printed = together
    assert printed.count("steps of pretrain") == printed.count("Results:") == 1
