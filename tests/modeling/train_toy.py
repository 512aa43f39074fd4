"""Train on the toy records; a script of its own, so that a test can kill it."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from transformers import set_seed

from clm_ler.files.atomic import replace_folder
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.loading import build_model
from clm_ler.modeling.objectives.mlm import Mlm, MlmOptions
from clm_ler.modeling.objectives.mlm_metrics import CodeSystems
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
OPTIONS = TrainingOptions(
    tokens_per_batch=256,
    num_train_epochs=4,
    eval_steps=4,
    eval_persons=100,
    logging_steps=1,
    learning_rate=1e-2,
    lr_scheduler_type="linear",
    warmup_steps=0.1,
    weight_decay=0.01,
    early_stopping_patience=100,
)


def toy_task(
    directory: Path,
    data: pa.Table,
    *,
    model_type: str = "clm_ler",
    dropout: float = 0.1,
    **changes: Any,
) -> PretrainingTask:
    """Return a task whose first weights are saved in the directory; changes are of its options."""
    open_run(directory, {}, overwrite=False)
    if not (directory / INITIAL).exists():
        set_seed(0)
        options = SIZES | {"hidden_dropout_prob": dropout}
        model = build_model(model_type, len(WORDS), BINS, options)
        replace_folder(directory / INITIAL, model.save_pretrained)
    options = replace(OPTIONS, **changes)
    vocabulary = Vocabulary.from_tokenizer(tokenizer())
    objective = Mlm(MlmOptions(), vocabulary, CodeSystems.from_tokens(WORDS))
    window = WindowOptions(32, 400)
    recipe = BatchRecipe(objective, vocabulary, window, options.tokens_per_batch, seed=0)
    return PretrainingTask(directory, data, recipe, options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    pretrain(toy_task(folder / "run", mapped_records(folder)))
