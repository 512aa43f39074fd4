"""The card of a fine-tuned model."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa
from huggingface_hub import ModelCardData
from transformers import PreTrainedModel

from clm_ler.corridor.cards import LIMITS, MEASURES, shown
from clm_ler.corridor.finetune_options import FinetuneOptions

TEXT = """---
{header}
---

# CLM-LER, fine-tuned: {names}

A `{model_type}` classifier of structured health records, {parameters:,} parameters. From a history of events it predicts
the risk of {tasks}.

```python
import clm_ler.modeling  # registers the model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained("DIRECTORY")
tokenizer = AutoTokenizer.from_pretrained("DIRECTORY")
```

This model gives logits, not recalibrated. For recalibrated risks of new persons from their raw tables use
`kedro run --pipelines=predict --params=trained=STORAGE_OF_THE_TRAINING,storage=DIR`.

## Samples

A sample is a person at a prediction time. No person is in two splits; the model learns from `train`, is chosen and
recalibrated on `valid`, and measured on `test`.

| task | split | persons | samples | with the outcome |
|---|---|---|---|---|
{samples}

{results}

## Parameters

| | |
|---|---|
{options}

The run, the definition of labels and task, seed, versions, times and fingerprints of the inputs are under `finetune` and `label`
in `08_reporting/run.json` of the storage that it was made in; all measures in `finetune_metrics.json` beside it.

## Intended use and limits

Research on risks of groups of persons like those of `train`. Before it supports any decision, validate it where it is to
be used. {limits}
"""
CALIBRATION = ("calibration_slope", "calibration_intercept", "expected_to_observed", "brier")


def write_card(
    model: PreTrainedModel,
    metrics: Mapping[str, Any],
    label_persons: pa.Table,
    options: FinetuneOptions,
) -> str:
    """Return README.md: what it predicts, of whom, how good, with which parameters, and for what.

    Args:
        model: With ``tasks`` in its configuration.
        metrics: ``finetune_metrics``.
        label_persons: ``task, split, label, persons``; what is of fewer than ``min_persons`` is not told.
        options: Of fine-tuning.
    """
    tasks, selection, floor = metrics["tasks"], metrics["selection"], options.min_persons
    settings = asdict(options.settings(selection["trainings"][selection["best"]]["settings"]))
    header = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["health-records", "risk-prediction"],
    )
    return TEXT.format(
        header=header.to_yaml(),
        names=", ".join(tasks),
        tasks=", ".join(f"`{name}`" for name in tasks),
        model_type=model.config.model_type,
        parameters=model.num_parameters(),
        samples="\n".join(row for task in tasks for row in _samples(task, tasks[task], floor)),
        results="\n\n".join(
            _results(task, tasks[task], selection["recalibration"].get(task), fewest, floor)
            for task, fewest in _fewest(label_persons).items()
        ),
        options="\n".join(f"| `{name}` | {value} |" for name, value in settings.items()),
        limits=LIMITS,
    )


def _fewest(label_persons: pa.Table) -> dict[str, int]:
    """Return by task the persons of the class that has fewest of them in the test split."""
    fewest: dict[str, int] = {}
    for row in label_persons.sort_by("task").to_pylist():
        if row["split"] == "test":
            fewest[row["task"]] = min(row["persons"], fewest.get(row["task"], row["persons"]))
    return fewest


def _samples(task: str, report: Mapping[str, Any], floor: int) -> Iterator[str]:
    for split in ("train", "valid", "test"):
        if split not in report["samples"]:
            continue
        found = report["samples"][split]
        samples, by_class = sum(found["classes"].values()), found.get("persons_by_class", {})
        outcomes = samples - found["classes"].get("0", 0)
        few = f"fewer than {floor}"
        told = [few if 0 < n < floor else f"{n:,}" for n in (found["persons"], samples, outcomes)]
        have = max((n for label, n in by_class.items() if label != "0"), default=0)
        if 0 < have < floor:  # however many samples they have
            told[-1] = f"{few} persons'"
        if 0 < by_class.get("0", 0) < floor:  # else a subtraction would tell how many lack it
            told[-1] = f"all but {few} persons'"
        yield f"| {task} | {split} | {' | '.join(told)} |"


def _results(
    task: str,
    report: Mapping[str, Any],
    recalibration: Mapping[str, Any] | None,
    fewest: int,
    floor: int,
) -> str:
    """Return what the test split says of a task: model and baselines, a verdict, calibration."""
    head = f"## Results: {task}\n\n"
    if fewest < floor:
        return f"{head}Fewer than {floor} test persons have one of the classes: too few to tell."
    rows = [f"| fine-tuned model | {shown(report['auroc'])} | |"]
    if "hybrid" in report:
        rows.append(f"| hybrid | {shown(report['hybrid']['auroc'])} | |")
    rows += [
        f"| {name} | {shown(other['auroc'])} | {shown(other['difference'], '+.3f')} |"
        for name, other in report["baselines"].items()
    ]
    table = "\n".join(["| | AUROC (95 % interval) | model minus this |", "|---|---|---|", *rows])
    verdicts = [found["verdict"] for found in (report, report.get("hybrid")) if found]
    return "\n\n".join([f"{head}{table}", *verdicts, _calibration(report, recalibration)])


def _calibration(report: Mapping[str, Any], recalibration: Mapping[str, Any] | None) -> str:
    """Return how risks were recalibrated, and how far they can be believed."""
    if recalibration is None:
        measures, how = report["metrics"]["macro"], "recalibrated on `valid` by a temperature"
    elif recalibration["method"] == "none":
        measures, how = report["metrics"], "those of the model: none was clearly better on `valid`"
    else:
        measures, how = report["metrics"], f"recalibrated on `valid`: `{recalibration['method']}`"
    rows = [f"| {MEASURES[name]} | {shown(measures[name])} |" for name in CALIBRATION]
    table = "\n".join(["| | test split (95 % interval) |", "|---|---|", *rows])
    return f"Risks are {how}.\n\n{table}"
