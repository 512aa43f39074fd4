"""A tiny site of the benchmark, and what is made of its files."""

from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import torch

from clm_ler.corridor.nodes import encode_sequences
from clm_ler.corridor.options import PreprocessOptions, VocabOptions
from clm_ler.modeling.model.configuration_clm_ler import ClmLerConfig
from clm_ler.modeling.model.modeling_clm_ler import ClmLerForMaskedLM
from clm_ler.pipelines import ehrshot_eval, ehrshot_read
from clm_ler.pipelines.ehrshot_eval import nodes
from clm_ler.pipelines.ehrshot_eval import site as site_nodes
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions
from clm_ler.pipelines.ehrshot_native.nodes import keep_codes
from clm_ler.pipelines.vocab.nodes import build_tokenizer, count_tokens
from tests.pipelines.outputs import outputs_of

PERSONS = 36
LABS = PreprocessOptions(tables={}, min_loinc_counts=5, min_loinc_value_counts=5)
DAY = pd.Timedelta(days=1)
MODELS = {
    "clm_ler": ("standardised", "lr"),
    "untrained": ("standardised",),
    "demographics": ("standardised",),
    "count": ("lr",),
    "count_bins": ("lr",),
    "windowed": ("standardised", "gbm"),
    "clm_ler_windowed": ("gbm",),
}
PAIRS = {(model, head) for model, heads in MODELS.items() for head in heads}


def make_site() -> dict[str, Any]:
    """Raw files of a site: the label of a person shows in a code the day before."""
    generator = np.random.default_rng(0)
    events, labels = [], []
    for person in range(1, PERSONS + 1):
        label = int(generator.random() < 0.5)
        start = pd.Timestamp("2020-01-01") + DAY * int(generator.integers(0, 300))
        prediction = (start + 30 * DAY).normalize() + pd.Timedelta("23:59:00")
        rows = [
            (start - 18000 * DAY, "SNOMED/3950001", None, None),
            (start - 18000 * DAY, "Gender/F" if person % 2 else "Gender/M", None, None),
            (start, "Visit/IP", None, None),
            (prediction - DAY, "SNOMED/111" if label else "SNOMED/222", None, None),
            (prediction, "SNOMED/333", None, None),
        ]
        rows += [
            (start + DAY * day, "LOINC/2345-7", f"{generator.normal(100, 20):.1f}", "mg/dL")
            for day in range(8)
        ]
        events += [(person, str(time), "", code, value, unit) for time, code, value, unit in rows]
        labels.append((person, str(prediction), str(bool(label)), "boolean"))
    columns = ["patient_id", "start", "end", "code", "value", "unit"]
    splits = ["train"] * 18 + ["val"] * 9 + ["test"] * 9
    return {
        "events": pd.DataFrame(events, columns=columns, dtype=object),
        "splits": pd.DataFrame({"omop_person_id": range(1, PERSONS + 1), "split": splits}),
        "labels": pd.DataFrame(
            labels, columns=["patient_id", "prediction_time", "value", "label_type"]
        ),
    }


def fit(site: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer, lab tables and a model with random weights, fitted once."""
    read = read_site(site["events"], site)
    conversions, percentiles = site_nodes.fit_native_labs(
        read["ehrshot_timeline"], read["ehrshot_person_splits"], LABS
    )
    known = {
        "unit_conversions": ibis.memtable(conversions.to_pyarrow()),
        "lab_percentiles": ibis.memtable(percentiles.to_pyarrow()),
        "code_translations": ibis.memtable(keep_codes(read["source_codes"], LABS).to_pyarrow()),
    }
    sequences = evaluated(read | known, "ehrshot_sequences")["ehrshot_sequences"]
    counts = count_tokens(sequences, VocabOptions(min_persons=1))
    tokenizer = build_tokenizer(counts, known["lab_percentiles"], VocabOptions(min_persons=1))
    torch.manual_seed(0)
    model = ClmLerForMaskedLM(
        ClmLerConfig(
            vocab_size=len(tokenizer),
            num_lab_bins=10,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
        )
    )
    return known | {"tokenizer": tokenizer, "pretrained_model": model.eval()}


def read_site(events: pd.DataFrame, site: dict[str, Any]) -> dict[str, Any]:
    """What ``ehrshot_read`` makes of the files, stored."""
    files = {
        "ehrshot_events": as_table(events),
        "ehrshot_splits": ibis.memtable(site["splits"]),
        "ehrshot_labels": {"guo_los/labeled_patients": lambda: ibis.memtable(site["labels"])},
    }
    names = ["ehrshot_timeline", "ehrshot_person_splits", "ehrshot_samples", "source_codes"]
    found = outputs_of(ehrshot_read.create_pipeline(), files, *names)
    return {name: ibis.memtable(table.to_pyarrow()) for name, table in found.items()}


def evaluated(tables: dict[str, Any], *wanted: str) -> dict[str, Any]:
    """The outputs of ``ehrshot_eval`` that are asked for."""
    return outputs_of(ehrshot_eval.create_pipeline(), tables | {"params:preprocess": LABS}, *wanted)


def as_table(events: pd.DataFrame) -> ibis.Table:
    schema = dict.fromkeys(events.columns, "string") | {"patient_id": "int64"}
    return ibis.memtable(events, schema=schema)


def options(tmp_path: Path, **changes: Any) -> EhrshotOptions:
    settings: dict[str, Any] = {
        "tasks": ("guo_los",),
        "shots": (-1,),
        "replicates": 1,
        "heads": {
            "lr": {"estimator": "logistic", "grid": {"C": (1e-2, 1.0)}},
            "standardised": {"estimator": "standardised", "grid": {"C": (1e-2, 1.0)}},
            "gbm": {"estimator": "gbm", "grid": {"num_leaves": (4,)}},
        },
        "models": MODELS,
        "bootstraps": 20,
        "max_length": 32,
        "checkpoints": str(tmp_path / "checkpoints"),
    }
    return EhrshotOptions.model_validate(settings | changes)


def seen_of(
    events: pd.DataFrame, site: dict[str, Any], fitted: dict[str, Any], chosen: EhrshotOptions
) -> dict[str, Any]:
    """The tables that cells are fitted on, but for embeddings."""
    tables = read_site(events, site) | fitted | {"params:ehrshot_eval": chosen}
    found = evaluated(tables, "ehrshot_seen", "ehrshot_sequences", "ehrshot_demographics")
    found["ehrshot_count_tokens"] = site_nodes.collect_count_tokens(
        tables["ehrshot_timeline"], tables["unit_conversions"], tables["lab_percentiles"]
    )
    found["ehrshot_valued_events"] = site_nodes.collect_valued_events(
        tables["ehrshot_timeline"], tables["unit_conversions"]
    )
    encoded = encode_sequences(found["ehrshot_sequences"], fitted["tokenizer"])
    encoded = encoded.order_by("person_id").to_pyarrow()
    found = {name: ibis.memtable(table.to_pyarrow()) for name, table in found.items()}
    return found | {"ehrshot_encoded": encoded, "ehrshot_samples": tables["ehrshot_samples"]}


def embedded(
    found: dict[str, Any], fitted: dict[str, Any], chosen: EhrshotOptions
) -> dict[str, Any]:
    """The tables with the embeddings of the model, and those of an untrained one."""
    read = (found["ehrshot_encoded"], found["ehrshot_seen"])
    model = (fitted["tokenizer"], fitted["pretrained_model"])
    return found | {
        "ehrshot_embeddings": nodes.embed_samples(*read, *model, chosen),
        "ehrshot_untrained_embeddings": nodes.embed_untrained(*read, *model, chosen, 1),
    }


def features_of(
    events: pd.DataFrame, site: dict[str, Any], fitted: dict[str, Any], chosen: EhrshotOptions
) -> dict[str, Any]:
    """All tables that cells are fitted on."""
    return embedded(seen_of(events, site, fitted, chosen), fitted, chosen)
