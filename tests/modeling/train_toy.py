"""Train on the toy records; a script of its own, so that a test can kill it."""

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from transformers import set_seed

from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.model.published import build_masked_lm
from clm_ler.modeling.objectives.mlm import MaskingOptions
from clm_ler.modeling.objectives.mlm_metrics import CodeSystems
from clm_ler.modeling.training.checkpoints import INITIAL, open_run, save_directory
from clm_ler.modeling.training.pretraining import PretrainingTask, pretrain
from tests.modeling.records import BINS, WORDS, mapped_records, tokenizer

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 400,
    "attention_window": 4,
}


def toy_task(
    directory: Path,
    data: pa.Table,
    *,
    model_type: str = "clm_ler",
    dropout: float = 0.1,
    tokens_per_batch: int = 256,
    attention: str = "sdpa",
    save_total_limit: int = 2,
    **arguments: Any,
) -> PretrainingTask:
    """Return a task whose first weights are saved in the directory."""
    open_run(directory, {}, overwrite=False)
    if not (directory / INITIAL).exists():
        set_seed(0)
        options = SIZES | {"hidden_dropout_prob": dropout}
        model = build_masked_lm(model_type, len(WORDS), BINS, options)
        save_directory(directory / INITIAL, model.save_pretrained)
    defaults = {
        "seed": 0,
        "use_cpu": True,
        "bf16": False,
        "num_train_epochs": 4,
        "eval_steps": 4,
        "logging_steps": 1,
        "learning_rate": 1e-2,
        "warmup_steps": 0.1,
        "weight_decay": 0.01,
    }
    return PretrainingTask(
        directory=directory,
        data=data,
        vocabulary=Vocabulary.from_tokenizer(tokenizer()),
        systems=CodeSystems.from_tokens(WORDS),
        window=WindowOptions(32, 400),
        masking=MaskingOptions(),
        tokens_per_batch=tokens_per_batch,
        eval_persons=100,
        workers=0,
        attention=attention,
        save_total_limit=save_total_limit,
        early_stopping_patience=100,
        early_stopping_delay=0,
        arguments=defaults | arguments,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    pretrain(toy_task(folder / "run", mapped_records(folder)))
