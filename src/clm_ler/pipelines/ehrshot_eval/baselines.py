"""What the model has to beat beside the counts, and what it makes together with them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import scipy.sparse as sp
from ibis import _
from numpy.typing import NDArray

from clm_ler.files.arrow import ragged_count_until
from clm_ler.files.digests import digest
from clm_ler.files.spill import spill
from clm_ler.modeling.evaluation.event_counts import MICROSECONDS_PER_DAY
from clm_ler.modeling.evaluation.windowed import VERSION, Timelines, standardise, windowed_chunks
from clm_ler.pipelines.ehrshot_eval.features import (
    Features,
    embedding_features,
    keys_of,
    place_in,
)
from clm_ler.pipelines.ehrshot_eval.options import EhrshotOptions

BASELINE = ["gender", "race", "ethnicity"]


def simple_features(
    seen: pd.DataFrame,
    untrained_embeddings: ir.Table,
    parts: Sequence[int],
    demographics: ir.Table,
    ages: Features,
    options: EhrshotOptions,
) -> dict[str, Features]:
    """Return what the simplest baselines see, as far as they are wanted."""
    made = {}
    if options.models.get("untrained"):
        made["untrained"] = embedding_features(untrained_embeddings, parts)
    if options.models.get("demographics"):
        made["demographics"] = demographic_features(seen, demographics, ages)
    return made


def windowed_beside(
    frozen: Features,
    seen: pd.DataFrame,
    events: ir.Table,
    samples: ir.Table,
    ages: Features,
    options: EhrshotOptions,
    workspace: Path,
) -> dict[str, Features]:
    """Return windowed features, alone and beside the embeddings, if anybody wants them."""
    if not (options.models.get("windowed") or options.models.get("clm_ler_windowed")):
        return {}
    wanted = samples.filter(_.split == "train", _.task.isin(options.tasks))
    of_train = wanted.group_by("person_id")
    train = of_train.agg(last=_.prediction_time.max())
    windowed = windowed_features(seen, events, train, ages, options.min_persons, workspace)
    return {"windowed": windowed, "clm_ler_windowed": beside(frozen, windowed)}


def demographic_features(seen: pd.DataFrame, demographics: ir.Table, ages: Features) -> Features:
    """Return the age at the prediction, and a column for each gender, race and ethnicity.

    Of a person without any event until then they are not known: they may have been told later.

    Args:
        seen: ``person_id``, ``prediction_time`` and ``n_positions`` of all prediction times.
        demographics: What is known of each person.
        ages: The age.
    """
    who = demographics.select("person_id", *BASELINE).to_pandas().set_index("person_id")
    known = pd.get_dummies(who.sort_index(), columns=BASELINE, dtype=np.float32)
    place, visible = place_in(seen), seen["n_positions"].to_numpy() > 0

    def rows(samples: pd.DataFrame) -> NDArray[np.float32]:
        described = known.reindex(samples["person_id"], fill_value=0.0).to_numpy(copy=True)
        described *= visible[place(samples), None]
        return np.hstack([ages.rows(samples), described], dtype=np.float32)

    parts = (known.index.to_numpy(), list(known.columns), known.to_numpy(), visible, ages.digest)
    return Features(rows, digest(*parts))


def windowed_features(
    seen: pd.DataFrame,
    events: ir.Table,
    train: ir.Table,
    ages: Features,
    min_persons: int,
    at: Path,
) -> Features:
    """Return the age and the summaries of each code, see ``modeling.evaluation.windowed``.

    They are made once, for all prediction times, when they are first asked for.

    Args:
        seen: Every person_id and prediction_time.
        events: person_id, time, token and value of all events.
        train: ``person_id`` of the training persons and the ``last`` of their prediction times.
        ages: The age.
        min_persons: Fewest of them with a code that counts.
        at: A local folder for what is larger than memory.
    """
    persons, times, timelines = read_timelines(events, train, min_persons)
    if not len(persons):  # no code has enough persons
        return Features(
            lambda samples: sp.csr_matrix(ages.rows(samples)), digest("age alone", ages.digest)
        )
    person_ids, moments = keys_of(seen)
    who = np.searchsorted(persons, person_ids).clip(max=len(persons) - 1)
    known = persons[who] == person_ids
    ends = np.where(known, ragged_count_until(times, timelines.offsets, who, moments), 0)
    place = place_in(seen)
    once = Lock()

    @cache
    def summaries() -> sp.csr_matrix:
        return spill(windowed_chunks(timelines, who, ends, moments / MICROSECONDS_PER_DAY), at)

    def rows(samples: pd.DataFrame) -> sp.csr_matrix:
        with once:  # several cells ask at the same time
            matrix = summaries()
        found = matrix[place(samples)]
        return sp.hstack([sp.csr_matrix(ages.rows(samples)), found], format="csr", dtype=np.float32)

    parts = (timelines.offsets, timelines.codes, timelines.values, times, persons, moments)
    return Features(rows, digest("windowed", VERSION, *parts, ages.digest))


def read_timelines(
    events: ir.Table, train: ir.Table, min_persons: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Timelines]:
    """Return the persons, the times of their events in microseconds, and their timelines.

    Codes are chosen, and results standardised, by what the training persons show until their last
    prediction.
    """
    dated = events.left_join(train, "person_id")
    dated = dated.select(*events.columns, fitted=(dated.time <= dated.last).fill_null(False))
    fitted = dated.filter(_.fitted)
    counts = fitted.group_by("token").agg(persons=fitted.person_id.nunique()).to_pandas()
    common = sorted(counts.loc[counts["persons"] >= min_persons, "token"])
    numbers = {"token": common, "code": list(range(len(common)))}
    schema = {"token": "string", "code": "int32"}
    rows = dated.inner_join(ibis.memtable(numbers, schema=schema), "token")
    rows = rows.select("person_id", "time", "code", "value", "fitted")
    table = rows.order_by("person_id", "time", "code", "value").to_pandas()
    persons, first = np.unique(table["person_id"], return_index=True)
    times = table["time"].astype("datetime64[us]").astype("int64").to_numpy()
    codes, fit = table["code"].to_numpy(), table["fitted"].to_numpy(bool)
    timelines = Timelines(
        offsets=np.append(first, len(table)),
        codes=codes,
        values=standardise(table["value"].to_numpy(np.float64, na_value=np.nan), codes, fit),
        days=times / MICROSECONDS_PER_DAY,
        size=len(common),
    )
    return persons, times, timelines


def beside(first: Features, second: Features) -> Features:
    """Return the columns of both."""

    def rows(samples: pd.DataFrame) -> sp.csr_matrix:
        parts: list[Any] = [sp.csr_matrix(first.rows(samples)), second.rows(samples)]
        return sp.hstack(parts, format="csr", dtype=np.float32)

    return Features(rows, digest("beside", first.digest, second.digest))
