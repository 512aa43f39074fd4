"""Labels of any origin in one table, and which of the samples that they make can be used."""

import logging
from collections import Counter
from datetime import date, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis import _
from pydantic import Field, ValidationInfo, field_validator

from clm_ler.engines.expressions import parse_expression
from clm_ler.engines.portable import counts_of
from clm_ler.tables.options import Options
from clm_ler.tables.persons import person_key
from clm_ler.tables.samples import PER_SAMPLE
from clm_ler.tables.sources import TableSource, select
from clm_ler.tokens import FEWEST_PERSONS, SPLITS

logger = logging.getLogger(__name__)

LABELS = {"person_id": "int64", "prediction_time": "timestamp", "label": "int64", "task": "string"}
MEDS_VALUES = ("boolean_value", "integer_value")
_EXPRESSIONS = ("inclusion_criteria", "positive_class_criteria", "prediction_time", "task")


class LabelOptions(Options):
    """How a label table is read: SQL in the Spark dialect.

    MEDS label files, and what ACES writes, need no expression: they are known by ``subject_id``.
    """

    inclusion_criteria: str = Field(
        default="true", description="Condition on a row of the label table."
    )
    positive_class_criteria: str | None = Field(
        default=None,
        description="The class of a row: a condition (true = 1), or a number from 0. "
        "By default the column `label`, or the value of a MEDS label.",
    )
    prediction_time: str = Field(
        default="prediction_time",
        description="The model sees the history up to this time, inclusive; null: all of it.",
    )
    task: str = Field(
        default="task", description="The task's name: a column, or a constant in quotes."
    )
    num_classes: int = Field(
        default=2, ge=2, description="Number of classes: labels run from 0 to this minus 1."
    )
    max_loss: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Largest share of labels that may be lost because the person has no event "
        "until the prediction time.",
    )
    test_from: date | None = Field(
        default=None,
        description="Temporal validation: test labels are from this day on, all others from before it. "
        "Persons keep their splits, so nobody is in two.",
    )
    gap_days: int = Field(
        default=0,
        ge=0,
        description="Days before `test_from` without labels. Take the horizon of the outcome: then nothing from "
        "`test_from` on decides a training label.",
    )

    @field_validator(*_EXPRESSIONS, mode="before")
    @classmethod
    def _as_sql(cls, value: Any, info: ValidationInfo) -> Any:
        """Take what YAML reads as no text, such as ``true``, 1 or null, for the SQL that it was."""
        if value is None and info.field_name == "prediction_time":
            return "null"
        return str(value).lower() if isinstance(value, bool | int | float) else value


def select_labels(raw_labels: ir.Table, options: LabelOptions, time_zone: str = "UTC") -> ir.Table:
    """Return ``person_id, prediction_time, label, task`` of the included rows.

    Args:
        raw_labels: The label table.
        options: How it is read.
        time_zone: Local time, in which dates are read.

    Raises:
        ValueError: With the number of rows, if labels are missing or outside 0 to
            ``num_classes - 1``, prediction times do not parse, a person has two labels of one task
            at the same second, or no row is included.
    """
    rows = _select(raw_labels, options, time_zone).filter(_.passes_filter)
    timeless = rows.given_time.isnull() if _need_times(raw_labels, options) else False
    given = rows.label.notnull()
    if rows.label.type().is_floating():  # Spark takes NaN for null as it is
        given &= ~rows.label.isnan()
    labels = rows.select(
        person_id=person_key(rows.person_id),
        prediction_time=rows.prediction_time.cast("timestamp"),
        label=whole_number(rows.label),
        task=rows.task.cast("string"),
        unparsed=rows.given_time.notnull() & rows.prediction_time.isnull(),
        unfit=given,
        timeless=timeless,
    )
    labels = labels.mutate(unfit=labels.unfit & labels.label.isnull())
    _raise_on(_label_faults(labels, options.num_classes))
    return labels.drop("unparsed", "unfit", "timeless")


def _person_column(table: ir.Table) -> str:
    """Return the column of the person, which is ``subject_id`` in MEDS."""
    return "subject_id" if "subject_id" in table.columns else "person_id"


def _need_times(raw_labels: ir.Table, options: LabelOptions) -> bool:
    """Return whether a missing time is a fault: in MEDS it is; elsewhere the whole history may be seen."""
    is_meds = _person_column(raw_labels) == "subject_id"
    return is_meds and options.prediction_time == "prediction_time"


def whole_number(column: ir.Column) -> ir.IntegerColumn:
    """Return truth values and whole numbers as int64, null for all else: 1.7 is not 1."""
    kind = column.type()
    if kind.is_boolean() or kind.is_integer():
        return column.cast("int64")
    number = column.try_cast("float64")
    whole = number.try_cast("int64")  # not floor(): engines cannot make a whole number of NaN
    return ibis.cases((number.between(-(2**53), 2**53) & (number == whole), whole))


def _select(raw_labels: ir.Table, options: LabelOptions, time_zone: str) -> ir.Table:
    for parameter in _EXPRESSIONS:
        if text := getattr(options, parameter):
            parse_expression(text, f"raw_labels: labels.{parameter}")
    person = _person_column(raw_labels)
    values = [f"CAST({name} AS INT)" for name in MEDS_VALUES if name in raw_labels.columns]
    default = f"COALESCE({', '.join(values)})" if person == "subject_id" and values else "label"
    expressions = {
        "person_id": person,
        "prediction_time": options.prediction_time,
        "given_time": options.prediction_time,
        "label": options.positive_class_criteria or default,
        "task": options.task,
    }
    # The criteria are about the table's own columns: one called `label` is not what is made of others.
    own = {column.lower() for column in raw_labels.columns}
    made = {name for name, text in expressions.items() if name in own and text != name}
    renames = {f"made_{name}" if name in made else name: name for name in expressions}
    source = TableSource(
        select_expr=tuple(f"{expressions[name]} AS {alias}" for alias, name in renames.items()),
        filter_expr=options.inclusion_criteria,
    )
    return select(raw_labels, source, renames, "raw_labels", time_zone=time_zone)


def _label_faults(labels: ir.Table, num_classes: int) -> dict[str, int]:
    key = ["person_id", "task", _.prediction_time.epoch_seconds().name("second")]
    repeated = labels.group_by(key).agg(rows=_.count()).filter(_.rows > 1)
    counts = labels.agg(
        rows=_.count(),
        unlabelled=(_.label.isnull() & ~_.unfit).sum(),
        unfit=_.unfit.sum(),
        outside=(~_.label.between(0, num_classes - 1)).sum(),
        unparsed=_.unparsed.sum(),
        timeless=_.timeless.sum(),
        nobody=_.person_id.isnull().sum(),
        taskless=_.task.isnull().sum(),
        taken=_.task.isin(PER_SAMPLE).sum(),
    )
    found = {**counts_of(counts), **counts_of(repeated.agg(repeated=_.rows.sum()))}
    return {
        "no row meets inclusion_criteria": int(not found["rows"]),
        "rows have no label": found["unlabelled"],
        "rows have a label that is no whole number": found["unfit"],
        f"rows have a label outside 0 to {num_classes - 1}": found["outside"],
        "rows have a prediction time that does not parse": found["unparsed"],
        "rows have no prediction_time, which a MEDS label must have": found["timeless"],
        "rows have no person": found["nobody"],
        "rows have no task": found["taskless"],
        f"rows have a task of a name that is taken ({', '.join(PER_SAMPLE)})": found["taken"],
        "rows share person, prediction time and task with another": found["repeated"],
    }


def select_times(prediction_times: ir.Table, time_zone: str) -> ir.Table:
    """Return ``person_id, prediction_time`` of a user's own table, each pair once.

    Args:
        prediction_times: ``person_id`` (or ``subject_id``) and ``prediction_time``.
        time_zone: Local time, in which dates are read.

    Raises:
        ValueError: With the number of rows, if a person or a time is missing or cannot be read.
    """
    person = _person_column(prediction_times)
    source = TableSource(select_expr=(f"{person} AS person_id", "prediction_time"))
    names = {name: name for name in ("person_id", "prediction_time")}
    rows = select(prediction_times, source, names, "prediction_times", time_zone=time_zone)
    times = rows.select(person_id=person_key(rows.person_id), prediction_time=rows.prediction_time)
    counts = counts_of(
        times.agg(
            rows=_.count(),
            nobody=_.person_id.isnull().sum(),
            never=_.prediction_time.isnull().sum(),
        )
    )
    faults = {
        "table without any row": int(not counts["rows"]),
        "rows have no person": counts["nobody"],
        "rows have no prediction time that can be read": counts["never"],
    }
    _raise_on(faults, name="prediction_times")
    return times.distinct()


def persons_asked(prediction_times: ir.Table) -> ir.Table:
    """Return the ``person_id`` of those whom a table of times names."""
    keys = person_key(prediction_times[_person_column(prediction_times)])
    return prediction_times.select(person_id=keys).distinct()


def usable_samples(candidates: ir.Table, options: LabelOptions) -> ir.Table:
    """Return the samples that see at least one event, and that ``test_from`` keeps.

    Raises:
        ValueError: With counts, if more than ``max_loss`` of the labels belong to persons without
            events or lie before the first event, or a split lacks a class.
    """
    found = counts_of(
        candidates.agg(
            rows=_.count(),
            without_events=_.split.isnull().sum(),
            before_first=(_.n_events <= 0).sum(),
        )
    )
    lost = {
        "rows belong to persons without events": found["without_events"],
        "rows lie before the person's first event": found["before_first"],
    }
    if sum(lost.values()) > options.max_loss * found["rows"]:
        share = f"max_loss = {options.max_loss} of {found['rows']} rows"
        _raise_on(lost, f" More than {share} would be lost.")
    if sum(lost.values()):
        logger.warning("%d of %d labels see no event: left out.", sum(lost.values()), found["rows"])
    samples = _by_date(candidates.filter(_.n_events > 0), options)
    _raise_on(_missing_classes(samples, options.num_classes))
    return samples


def _by_date(samples: ir.Table, options: LabelOptions) -> ir.Table:
    """Return the samples that temporal validation keeps: all of them where none is asked for."""
    if options.test_from is None:
        return samples
    timeless = counts_of(samples.agg(rows=_.prediction_time.isnull().sum()))["rows"]
    _raise_on({"rows have no prediction time, which labels.test_from needs": timeless})
    last = options.test_from - timedelta(days=options.gap_days)
    day, is_test = samples.prediction_time.date(), samples.split == "test"
    kept = ibis.ifelse(is_test, day >= options.test_from, day < last)
    counts = counts_of(
        samples.agg(
            test=(is_test & ~kept).sum(),
            others=(~is_test & ~kept).sum(),
        )
    )
    logger.info(
        "Temporal validation: %d test labels before %s and %d others from %s on are left out.",
        counts["test"],
        options.test_from,
        counts["others"],
        last,
    )
    return samples.filter(kept)


def _missing_classes(samples: ir.Table, num_classes: int) -> dict[str, int]:
    """Return how many classes are missing, by task and split.

    Of several tasks, those of few persons have no name: an expression may have made persons of them.
    """
    counted = samples.group_by(["task", "split"]).agg(
        present=_.label.nunique(), persons=_.person_id.nunique()
    )
    counts = {(row.task, row.split): row for row in counted.execute().itertuples()}
    persons = Counter[str]()
    for (task, _split), row in counts.items():
        persons[task] += row.persons
    missing = {
        (task, split): num_classes - (counts[task, split].present if (task, split) in counts else 0)
        for task in sorted(persons)
        for split in SPLITS
    }
    few = {task for task, n in persons.items() if n < FEWEST_PERSONS and len(persons) > 1}
    lacking = {task for (task, _split), classes in missing.items() if classes and task in few}
    named = {
        f"of {num_classes} classes are missing in task {task!r}, split {split!r}": classes
        for (task, split), classes in missing.items()
        if task not in few
    }
    return named | {f"tasks of fewer than {FEWEST_PERSONS} persons lack classes": len(lacking)}


def _raise_on(faults: dict[str, int], advice: str = "", name: str = "labels") -> None:
    found = [f"{count} {what}" for what, count in faults.items() if count]
    if found:
        raise ValueError(f"{name}: {'; '.join(found)}.{advice}")
