"""What a model would say if one result had been another: a lab moves from bin to bin, dates fixed."""

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from clm_ler.modeling.data.batches import collate
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import cut
from clm_ler.modeling.evaluation.calibration import calibrated
from clm_ler.modeling.inference import TOKENS_PER_BATCH, by_batch, sample_windows, trained_window

Floats = NDArray[np.float64]


def samples_by_lab(
    store: TokenStore, samples: Samples, vocabulary: Vocabulary, model: PreTrainedModel
) -> dict[int, NDArray[np.int64]]:
    """Return, by the id of a lab's code, the samples whose window shows a result of it."""
    windows = sample_windows(store, samples, trained_window(model), model.config)
    tokens = cut(store, windows, vocabulary)
    sample = np.repeat(np.arange(len(samples)), tokens.lengths)
    is_result = tokens.token_type_ids > 0
    codes = tokens.input_ids[is_result]
    return {
        int(code): np.unique(sample[is_result][codes == code]).astype(np.int64)
        for code in np.unique(codes)
    }


def risk_by_bin(
    model: PreTrainedModel,
    store: TokenStore,
    samples: Samples,
    vocabulary: Vocabulary,
    code: int,
    outcome: int,
) -> Floats:
    """Return the risk of each sample with its last result of a lab in each bin, ``[n, bins]``.

    Args:
        model: A fine-tuned model.
        store: The encoded persons.
        samples: Those whose window shows a result of the lab.
        vocabulary: That of the model.
        code: The id of the lab's code.
        outcome: The class, or of several tasks the number of the task.
    """
    windows = sample_windows(store, samples, trained_window(model), model.config)
    bins = np.arange(1, vocabulary.bins + 1)
    risks = np.empty((len(samples), len(bins)))

    @torch.inference_mode()
    def work(index: NDArray[np.integer]) -> Floats:
        batch = collate(cut(store, windows[index], vocabulary), vocabulary)
        batch = {name: values.to(model.device) for name, values in batch.items()}
        shown = (batch["input_ids"] == code) & (batch["token_type_ids"] > 0)
        places = torch.arange(shown.shape[1], device=shown.device)
        last = (shown * (places + 1)).argmax(dim=1)
        columns = []
        for number in bins:
            changed = batch["token_type_ids"].clone()
            changed[torch.arange(len(last), device=last.device), last] = int(number)
            logits = model(**batch | {"token_type_ids": changed}).logits.float().cpu().numpy()
            columns.append(calibrated(logits, model.config)[:, outcome])
        return np.stack(columns, axis=1)

    for index, found in by_batch(model, windows.lengths, TOKENS_PER_BATCH, work):
        risks[index] = found
    return risks
