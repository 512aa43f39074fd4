"""What a site may send back: sums over enough persons each."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from clm_ler import __version__
from clm_ler.corridor.finetune_options import FinetuneOptions
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.engines.portable import counts_of
from clm_ler.modeling.evaluation.bootstrap import patient_weights
from clm_ler.modeling.evaluation.external import recalibrate, validate, validate_groups
from clm_ler.modeling.evaluation.groups import age_bands
from clm_ler.pipelines.site.options import SiteOptions
from clm_ler.tokens import DAYS_PER_YEAR, DEMOGRAPHIC_SYSTEMS, SEPARATOR, code_token, system_of

logger = logging.getLogger(__name__)

FORMAT = 1
STATEMENT = (
    "Sums over persons only. Each number of a task, a bin or a subgroup is about min_persons or more with "
    "and as many without the outcome; what is about fewer is left out, with what would give it away."
)
CELL = ["person_id", "prediction_time", "task"]


def recalibrate_site(
    predictions: ir.Table,
    site_labels: ir.Table,
    new_demographics: ir.Table,
    options: SiteOptions,
) -> dict[str, Any]:
    """Return the methods of recalibration of each outcome that enough persons have and have not.

    Labels of tasks that the kit does not predict are of no use, and it says so.
    """
    predicted, labelled = (
        {*table.select("task").distinct().to_pyarrow()["task"].to_pylist()}
        for table in (predictions, site_labels)
    )
    if unused := sorted(labelled - predicted):
        logger.warning(
            "site_labels are of task %s, and the kit predicts %s: they are not used. If it is the same "
            "outcome, name it so: --params=finetune.labels.task=\"'NAME'\"",
            ", ".join(unused),
            ", ".join(sorted(predicted)),
        )
    return {
        found.name: recalibrate(found.labels, found.risks, found.persons)
        for found in outcomes(predictions, site_labels, new_demographics)
        if found.fewest >= options.min_persons
    }


def summarise_site(
    predictions: ir.Table,
    site_labels: ir.Table,
    new_demographics: ir.Table,
    site_recalibration: dict[str, Any],
    row_counts: ir.Table,
    lab_token_counts: ir.Table,
    site_tokens: ir.Table,
    contributions: ir.Table | None,
    kit: dict[str, Any] | None,
    calibration: dict[str, Any] | None,
    finetune: FinetuneOptions,
    reading: PreprocessOptions,
    options: SiteOptions,
) -> dict[str, Any]:
    """Return what the kit understands here and how good its risks are, task by task.

    Args:
        predictions: Of the kit.
        site_labels: Of the site, maybe none.
        new_demographics: For the subgroups.
        site_recalibration: Of :func:`recalibrate_site`.
        row_counts: Rows of the raw tables by what became of them.
        lab_token_counts: The same of lab results.
        site_tokens: Of how many persons each token is.
        contributions: What predictions rest on at home; ``None`` where the kit does not tell.
        kit: Its inventory; ``None`` where a storage is used.
        calibration: Of the kit.
        finetune: Subgroups and bands of age.
        reading: How events become tokens here.
        options: What may be told.
    """
    asked = counts_of(predictions.agg(n=_.count(), persons=_.person_id.nunique()))
    few = asked["persons"] < options.min_persons
    home = (calibration or {}).get("test_split_at_home", {})
    tasks = {
        found.name: _of_task(found, finetune, options)
        | {"recalibration": site_recalibration.get(found.name), "at_home": home.get(found.name)}
        for found in outcomes(predictions, site_labels, new_demographics)
    }
    return {
        "format": FORMAT,
        "clm_ler": __version__,
        "kit": {name: (kit or {}).get(name) for name in ("clm_ler", "tasks", "format")},
        "min_persons": options.min_persons,
        "statement": STATEMENT,
        "reads_otherwise": reads_otherwise((kit or {}).get("reading", {}), reading),
        "predictions": None if few else asked,
        "understood": understood(row_counts, lab_token_counts, options.min_persons),
        "attribution": attribution(contributions, site_tokens, options.min_persons),
        "tasks": tasks,
    }


def reads_otherwise(home: Mapping[str, Any], reading: PreprocessOptions) -> list[str]:
    """Return the parameters of reading on which the kit's home and this site do not agree."""
    here = reading.model_dump(mode="json")
    return [name for name, value in home.items() if here[name] != value]


@dataclass(frozen=True)
class Outcome:
    """What was predicted, and what came.

    Attributes:
        name: Of the task, or of one of its classes.
        rows: Of the samples, with demographics.
        labels: 0 or 1, ``[n]``.
        risks: Predicted, ``[n]``.
        fewest: Persons of the rarest class of the task.
    """

    name: str
    rows: pd.DataFrame
    labels: np.ndarray
    risks: np.ndarray
    fewest: int

    @property
    def persons(self) -> np.ndarray:
        """Whose the samples are."""
        return self.rows["person_id"].to_numpy()


def outcomes(
    predictions: ir.Table, site_labels: ir.Table, demographics: ir.Table
) -> Iterator[Outcome]:
    """Yield each outcome; of a task with several classes each but 0 is one."""
    known = predictions.join(site_labels, CELL)
    frame = known.left_join(demographics, "person_id").order_by(CELL).to_pandas()
    for task, rows in frame.groupby("task"):
        probabilities = np.stack(rows["probabilities"])
        classes = range(probabilities.shape[1])
        fewest = min(rows.loc[rows["label"] == n, "person_id"].nunique() for n in classes)
        for number in classes[1:]:
            name = str(task) if len(classes) == 2 else f"{task} = {number}"
            labels = (rows["label"] == number).to_numpy().astype(int)
            yield Outcome(name, rows, labels, probabilities[:, number], fewest)


def _of_task(found: Outcome, finetune: FinetuneOptions, options: SiteOptions) -> dict[str, Any]:
    """Return what is said of an outcome; of a class nothing where another of its task could be had of it."""
    if found.fewest < options.min_persons:
        return {"suppressed": True}
    rows, weights = found.rows, patient_weights(found.persons, options.replicates)
    measured = (found.labels, found.risks, found.persons)
    groups = {
        name: rows[name].fillna("unknown").astype(str).to_numpy() for name in finetune.subgroups
    } | {"age": age_bands(_ages(rows), finetune.age_bands)}
    whole = validate(*measured, weights, options.min_persons)
    return whole | {"subgroups": validate_groups(*measured, groups, weights, options.min_persons)}


def _ages(rows: pd.DataFrame) -> np.ndarray:
    born = pd.to_datetime(rows["birth_date"])
    return ((rows["prediction_time"] - born).dt.days / DAYS_PER_YEAR).to_numpy(np.float64)


def understood(
    row_counts: ir.Table, lab_token_counts: ir.Table, min_persons: int
) -> list[dict[str, Any]]:
    """Return of each table of events how many rows and persons it has, and which share is understood.

    A lab result is where it becomes a token; shares are to the nearest hundredth.
    """
    rows = row_counts.to_pyarrow().to_pylist()
    whole = {row["table"]: row for row in rows if row["reason"] == "all"}
    kept = {row["table"]: row["rows"] for row in rows if row["reason"] is None}
    tokens = lab_token_counts.to_pyarrow().to_pylist()
    kept["lab"] = sum(row["rows"] for row in tokens if row["reason"] is None)
    return [
        {
            "table": table,
            "rows": row["rows"],
            "persons": row["persons"],
            "share": round(kept.get(table, 0) / row["rows"], 2),
        }
        for table, row in sorted(whole.items())
        if table != "patient" and row["persons"] >= min_persons
    ]


def attribution(
    contributions: ir.Table | None, site_tokens: ir.Table, min_persons: int
) -> list[dict[str, Any]] | None:
    """Return which share of the weight of codes and labs at home lies on tokens that are known here.

    Known is what ``min_persons`` have. By code system, and in all (``all``); ``None`` where the kit does not
    tell what its predictions rest on.
    """
    if contributions is None:
        return None
    known = site_tokens.filter(_.persons >= min_persons)
    tokens = known.select(token=code_token(known.system, known.code)).to_pyarrow()["token"]
    frame = contributions.to_pandas()
    frame = frame[frame["token"].str.contains(SEPARATOR, regex=False)]
    frame = frame.assign(system=frame["token"].map(system_of))
    frame = frame[~frame["system"].isin(DEMOGRAPHIC_SYSTEMS)]
    frame = frame.assign(found=frame["weight"].where(frame["token"].isin(tokens.to_pylist()), 0.0))
    by_system = frame.groupby("system")[["weight", "found"]].sum()
    by_system.loc["all"] = by_system.sum()
    return [
        {"system": system, "weight": float(row.weight), "share": float(row.found / row.weight)}
        for system, row in zip(by_system.index, by_system.itertuples(), strict=True)
        if row.weight > 0
    ]
