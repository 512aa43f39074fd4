"""What pre-training and fine-tuning share of Hugging Face's Trainer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import rotate_checkpoints

from clm_ler.modeling.data.batches import Batch
from clm_ler.modeling.training.checkpoints import COMPLETE, has_ended, last_checkpoint

# Where torch.save fails: it does not say what the operating system told.
_TORCH_WRITER = "inline_container"


def batch_arguments(directory: Path, **arguments: Any) -> TrainingArguments:
    """Return Trainer's arguments: those given, and those that ready-made batches need.

    It evaluates, and saves a checkpoint, every ``eval_steps``, and ends with the best of them.
    """
    return TrainingArguments(
        output_dir=str(directory),
        # A batch comes ready from the loader; accelerate is to hand out whole batches, each once.
        per_device_train_batch_size=1,
        accelerator_config={"even_batches": False, "dispatch_batches": False},
        remove_unused_columns=False,
        eval_strategy="steps",
        save_strategy="steps",
        save_steps=arguments["eval_steps"],
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,
        disable_tqdm=True,
        # Inference knows CUDA and the CPU; Trainer would also take Apple's GPU, which was never tried.
        use_cpu=not torch.cuda.is_available(),
        **arguments,
    )


class BatchTrainer(Trainer):
    """Trainer on ready-made batches, whose checkpoints are whole or do not count."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        train_loader: DataLoader[Batch],
        save_total_limit: int,
    ) -> None:
        # It insists on a dataset for the evaluation; ours is in `evaluate` of the subclasses.
        super().__init__(model=model, args=args, eval_dataset=train_loader.dataset)
        self.remove_callback(PrinterCallback)
        self._train_loader, self._save_total_limit = train_loader, save_total_limit

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """Return our batches, every rank its own."""
        loader: DataLoader[Batch] = self.accelerator.prepare(self._train_loader)
        return loader

    def train_to_the_end(self) -> None:
        """Train, from the directory's last whole checkpoint if there is one; the model is the best one then.

        A run may be killed when training is over and its result not yet written. Trainer would train on.
        """
        directory = Path(str(self.args.output_dir))
        checkpoint = last_checkpoint(directory)
        if checkpoint:
            state = TrainerState.load_from_json(str(Path(checkpoint, TRAINER_STATE_NAME)))
            if has_ended(state):
                self.state = state
                model = cast(PreTrainedModel, self.model)
                best = model.from_pretrained(
                    directory / Path(str(state.best_model_checkpoint)).name
                )
                model.load_state_dict(best.state_dict())
                return
        self.train(resume_from_checkpoint=checkpoint)

    def report(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Log the metrics of an evaluation, tell the callbacks, and return them."""
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, dict(metrics)
        )
        return dict(metrics)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save as Trainer does, then mark the checkpoint as whole, and only then drop older ones.

        Raises:
            OSError: If the disk does not take it.
        """
        run = str(self.args.output_dir)
        try:
            super()._save_checkpoint(model, trial)
        except RuntimeError as error:
            if _TORCH_WRITER not in str(error):
                raise
            raise OSError(
                f"A checkpoint below {run} could not be written: make room on the disk, and look at the "
                "limits of files (ulimit -a); the same command goes on from the last one."
            ) from error
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            checkpoint = Path(run, f"checkpoint-{self.state.global_step}")
            # A pickle of the arguments, which nothing here reads.
            (checkpoint / "training_args.bin").unlink()
            (checkpoint / COMPLETE).touch()
            rotate_checkpoints(run, self._save_total_limit, self.state.best_model_checkpoint)
