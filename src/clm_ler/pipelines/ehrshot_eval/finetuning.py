"""Fine-tuning the model itself, as one more head."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import ParameterGrid
from transformers import PreTrainedModel

from clm_ler.files.digests import digest
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.evaluation.probes import Grid, Labels, Probe
from clm_ler.modeling.inference import predict_proba
from clm_ler.modeling.training import finetuning

# A training and a prediction use all cores, the process's random state and its number of threads.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class FineTuner:
    """A pre-trained model, of any flavour, to be fine-tuned on samples of one store.

    Attributes:
        model: The model to start from.
        data: The sequences it reads; the samples are those of each fit.
        tokens_per_batch: Positions of a batch, padding included.
        workspace: Where trainings leave their state; a training that was killed goes on, a finished
            one is removed.
    """

    model: PreTrainedModel
    data: finetuning.FineTuningData
    tokens_per_batch: int
    workspace: Path

    def fit(
        self,
        grid: Grid,
        train: tuple[Samples, Labels],
        validation: tuple[Samples, Labels],
        seed: int,
    ) -> Probe:
        """Return the fine-tuned model with the best validation AUROC, the first one where several are.

        Args:
            grid: Values of the fields of :class:`clm_ler.modeling.training.finetuning.FineTuning`.
            train: Samples to fit on.
            validation: Samples to choose on.
            seed: Of the training.
        """
        data = replace(self.data, train=_label(*train), valid=_label(*validation), seed=seed)
        parts = [(part.rows, part.ends, part.labels) for part in (data.train, data.valid)]
        folder = self.workspace / digest(seed, *parts)
        best: tuple[Mapping[str, Any], float, PreTrainedModel] | None = None
        with _ONE_AT_A_TIME:
            for number, settings in enumerate(ParameterGrid(grid)):
                place = folder / str(number)
                result = finetuning.fine_tune(place, self.model, data, self._settings(settings))
                if best is None or result["validation_auroc"] > best[1]:
                    best = settings, result["validation_auroc"], finetuning.load_result(place)
        assert best is not None  # a grid has one point at least
        shutil.rmtree(folder)
        settings, auroc, model = best
        return Probe(json.dumps(settings), auroc, partial(self._predict, model))

    def _settings(self, settings: Mapping[str, Any]) -> finetuning.FineTuning:
        return finetuning.FineTuning(tokens_per_batch=self.tokens_per_batch, **settings)

    def _predict(self, model: PreTrainedModel, samples: Samples) -> NDArray[np.float64]:
        data = self.data
        with _ONE_AT_A_TIME:
            probability = predict_proba(
                model, data.store, samples, data.vocabulary, data.window, self.tokens_per_batch
            )
        return probability[:, 1]


def _label(samples: Samples, labels: Labels) -> Samples:
    return replace(samples, labels=labels.astype(np.int64))
