"""A model and what belongs to it as one folder that may leave the house."""

import logging
from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _
from transformers import PreTrainedModel

from clm_ler import __version__
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.engines.portable import row_count
from clm_ler.files.kit import HEAD, Kit, Part
from clm_ler.modeling.data.vocabulary import Vocabulary
from clm_ler.modeling.evaluation.percentiles import FEWEST_IN_A_STEP
from clm_ler.modeling.evaluation.recalibration import FEWEST_IN_A_BIN
from clm_ler.modeling.training.checkpoints import count_data
from clm_ler.pipelines.package.artifacts import ARTIFACTS
from clm_ler.pipelines.package.card import predicted_tasks, write_card
from clm_ler.pipelines.package.floor import check_classes, check_tokens, of_enough
from clm_ler.pipelines.package.options import PackageOptions
from clm_ler.tables.tasks.definition import Tasks

logger = logging.getLogger(__name__)

UNIT, LAB, SOURCE = ["system", "code", "unit"], ["system", "code"], ["source_system", "source_code"]
# What a kit cannot do without, and the pipeline that makes it.
NEEDED = {
    "tokenizer": "vocab",
    "token_counts": "vocab",
    "unit_conversions": "preprocess",
    "lab_percentiles": "preprocess",
    "lab_events": "preprocess",
    "encoded_sequences": "vocab",
}
MODELS = {"finetuned_model": HEAD, "pretrained_model": "06_models/pretrained_model"}
MEASURED = ("auroc", "brier", "calibration_intercept", "calibration_slope", "expected_to_observed")


def package_kit(
    tasks: Tasks | None,
    reading: PreprocessOptions,
    options: PackageOptions,
    lab_persons: ir.Table,
    label_persons: ir.Table,
    *made: Any,
) -> Kit:
    """Return all that another site needs to use a model, and nothing about fewer than ``min_persons``.

    Args:
        tasks: Of the parameters; where there are none, those of the last run of ``label``.
        reading: How events become tokens.
        options: What may be told.
        lab_persons: Of :func:`clm_ler.pipelines.package.floor.count_lab_persons`.
        label_persons: Of :func:`clm_ler.corridor.labels.count_label_persons`.
        made: What ``ARTIFACTS`` lists, in its order; ``None`` where nothing was made.

    Raises:
        ValueError: If something lacks, belongs to another training, or is of too few persons.
    """
    artifacts = dict(zip(ARTIFACTS, made, strict=True))
    _check_there(artifacts, reading, options.min_persons)
    models = {name: artifacts[name] for name in MODELS if artifacts[name] is not None}
    for model in models.values():
        Vocabulary.from_tokenizer(artifacts["tokenizer"], model.config)
    model = next(iter(models.values()))
    labelled = label_persons.to_pyarrow()
    calibrated_on = check_classes(labelled, options.min_persons, _is_calibrated(model))
    definitions = _definitions(tasks, artifacts["run_record"] or {}, model)
    home = _measured(artifacts["finetune_metrics"], model, labelled, options.min_persons)
    parts = _weights(models, artifacts["encoded_sequences"], calibrated_on, options.min_persons)
    tables, left_out = _tables(artifacts, lab_persons.to_pyarrow(), options.min_persons)
    left_out += _forget_risks(models, options.min_persons)
    parts |= tables | _calibration(model, home, calibrated_on)
    if definitions:
        parts |= _tasks(definitions, artifacts["concept_sets"] or {})
    card = write_card(model, __version__, options.min_persons, definitions, home)
    parts["README.md"] = Part(card, "the card of the model")
    if artifacts["hybrid_head"] is not None and artifacts["hybrid_head"].outputs:
        left_out.append("the hybrid head: it keeps a score of each validation sample")
    for text in left_out:
        logger.info("The kit leaves out %s.", text)
    return Kit(parts, _about(model, reading, options, left_out))


def _about(
    model: PreTrainedModel, reading: PreprocessOptions, options: PackageOptions, left_out: list[str]
) -> dict[str, Any]:
    return {
        "min_persons": options.min_persons,
        "tasks": predicted_tasks(model),
        "reading": {
            "once_a_day": reading.once_a_day,
            "results": reading.results.model_dump(mode="json"),
        },
        "left_out": left_out,
    }


def _check_there(
    artifacts: Mapping[str, Any], reading: PreprocessOptions, min_persons: int
) -> None:
    for name, pipeline in NEEDED.items():
        if artifacts[name] is None:
            raise ValueError(f"package: there is no `{name}`: run {pipeline} first.")
    if all(artifacts[name] is None for name in MODELS):
        raise ValueError("package: there is no model: run finetune, or pretrain, first.")
    if 0 < reading.results.text_min_persons < min_persons:
        raise ValueError(
            "package: `lab_percentiles` has texts of "
            f"{reading.results.text_min_persons} persons (preprocess.results.text_min_persons), fewer "
            f"than {min_persons} (package.min_persons)."
        )


def _weights(
    models: Mapping[str, PreTrainedModel],
    encoded: pa.Table,
    calibrated_on: int | None,
    min_persons: int,
) -> dict[str, Part]:
    """Return the models; weights rest on all who were trained on together, risks on whom they are calibrated on.

    Raises:
        ValueError: If these bins are of too few persons.
    """
    persons = count_data(encoded)["persons"].get("train")
    fewest = dict.fromkeys(models, persons)
    if calibrated_on is not None:
        fewest["finetuned_model"] = min(calibrated_on, persons or calibrated_on)
    if "isotonic" in [found["method"] for found in _recalibrations(models.get("finetuned_model"))]:
        if min_persons > FEWEST_IN_A_BIN:
            raise ValueError(
                f"package: risks are recalibrated by bins of {FEWEST_IN_A_BIN} persons with and without the "
                f"outcome, fewer than {min_persons} (package.min_persons): run finetune with "
                "finetune.recalibration=platt."
            )
        fewest["finetuned_model"] = FEWEST_IN_A_BIN
    told = {
        "finetuned_model": "weights and configuration of the fine-tuned model",
        "pretrained_model": "weights and configuration of the pre-trained model",
    }
    return {MODELS[name]: Part(model, told[name], fewest[name]) for name, model in models.items()}


def _tables(
    artifacts: Mapping[str, Any], lab_persons: pa.Table, min_persons: int
) -> tuple[dict[str, Part], list[str]]:
    """Return what reads events, each with the persons it is of, and what is left out of it."""
    smallest = check_tokens(artifacts["tokenizer"], artifacts["token_counts"], min_persons)
    parts = {"04_feature/tokenizer": Part(artifacts["tokenizer"], "the vocabulary", smallest)}
    whole = pc.is_null(lab_persons["unit"])
    counted = {
        "unit_conversions": (UNIT, lab_persons.filter(pc.invert(whole)), "units of lab results"),
        "lab_percentiles": (LAB, lab_persons.filter(whole), "percentiles of lab results"),
    }
    left_out = []
    if artifacts["code_translations"] is not None:
        codes = _counted_codes(artifacts["source_codes"])
        counted["code_translations"] = (SOURCE, codes, "codes of the data and their tokens")
    for name, (keys, counts, holds) in counted.items():
        kept, fewest = of_enough(artifacts[name], counts, keys, min_persons)
        if lost := row_count(artifacts[name]) - len(kept):
            left_out.append(
                f"{lost:,} rows of {name} that are not known to be of {min_persons} persons"
            )
        if len(kept) or name != "code_translations":
            parts[f"04_feature/{name}.parquet"] = Part(kept, holds, fewest)
    if artifacts["contribution_summary"] is not None:
        heavy = artifacts["contribution_summary"].filter(_.persons >= min_persons)
        rows = heavy.select("token", "persons", "weight").order_by("token").to_pyarrow()
        told = "what predictions rest on, by token"
        parts["08_reporting/contribution_summary.parquet"] = Part(
            rows, told, pc.min(rows["persons"]).as_py()
        )
    return parts, left_out


def _counted_codes(source_codes: ir.Table | None) -> pa.Table:
    """Return the persons of each source code; no row where nobody has counted them."""
    if source_codes is None or "persons" not in source_codes.columns:
        return pa.table({name: [] for name in (*SOURCE, "persons")})
    return source_codes.select(
        source_system=_.system, source_code=_.code, persons=_.persons
    ).to_pyarrow()


def _calibration(
    model: PreTrainedModel, home: Mapping[str, Any], calibrated_on: int | None
) -> dict[str, Part]:
    """Return how logits become risks, and how good these were on the test split at home."""
    persons = [found["fewest_persons"] for found in home.values()]
    persons += [] if calibrated_on is None else [calibrated_on]
    fewest = min(persons, default=None)
    temperature = getattr(model.config, "calibration_temperature", None)
    found = {"recalibration": _recalibrations(model), "temperature": temperature}
    content = found | {"test_split_at_home": home}
    holds = "how risks are recalibrated, and measures of the test split at home"
    return {"calibration.json": Part(content, holds, fewest)}


def _is_calibrated(model: PreTrainedModel) -> bool:
    """Return whether something of the persons of the valid split is in how logits become risks."""
    maps = [found["method"] for found in _recalibrations(model)]
    temperature = getattr(model.config, "calibration_temperature", None)
    return any(method != "none" for method in maps) or temperature not in (None, 1.0)


def _recalibrations(model: PreTrainedModel | None) -> list[dict[str, Any]]:
    return [] if model is None else getattr(model.config, "recalibration", None) or []


def _forget_risks(models: Mapping[str, PreTrainedModel], min_persons: int) -> list[str]:
    """Take the percentiles of the training persons' risks out of a model, where too few persons are between them."""
    model = models.get("finetuned_model")
    enough = min_persons <= FEWEST_IN_A_STEP
    if enough or model is None or not getattr(model.config, "training_risks", None):
        return []
    model.config.training_risks = None
    return [f"percentiles of risks between which there are {FEWEST_IN_A_STEP} persons"]


def _measured(
    metrics: Mapping[str, Any] | None, model: PreTrainedModel, labelled: pa.Table, min_persons: int
) -> dict[str, Any]:
    """Return measures of the test split, of the tasks with enough persons of every class."""
    found = {}
    test = labelled.filter(pc.equal(labelled["split"], "test")).to_pylist()
    for task in predicted_tasks(model):
        persons = [row["persons"] for row in test if row["task"] == task]
        of_task = (metrics or {"tasks": {}})["tasks"].get(task)
        if of_task is None or min(persons, default=0) < min_persons:
            continue
        told = of_task["samples"]["test"]
        measures = {"auroc": of_task["auroc"]} | of_task["metrics"]
        found[task] = {
            "persons": told["persons"],
            "samples": sum(told["classes"].values()),
            "events": sum(n for label, n in told["classes"].items() if label != "0"),
            "fewest_persons": min(persons),
        } | {name: measures[name] for name in MEASURED if name in measures}
    return found


def _definitions(
    tasks: Tasks | None, record: Mapping[str, Any], model: PreTrainedModel
) -> list[dict[str, Any]]:
    """Return the definitions of what the model predicts; none where its labels came from a table.

    Raises:
        ValueError: If the parameters define another task.
    """
    known = predicted_tasks(model)
    if tasks is not None:
        if others := [task.name for task in tasks.root if task.name not in known]:
            raise ValueError(
                f"package: the model predicts {', '.join(known) or 'nothing'}, not {', '.join(others)}: "
                "give the --params=task=NAME that it was fine-tuned with."
            )
        return [task.model_dump(mode="json", exclude_defaults=True) for task in tasks.root]
    ran = record.get("label", {}).get("parameters", {}).get("task") or []
    return [
        dict(one) for one in ([ran] if isinstance(ran, Mapping) else ran) if one["name"] in known
    ]


def _tasks(definitions: list[dict[str, Any]], concept_sets: Mapping[str, Any]) -> dict[str, Part]:
    """Return the definitions, one as it is, and the concept sets that they name."""
    content = definitions[0] if len(definitions) == 1 else definitions
    parts = {"task.json": Part(content, "what is predicted, of whom, and when")}
    events = [event for one in definitions for event in one.get("events", {}).values()]
    for name in sorted({event.get("concept_set") for event in events} & concept_sets.keys()):
        parts[f"concept_sets/{name}.json"] = Part(concept_sets[name](), "a concept set of the task")
    return parts
