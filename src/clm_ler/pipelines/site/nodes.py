"""Labels and times of a site, and its codes as tokens of the kit."""

import logging
from collections.abc import Iterator
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from clm_ler.corridor import labels
from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.engines.portable import row_count
from clm_ler.modeling.evaluation.recalibration import along
from clm_ler.tables.labels import LABELS
from clm_ler.tables.tasks.definition import Tasks
from clm_ler.terminology.translation import SOURCE

logger = logging.getLogger(__name__)

TRANSLATIONS = (*SOURCE, "vocab_token")
RECALIBRATED = {"intercept": "risk_intercept", "intercept and slope": "risk_intercept_and_slope"}


def add_translations(
    code_translations: ir.Table, kit_translations: ir.Table | None, source_codes: ir.Table
) -> ir.Table:
    """Return the tokens of the site's codes: those found here, else the kit's."""
    found = code_translations.select(TRANSLATIONS)
    if kit_translations is not None:
        codes = source_codes.select(source_system=_.system, source_code=_.code)
        others = kit_translations.select(TRANSLATIONS).semi_join(codes, SOURCE)
        found = found.union(others.anti_join(found, SOURCE))
    return ibis.memtable(found.to_pyarrow())


def select_label_rows(
    raw_labels: ir.Table | None,
    task_candidates: ir.Table | None,
    tasks: Tasks | None,
    options: FinetuneOptions,
    reading: PreprocessOptions,
) -> ir.Table:
    """Return the rows of ``raw_labels``; none where ``label`` has found index dates here, or without a table."""
    defined = tasks if task_candidates is not None else None
    return labels.select_label_rows(raw_labels, defined, options, reading)


def find_labels(
    label_rows: ir.Table,
    task_candidates: ir.Table | None,
    person_ids: ir.Table,
    coded_events: ir.Table,
    lab_events: ir.Table,
    tasks: Tasks | None,
) -> ir.Table:
    """Return ``person_id, prediction_time, label, task``; no row if the site has no labels.

    The index dates that ``label`` has found here come before the ``label_rows``. Where a label has no time, it is
    that of the person's last event.
    """
    if task_candidates is None and not row_count(label_rows.limit(1)):
        logger.info("There are no labels: risks are predicted for everybody, and not evaluated.")
        return ibis.memtable([], schema=LABELS)
    defined = tasks if task_candidates is not None else None
    known = labels.select_labels(label_rows, task_candidates, person_ids, defined)
    last = last_events(coded_events, lab_events).select(whose="person_id", last="prediction_time")
    timed = known.left_join(last, known.person_id == last.whose)
    return timed.mutate(prediction_time=timed.prediction_time.coalesce(timed.last)).select(*LABELS)


def ask_times(
    site_labels: ir.Table,
    prediction_times: ir.Table | None,
    coded_events: ir.Table,
    lab_events: ir.Table,
) -> ir.Table:
    """Return ``person_id, prediction_time``: those of the labels; else the user's; else each last event."""
    if row_count(site_labels.limit(1)):
        asked = site_labels.filter(_.prediction_time.notnull())
        return asked.select("person_id", "prediction_time").distinct()
    return last_events(coded_events, lab_events) if prediction_times is None else prediction_times


def last_events(coded_events: ir.Table, lab_events: ir.Table) -> ir.Table:
    """Return the time of each person's last event."""
    times = ibis.union(*(table.select("person_id", "time") for table in (coded_events, lab_events)))
    return times.group_by("person_id").agg(prediction_time=_.time.max())


def count_persons_by_code(coded_events: ir.Table, lab_events: ir.Table) -> ir.Table:
    """Return how many persons have each token of the kit here, without lab bins: ``system, code, persons``."""
    rows = ibis.union(
        *(table.select("person_id", "system", "code") for table in (coded_events, lab_events))
    )
    return rows.group_by("system", "code").agg(persons=_.person_id.nunique())


def recalibrate_predictions(
    predictions: ir.Table, site_recalibration: dict[str, Any]
) -> pa.RecordBatchReader:
    """Return the predictions with the risk of class 1 by each method; null where there is none."""
    batches = predictions.to_pyarrow_batches()
    risks = [pa.field(name, pa.float64()) for name in RECALIBRATED.values()]
    schema = pa.schema([*batches.schema, *risks])

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            added = [_along(batch, site_recalibration, method) for method in RECALIBRATED]
            yield pa.RecordBatch.from_arrays([*batch.columns, *added], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, rows())


def _along(batch: pa.RecordBatch, recalibration: dict[str, Any], method: str) -> pa.Array:
    """Return the recalibrated risks of the tasks with two classes; null of the others."""
    binary = pc.equal(pc.list_value_length(batch["probabilities"]), 2).to_numpy(False)
    tasks, risks = batch["task"].to_numpy(False), np.full(len(batch), np.nan)
    for task, methods in recalibration.items():
        line, rows = methods[method], np.flatnonzero(binary & (tasks == task))
        if line["slope"] is not None and len(rows):
            given = pc.list_element(batch["probabilities"].take(pa.array(rows)), 1)
            risks[rows] = along((line["intercept"], line["slope"]), given.to_numpy())
    return pa.array(risks, pa.float64(), from_pandas=True)
