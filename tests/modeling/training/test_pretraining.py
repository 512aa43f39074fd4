import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_pt_utils import safe_globals

from clm_ler.modeling.loading import load_model
from clm_ler.modeling.objectives.base import Objective
from clm_ler.modeling.objectives.mlm import Mlm
from clm_ler.modeling.objectives.mlm_and_tte import MlmAndTte
from clm_ler.modeling.training.checkpoints import RESULT, last_checkpoint
from clm_ler.modeling.training.launch import launch
from clm_ler.modeling.training.pretraining import (
    DelayedEarlyStopping,
    build_trainer,
    pretrain,
    training_arguments,
)
from tests.modeling.records import mapped_records, records
from tests.modeling.train_toy import toy_task

pytestmark = pytest.mark.slow  # it trains models


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only wait for one another on tensors as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data() -> pa.Table:
    return records()


def history(run: Path) -> list[dict[str, float]]:
    return json.loads((run / RESULT / "history.json").read_text())


def losses(run: Path, name: str = "loss") -> list[float]:
    return [entry[name] for entry in history(run) if name in entry]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data: pa.Table) -> Path:
    run = tmp_path_factory.mktemp("undisturbed")
    pretrain(toy_task(run, data, objective=MlmAndTte))
    return run


def test_it_learns(undisturbed: Path) -> None:
    evaluated = losses(undisturbed, "eval_loss")
    assert evaluated[-1] < 0.95 * evaluated[0]


def test_the_best_model_is_kept(undisturbed: Path, data: pa.Table) -> None:
    task = toy_task(undisturbed, data, objective=MlmAndTte)
    trainer = build_trainer(task, training_arguments(task))
    trainer.model.load_state_dict(load_model(undisturbed / RESULT).state_dict())
    assert trainer.evaluate()["eval_loss"] == pytest.approx(min(losses(undisturbed, "eval_loss")))


def test_checkpoints_are_few_and_hold_no_pickle_of_arguments(undisturbed: Path) -> None:
    checkpoints = sorted(undisturbed.glob("checkpoint-*"))
    assert 1 <= len(checkpoints) <= 2
    for checkpoint in checkpoints:
        assert not (checkpoint / "training_args.bin").exists()
        for state in [*checkpoint.glob("*.pt"), checkpoint / "rng_state.pth"]:
            with safe_globals():
                torch.load(state, weights_only=True)
    assert {path.suffix for path in (undisturbed / RESULT).iterdir()} == {".json", ".safetensors"}


def test_killed_at_any_moment_it_goes_on_to_the_same_curve(
    undisturbed: Path, tmp_path: Path
) -> None:
    """Once while a checkpoint is being written, once at a moment of chance."""
    command = [sys.executable, "-m", "tests.modeling.train_toy", str(tmp_path), "mlm+tte"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = tmp_path / "run"
    waits = [lambda: any(run.glob("checkpoint-*")), lambda: (run / "checkpoint-12").exists()]
    for reached in waits:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while not reached() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (run / RESULT).exists(), "it was to be killed before its end"
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert history(run) == history(undisturbed)
    same = [
        safetensors.torch.load_file(r / RESULT / "model.safetensors") for r in (run, undisturbed)
    ]
    for name, weight in same[0].items():
        torch.testing.assert_close(weight, same[1][name], rtol=0, atol=0)


def test_a_checkpoint_that_finds_no_room_is_told_and_written_by_the_next_run(
    undisturbed: Path, tmp_path: Path, data: pa.Table
) -> None:
    checkpoint = next(undisturbed.glob("checkpoint-*"))
    files = [checkpoint / name for name in ("model.safetensors", "optimizer.pt")]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Room for the weights alone.
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (sum(file.stat().st_size for file in files) // 2, hard)
    )
    try:
        with pytest.raises(OSError, match=r"checkpoint .* could not be written"):
            pretrain(toy_task(tmp_path, data, objective=MlmAndTte))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    pretrain(toy_task(tmp_path, data, objective=MlmAndTte))
    assert history(tmp_path) == history(undisturbed)


def test_two_ranks_see_what_one_sees_in_twice_the_batches(tmp_path: Path) -> None:
    """Same order of data, so the same losses and weights: a step is the batches of both ranks.

    Of an objective with several losses, so that the items of each add up over batches and ranks.
    """
    data = mapped_records(tmp_path)
    alone, together = tmp_path / "alone", tmp_path / "together"
    common = {"dropout": 0.0, "tokens_per_batch": 96, "num_train_epochs": 2}
    common["objective"] = MlmAndTte
    task = toy_task(alone, data, gradient_accumulation_steps=2, **common)
    arguments = training_arguments(task)
    batches = len(build_trainer(task, arguments).get_train_dataloader())
    assert batches % 2 == 0, "else one rank has other batches than two"
    pretrain(task)
    launch(pretrain, toy_task(together, data, **common), ranks=2)
    assert len(losses(together)) == batches
    np.testing.assert_allclose(losses(together), losses(alone), rtol=1e-4)
    np.testing.assert_allclose(losses(together, "eval_loss"), losses(alone, "eval_loss"), rtol=1e-4)


@pytest.mark.parametrize("objective", [Mlm, MlmAndTte])
def test_each_loss_of_an_accumulated_step_is_the_mean_over_all_its_items(
    objective: type[Objective], tmp_path: Path, data: pa.Table
) -> None:
    changes = {"gradient_accumulation_steps": 3, "max_steps": 1}
    task = toy_task(tmp_path, data, objective=objective, dropout=0.0, **changes)
    trainer = build_trainer(task, training_arguments(task))
    model = trainer.model.eval()
    loader = iter(trainer.get_train_dataloader())
    batches = [next(loader) for _ in range(3)]
    sums = sum(model(**batch, read_out=task.recipe.objective.loss) for batch in batches)
    items = sum(batch["targets"]["items"] for batch in batches)
    pretrain(task)
    assert losses(tmp_path)[0] == pytest.approx((sums / items).sum().item(), rel=1e-5)


@pytest.mark.parametrize("objective", [Mlm, MlmAndTte])
def test_packed_batches_train_like_padded_ones(
    objective: type[Objective], tmp_path: Path, data: pa.Table
) -> None:
    common = {"objective": objective, "dropout": 0.0, "max_steps": 6}
    for name, attention in (("padded", "sdpa"), ("packed", "varlen")):
        pretrain(toy_task(tmp_path / name, data, attention=attention, **common))
    np.testing.assert_allclose(losses(tmp_path / "packed"), losses(tmp_path / "padded"), rtol=1e-4)


def test_half_precision_learns_what_full_precision_does(tmp_path: Path, data: pa.Table) -> None:
    common = {"objective": MlmAndTte, "dropout": 0.0, "max_steps": 12}
    for name, half in (("full", False), ("half", True)):
        pretrain(toy_task(tmp_path / name, data, bf16=half, **common))
    full, half = losses(tmp_path / "full"), losses(tmp_path / "half")
    assert half != full
    np.testing.assert_allclose(half, full, rtol=2e-2)


@pytest.mark.parametrize(("steps", "epochs"), [(60, 1), (0, 8)])
def test_steps_may_outlast_the_epochs_that_are_asked_for(
    tmp_path: Path, data: pa.Table, steps: int, epochs: int
) -> None:
    """Epochs have other windows, so some have more batches than the first. Without steps, epochs count."""
    changes = {"max_steps": steps, "num_train_epochs": epochs, "tokens_per_batch": 40}
    task = toy_task(tmp_path, data, objective=MlmAndTte, **changes)
    loader = build_trainer(task, training_arguments(task)).get_train_dataloader()
    for epoch in range(-(-steps // len(loader)) or epochs):
        loader.set_epoch(epoch)
        assert len(list(loader)) == len(loader)


def test_only_matrices_decay(tmp_path: Path, data: pa.Table) -> None:
    task = toy_task(tmp_path, data, objective=MlmAndTte)
    trainer = build_trainer(task, training_arguments(task))
    decaying = set(trainer.get_decay_parameter_names(trainer.model))
    kept = {name for name, _ in trainer.model.named_parameters()} - decaying
    assert kept and all(
        "norm" in n or n.endswith("bias") or "embeddings" in n or "targets" in n for n in kept
    )
    assert "clm_ler.layers.0.attention.qkv.weight" in decaying


def test_early_stopping_waits_for_its_delay(tmp_path: Path) -> None:
    arguments = TrainingArguments(
        str(tmp_path), metric_for_best_model="loss", greater_is_better=False, use_cpu=True
    )
    callback, control = DelayedEarlyStopping(1, early_stopping_delay=2), TrainerControl()
    state = TrainerState(best_metric=1.0, epoch=1.9)
    callback.on_evaluate(arguments, state, control, metrics={"eval_loss": 2.0})
    assert not control.should_training_stop
    state.epoch = 2.0
    callback.on_evaluate(arguments, state, control, metrics={"eval_loss": 2.0})
    assert control.should_training_stop
    again = DelayedEarlyStopping.from_state(callback.state())
    assert again.early_stopping_patience_counter == 1


@pytest.mark.parametrize(
    "changes",
    [{"max_steps": 7}, {"learning_rate": 0.0, "eval_steps": 1, "early_stopping_patience": 2}],
    ids=["steps are over", "stopped early"],
)
def test_killed_after_its_last_step_it_trains_no_further(
    changes: dict[str, Any], tmp_path: Path, data: pa.Table
) -> None:
    pretrain(toy_task(tmp_path / "before", data, **changes))
    run = (tmp_path / "before").rename(tmp_path / "moved")
    whole, checkpoint = (run / RESULT).rename(tmp_path / "whole"), last_checkpoint(run)
    pretrain(toy_task(run, data, **changes))
    assert last_checkpoint(run) == checkpoint
    for name in ("model.safetensors", "history.json"):
        assert (run / RESULT / name).read_bytes() == (whole / name).read_bytes()


def test_a_stopped_training_ends_with_a_result(tmp_path: Path, data: pa.Table) -> None:
    pretrain(toy_task(tmp_path, data, learning_rate=0.0, eval_steps=1, early_stopping_patience=2))
    assert len(losses(tmp_path)) < 10
    assert (tmp_path / RESULT / "model.safetensors").exists()
    assert last_checkpoint(tmp_path) is not None
