"""The labels of a task of ACES in the form of those of a task of our own."""

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.tables.tasks.candidates import age_at
from clm_ler.tables.tasks.definition import TaskOptions


def aces_candidates(
    aces_labels: ir.Table | None, demographics: ir.Table, task: TaskOptions
) -> ir.Table:
    """Return the labels that ACES has found as ``candidates.label_candidates`` does; ACES gives no reasons.

    Args:
        aces_labels: ``task, subject_id, prediction_time, label``.
        demographics: The persons.
        task: The task, which names a file of ACES.

    Raises:
        ValueError: If there are no MEDS data.
    """
    if aces_labels is None:
        raise ValueError(
            f"task {task.name}, aces: ACES reads MEDS data: give --env=meds and meds_root=DIR."
        )
    of_task = aces_labels.filter(_.task == task.name)
    labels = of_task.select(_.prediction_time, _.label, person_id=_.subject_id).distinct()
    rows = demographics.select("person_id", "birth_date", "gender").inner_join(labels, "person_id")
    unknown = {"outcome_days": ibis.null("int32"), "followed_days": ibis.null("int32")}
    return rows.select(
        "person_id",
        "prediction_time",
        "label",
        **unknown,
        age=age_at(rows).cast("int32"),
        gender=rows.gender,
        task=ibis.literal(task.name),
        reason=ibis.null("string"),
    )
