"""Could the labels or the test persons have leaked into what the model saw?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from ibis import _
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.options import PreprocessOptions, VocabOptions
from clm_ler.corridor.samples import (
    tasks_of,
    to_samples,
    wide_samples,
)
from clm_ler.engines.portable import counts_of, row_count
from clm_ler.modeling.data.samples import NO_LABEL, Samples
from clm_ler.modeling.data.store import TokenStore
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.data.windows import first_position
from clm_ler.modeling.evaluation.baselines import counts_and_age
from clm_ler.modeling.evaluation.probes import fit_probe
from clm_ler.tokens import SPLITS

SUSPICIOUS_GAIN = 0.1  # of AUROC, from the last day alone
PROBE_GRID = {"C": [0.1]}


def report_leakage(
    sample_candidates: ir.Table,
    samples: ir.Table,
    sequences: ir.Table,
    coded_events: ir.Table,
    lab_events: ir.Table,
    labelled_encoded: pa.Table,
    tokenizer: PreTrainedTokenizerFast,
    options: FinetuneOptions,
    preprocess: PreprocessOptions,
    vocab: VocabOptions,
) -> dict[str, Any]:
    """Return what was looked for and how often it was found.

    Returns:
        ``persons_in_two_splits``, by pair of splits; ``pretrained_on``, persons of the valid and test
        samples among the persons that pre-training learned from; ``fitted_outside_train``, artifacts
        that were; ``labels``, those without events, before the first event, on its day, and of samples
        that see a day after their prediction's; ``known_later``, events that had happened by a prediction
        time and were known after it only, and the samples that would have seen them;
        ``time_shift_probe``, how well a logistic regression on counts predicts the test labels from
        histories that end some days before the prediction time; and ``warnings`` in words.
    """
    frame, store = wide_samples(samples), TokenStore.from_arrow(labelled_encoded)
    part = to_samples(frame, store)
    later = part.ends > positions_until(store, part.rows, part.days)
    report = {
        "persons_in_two_splits": _persons_in_two_splits(samples),
        "pretrained_on": _pretrained_on(samples, sequences),
        "fitted_outside_train": [
            name
            for name, fit_on in {
                "unit_conversions and lab_percentiles": preprocess.fit_on,
                "tokenizer": vocab.fit_on,
            }.items()
            if fit_on != "train"
        ],
        "labels": _label_times(sample_candidates) | {"that_see_later_days": int(later.sum())},
        "known_later": _known_later(sample_candidates, coded_events, lab_events),
        "time_shift_probe": _probe_shifts(frame, store, part, tokenizer, options),
    }
    return report | {"warnings": _warnings(report)}


def _persons_in_two_splits(samples: ir.Table) -> dict[str, int]:
    persons = {
        split: samples.filter(_.split == split).select("person_id").distinct() for split in SPLITS
    }
    return {
        f"{first}, {second}": row_count(persons[first].semi_join(persons[second], "person_id"))
        for first, second in combinations(SPLITS, 2)
    }


def _pretrained_on(samples: ir.Table, sequences: ir.Table) -> dict[str, int]:
    learned = sequences.filter(_.split == "train").select("person_id")
    return {
        split: row_count(
            samples.filter(_.split == split)
            .semi_join(learned, "person_id")
            .select("person_id")
            .distinct()
        )
        for split in ("valid", "test")
    }


def _label_times(candidates: ir.Table) -> dict[str, int]:
    counts = candidates.agg(
        labels=_.count(),
        without_events=_.split.isnull().sum(),
        before_the_first_event=(_.n_events <= 0).sum(),
        on_the_day_of_the_first_event=((_.n_events > 0) & (_.prediction_day == 1)).sum(),
    )
    return counts_of(counts)


def _known_later(candidates: ir.Table, *events: ir.Table) -> dict[str, int]:
    """Return what would have leaked if events had their place when they happened.

    Only tables whose source says when an event came to be known have ``happened``.
    """
    moments = candidates.select("person_id", "prediction_time").distinct()
    late = [
        table.filter(_.happened < _.time).select("person_id", "happened", "time")
        for table in events
        if "happened" in table.columns
    ]
    if not late:
        return {"events": 0, "samples": 0}
    missed = moments.join(ibis.union(*late), "person_id").filter(
        _.happened <= _.prediction_time, _.time > _.prediction_time
    )
    by_moment = missed.group_by("person_id", "prediction_time").agg(events=_.count())
    counts = by_moment.agg(events=_.events.sum(), samples=_.count())
    return counts_of(counts)


def _probe_shifts(
    frame: pd.DataFrame,
    store: TokenStore,
    part: Samples,
    tokenizer: PreTrainedTokenizerFast,
    options: FinetuneOptions,
) -> dict[str, list[dict[str, Any]]]:
    """Return the probe's test AUROC by task and shift (classes above 0 against class 0)."""
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    split = frame["split"].to_numpy()
    found: dict[str, list[dict[str, Any]]] = {task: [] for task in tasks_of(frame)}
    for shift in options.probe_shifts:
        ends = (
            np.minimum(part.ends, positions_until(store, part.rows, part.days - shift))
            if shift
            else part.ends
        )
        shifted = replace(part, ends=ends)
        seen = (options.time_bins, vocabulary.bins)
        features = counts_and_age(store, vocabulary, shifted, *seen)
        for task in found:
            labels = frame[task].to_numpy()
            train, test = (
                np.flatnonzero((split == name) & (labels != NO_LABEL)) for name in ("train", "test")
            )
            outcome = (labels > 0).astype(np.int8)
            probe = fit_probe(
                "logistic",
                PROBE_GRID,
                (features[train], outcome[train]),
                (features[test], outcome[test]),
            )
            found[task].append({"days_before": shift, "auroc": probe.validation_auroc})
    return found


def positions_until(
    store: TokenStore, rows: NDArray[np.integer], days: NDArray[np.integer]
) -> NDArray[np.int32]:
    """Return how many leading positions of each row have a day that is not later, ``[n]``."""
    nothing, everything = np.zeros_like(rows), store.lengths[rows]
    return first_position(store, rows, nothing, everything, np.maximum(days, 0) + 1)


def _warnings(report: Mapping[str, Any]) -> list[str]:
    found = []
    if any(report["persons_in_two_splits"].values()):
        found.append("Persons are in more than one split.")
    if any(report["pretrained_on"].values()):
        found.append("The model was pre-trained on persons of the valid or test samples.")
    if later := report["labels"]["that_see_later_days"]:
        found.append(f"{later} samples see days after their prediction.")
    if report["fitted_outside_train"]:
        found.append(
            f"Fitted outside the train split: {', '.join(report['fitted_outside_train'])}."
        )
    for task, points in report["time_shift_probe"].items():
        found += _last_day_warning(task, points)
    return found


def _last_day_warning(task: str, points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Warn where the day of the prediction tells much more than all days before it."""
    by_shift = {point["days_before"]: point["auroc"] for point in points}
    if 0 in by_shift and 1 in by_shift and by_shift[0] - by_shift[1] > SUSPICIOUS_GAIN:
        return [
            f"{task}: the day of the prediction alone raises the AUROC of counts from"
            f" {by_shift[1]:.3f} to {by_shift[0]:.3f}: are outcomes recorded before they are predicted?"
        ]
    return []
