"""Fine-tuning the model itself, as one more head."""

import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import ParameterGrid
from transformers import PreTrainedModel

from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions
from clm_ler.modeling.evaluation.probes import Grid, Labels, Probe
from clm_ler.modeling.inference import embed, predict_proba
from clm_ler.modeling.model.published import encoder_of
from clm_ler.modeling.training import finetuning

logger = logging.getLogger(__name__)

Positions = NDArray[np.int64]  # [n, 2]: row of the store, leading positions that may be seen
SAMPLES_PER_REPORT = 20_000

# A training and a prediction use all cores, the process's random state and its number of threads.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class Encoder:
    """A pre-trained model, of any flavour, with the sequences it reads."""

    model: PreTrainedModel
    store: TokenStore
    vocabulary: Vocabulary
    window: WindowOptions
    tokens_per_batch: int

    def embed(self, positions: Positions) -> NDArray[np.float32]:
        """Return the frozen model's embedding of each sample, ``[n, hidden]``."""
        encoder = encoder_of(self.model)
        vectors = np.empty((len(positions), self.model.config.hidden_size), np.float32)
        started = time.monotonic()
        for start in range(0, len(positions), SAMPLES_PER_REPORT):
            part = slice(start, start + SAMPLES_PER_REPORT)
            rows, ends = positions[part].T
            vectors[part] = embed(
                encoder,
                self.store,
                Samples.unlabelled(rows, ends),
                self.vocabulary,
                self.window,
                self.tokens_per_batch,
            )
            done = start + len(rows)
            rate = done / (time.monotonic() - started)
            left = (len(positions) - done) / rate
            logger.info("Embedded %d of %d, about %.0f s left", done, len(positions), left)
        return vectors


def fit_fine_tuned(
    encoder: Encoder,
    checkpoints: Path,
    grid: Grid,
    train: tuple[Positions, Labels],
    validation: tuple[Positions, Labels],
    seed: int,
) -> Probe:
    """Return the fine-tuned model with the best validation AUROC, the first one where several are best.

    Args:
        encoder: The model to start from.
        checkpoints: Where trainings leave their state; a training that was killed goes on, a
            finished one is removed.
        grid: Values of the fields of :class:`clm_ler.modeling.training.finetuning.FineTuning`.
        train: Samples to fit on.
        validation: Samples to choose on.
        seed: Of the training.
    """
    data = finetuning.FineTuningData(
        encoder.store,
        encoder.vocabulary,
        encoder.window,
        train=_samples(*train),
        valid=_samples(*validation),
        num_labels=2,
        seed=seed,
    )
    state = blake2b(repr(seed).encode(), digest_size=12)
    for array in (*train, *validation):
        state.update(np.ascontiguousarray(array).tobytes())
    folder = checkpoints / state.hexdigest()
    best: tuple[Mapping[str, Any], float, PreTrainedModel] | None = None
    with _ONE_AT_A_TIME:
        for number, settings in enumerate(ParameterGrid(grid)):
            place = folder / str(number)
            result = finetuning.fine_tune(
                place, {"settings": settings}, encoder.model, data, _settings(encoder, settings)
            )
            if best is None or result["validation_auroc"] > best[1]:
                best = settings, result["validation_auroc"], finetuning.load_result(place)
    if best is None:
        raise ValueError("The grid of a fine-tuned head is empty.")
    shutil.rmtree(folder)
    settings, auroc, model = best
    return Probe(json.dumps(settings), auroc, partial(_predict, encoder, model))


def _settings(encoder: Encoder, settings: Mapping[str, Any]) -> finetuning.FineTuning:
    return finetuning.FineTuning(tokens_per_batch=encoder.tokens_per_batch, **settings)


def _samples(positions: Positions, labels: Labels) -> Samples:
    rows, ends = positions.T
    return Samples(rows, ends, labels.astype(np.int64))


def _predict(encoder: Encoder, model: PreTrainedModel, positions: Positions) -> NDArray[np.float64]:
    rows, ends = positions.T
    vocabulary, window = encoder.vocabulary, encoder.window
    with _ONE_AT_A_TIME:
        probability = predict_proba(
            model,
            encoder.store,
            Samples.unlabelled(rows, ends),
            vocabulary,
            window,
            encoder.tokens_per_batch,
        )
    return probability[:, 1]
