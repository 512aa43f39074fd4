"""A trained model on samples: one vector each, or the probability of each class."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from clm_ler.modeling.data.batches import collate, plan_batches
from clm_ler.modeling.data.samples import Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import WindowOptions, Windows, cut, evaluation_windows
from clm_ler.modeling.evaluation.calibration import calibrated
from clm_ler.modeling.model.configuration_clm_ler import pooled_size

Integers = NDArray[np.integer]
Floats = NDArray[np.float32]

TOKENS_PER_BATCH = 8192
TOKENS_PER_CORE = 4096  # on a CPU, as the states of more leave the cache of a core
Result = TypeVar("Result")


def device() -> torch.device:
    """Return where models compute: a GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def embed(
    model: PreTrainedModel,
    store: TokenStore,
    samples: Samples,
    vocabulary: Vocabulary,
    window: WindowOptions,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> Floats:
    """Return the pooled embedding of each sample's most recent window, float32 ``[n, size]``.

    Args:
        model: The encoder; it is moved to the :func:`device`.
        store: The encoded persons.
        samples: The rows of the store and what may be seen of them.
        vocabulary: What the store was encoded with.
        window: The size of a window.
        tokens_per_batch: The most positions of a batch, padding included.
    """
    windows = sample_windows(store, samples, window, model.config)
    vectors = np.empty((len(samples), pooled_size(model.config)), np.float32)
    for index, output in _apply(model, store, windows, vocabulary, tokens_per_batch):
        vectors[index] = output.pooler_output.float().cpu().numpy()
    return vectors


def predict_logits(
    model: PreTrainedModel,
    store: TokenStore,
    samples: Samples,
    vocabulary: Vocabulary,
    window: WindowOptions,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> Floats:
    """Return the logits of each sample, float32 ``[n, num_labels]``; arguments as :func:`embed`."""
    windows = sample_windows(store, samples, window, model.config)
    logits = np.empty((len(samples), cast(int, model.config.num_labels)), np.float32)
    for index, output in _apply(model, store, windows, vocabulary, tokens_per_batch):
        logits[index] = output.logits.float().cpu().numpy()
    return logits


def predict_proba(
    model: PreTrainedModel,
    store: TokenStore,
    samples: Samples,
    vocabulary: Vocabulary,
    window: WindowOptions,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> NDArray[np.float64]:
    """Return calibrated probabilities, float64 ``[n, num_labels]``; arguments as :func:`embed`.

    They are calibrated as the model's configuration says. The classes of a row sum to 1, unless the model's
    problem type is multi-label: then each column is a task.
    """
    logits = predict_logits(model, store, samples, vocabulary, window, tokens_per_batch)
    return calibrated(logits, model.config)


def sample_windows(
    store: TokenStore, samples: Samples, window: WindowOptions, config: PreTrainedConfig
) -> Windows:
    """Return the most recent window of each sample, with a query token for a model that knows it."""
    asks = getattr(config, "query_token", False)
    return evaluation_windows(
        store,
        samples.rows,
        window,
        samples.ends,
        samples.days if asks else None,
        age_at_query=getattr(config, "query_person", False),
    )


def trained_window(model: PreTrainedModel) -> WindowOptions:
    """Return the window that a fine-tuned model was trained on."""
    return WindowOptions(model.config.window_length, model.config.max_position_embeddings)


def _apply(
    model: PreTrainedModel,
    store: TokenStore,
    windows: Windows,
    vocabulary: Vocabulary,
    tokens_per_batch: int,
) -> Iterator[tuple[Integers, Any]]:
    """Yield which windows make a batch, and what the model makes of it."""

    @torch.inference_mode()
    def run(index: Integers) -> Any:
        batch = collate(cut(store, windows[index], vocabulary), vocabulary)
        return model(**{name: values.to(model.device) for name, values in batch.items()})

    yield from by_batch(model, windows.lengths, tokens_per_batch, run)


def by_batch(
    model: PreTrainedModel,
    lengths: NDArray[np.integer],
    tokens_per_batch: int,
    work: Callable[[Integers], Result],
) -> Iterator[tuple[Integers, Result]]:
    """Yield which windows make a batch, and what the work makes of them; the longest come first.

    The batches depend on the windows' lengths only. On a CPU they are smaller, and each is the work of one thread: small
    matrices are not worth sharing, and the numbers do not depend on how many cores there are.

    Args:
        model: That the work needs; it is moved to the :func:`device`, and set to evaluate.
        lengths: Tokens of each window, ``[n]``.
        tokens_per_batch: The most positions of a batch, padding included.
        work: Takes the numbers of the windows of a batch; its tensors are to be where the model is.
    """
    # Whatever `model.device` says: it is that of the first parameter, and a new head is on the CPU.
    nn.Module.to(model, device()).eval()
    on_cpu = model.device.type == "cpu"
    budget = min(tokens_per_batch, TOKENS_PER_CORE) if on_cpu else tokens_per_batch
    plan = plan_batches(lengths, budget)

    def run(number: int) -> tuple[Integers, Result]:
        return plan[number], work(plan[number])

    if not on_cpu:
        yield from map(run, range(len(plan)))
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(run, range(len(plan)))
    finally:
        torch.set_num_threads(threads)
