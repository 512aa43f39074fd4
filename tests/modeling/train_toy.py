"""Train on the toy records; a script of its own, so that a test can kill it."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from transformers import set_seed

from clm_ler.files.atomic import replace_folder
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.loading import build_model
from clm_ler.modeling.objectives import OBJECTIVES
from clm_ler.modeling.objectives.base import Objective
from clm_ler.modeling.objectives.mlm import Mlm, MlmOptions
from clm_ler.modeling.objectives.tte import TteOptions
from clm_ler.modeling.training.checkpoints import INITIAL, open_run
from clm_ler.modeling.training.loaders import BatchRecipe
from clm_ler.modeling.training.options import TrainingOptions
from clm_ler.modeling.training.pretraining import PretrainingTask, pretrain
from tests.modeling.records import BINS, WORDS, mapped_records, tokenizer

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 400,
    "attention_window": 4,
}
VOCABULARY = Vocabulary.from_tokenizer(tokenizer())
OPTIONS = TrainingOptions(
    tokens_per_batch=256,
    num_train_epochs=8,
    eval_steps=4,
    eval_persons=100,
    logging_steps=1,
    learning_rate=1e-2,
    lr_scheduler_type="linear",
    warmup_steps=0.1,
    weight_decay=0.01,
    early_stopping_patience=100,
)


@dataclass(frozen=True)
class ObjectiveOptions(TteOptions, MlmOptions, WindowOptions):
    """What objectives read of the options of pre-training."""

    event_min_persons: int = 3
    override_maxlen: int = 32
    max_position_embeddings: int = 400
    model_type: str = "clm_ler"
    bin_loss_weight: float = 1.0


def toy_objective(kind: type[Objective], data: pa.Table, model_type: str = "clm_ler") -> Objective:
    """Return an objective fitted on the records."""
    options, vocabulary = ObjectiveOptions(model_type=model_type), VOCABULARY
    targets = kind.fit(options, TokenStore.from_arrow(data, "train"), vocabulary)
    return kind.create(options, vocabulary, WORDS, targets)


def toy_task(
    directory: Path,
    data: pa.Table,
    *,
    objective: type[Objective] = Mlm,
    model_type: str = "clm_ler",
    dropout: float = 0.1,
    **changes: Any,
) -> PretrainingTask:
    """Return a task whose first weights are saved in the directory; changes are of its options."""
    open_run(directory, {}, overwrite=False)
    trained_for = toy_objective(objective, data, model_type)
    if not (directory / INITIAL).exists():
        set_seed(0)
        sizes = SIZES | {"hidden_dropout_prob": dropout} | trained_for.configure()
        model = build_model(model_type, len(WORDS), BINS, sizes)
        trained_for.start(model)
        replace_folder(directory / INITIAL, model.save_pretrained)
    options = replace(OPTIONS, **changes)
    recipe = BatchRecipe(
        objective=trained_for,
        vocabulary=VOCABULARY,
        window=ObjectiveOptions(),
        tokens_per_batch=options.tokens_per_batch,
        seed=0,
    )
    return PretrainingTask(directory, data, recipe, options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    kind = OBJECTIVES[sys.argv[2]]
    pretrain(toy_task(folder / "run", mapped_records(folder), objective=kind))
