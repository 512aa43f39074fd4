"""A small fine-tuned model with random weights, and persons that it says something of."""

import numpy as np
import torch

from clm_ler.modeling.data.batches import collate
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import cut
from clm_ler.modeling.inference import sample_windows, trained_window
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForSequenceClassification
from tests.modeling.test_inference import FIRST_CODE, TOKENS, make_store, random_history, whole_rows

LABS = range(FIRST_CODE, FIRST_CODE + 5)
VOCABULARY = Vocabulary.from_tokens({token: i for i, token in enumerate(TOKENS)}, bins=10)


def history(rng, events):
    """Random events of which only labs have bins."""
    return [
        (day, token, bin_ if token in LABS else 0)
        for day, token, bin_ in random_history(rng, events)
    ]


TOLD = {"query_person": True, "age_waves": 4}  # the query is told who is asked about


def make_model(**changes):
    torch.manual_seed(0)
    settings = {
        "vocab_size": len(TOKENS),
        "num_lab_bins": 10,
        "lab_rows": len(LABS),
        "lab_forecasts": True,
        "pooling": "query+labs",
        "query_token": True,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "initializer_range": 0.3,
        "num_labels": 2,
    }
    config = ClmLerConfig(**settings | changes)
    config.window_length, config.tasks = 32, ["outcome"]
    model = ClmLerForSequenceClassification(config).eval()
    if config.age_waves:
        model.clm_ler.embeddings.number_ages(torch.tensor(VOCABULARY.years))
    if config.lab_rows:
        model.clm_ler.embeddings.number_labs(torch.tensor(LABS))
    return model


def people(count=6, seed=0):
    rng = np.random.default_rng(seed)
    store = make_store([history(rng, int(n)) for n in rng.integers(1, 30, count)])
    return store, whole_rows(store, np.arange(count))


def batch_of(model, store: TokenStore, samples):
    windows = sample_windows(store, samples, trained_window(model), model.config)
    return collate(cut(store, windows, VOCABULARY), VOCABULARY)
