"""The card of a kit: what it predicts, how good it was at home, what to consider elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from clm_ler.corridor.cards import LIMITS, shown

TEXT = """# {title}

A `{model_type}` model of structured health records, {parameters:,} parameters, {tokens:,} tokens in its
vocabulary. Packed by clm-ler {version}; `kit.json` lists every file with its SHA-256 and the smallest number of
persons that anything in it rests on (floor: {min_persons}).

    kedro run --env=omop --params=kit=DIR,cdm_root=DIR

## What it predicts

{task}

## How good it was where it was trained

{measured}

## What to consider

{limits}
"""


def write_card(
    model: Any,
    version: str,
    min_persons: int,
    definitions: Sequence[Mapping[str, Any]],
    home: Mapping[str, Any],
) -> str:
    """Return README.md of a kit.

    Args:
        model: The model that is to be used.
        version: Of this package.
        min_persons: The floor.
        definitions: Of the tasks, where there are any.
        home: What was measured where it was trained, by task.
    """
    tasks = predicted_tasks(model)
    return TEXT.format(
        title=f"Risk model: {', '.join(tasks)}" if tasks else "Pre-trained model",
        model_type=model.config.model_type,
        parameters=model.num_parameters(),
        tokens=model.config.vocab_size,
        version=version,
        min_persons=min_persons,
        task=_task(tasks, definitions),
        measured=_measured(home),
        limits=LIMITS,
    )


def predicted_tasks(model: Any) -> list[str]:
    """Return the tasks that a model predicts; none of one that was pre-trained only."""
    return list(getattr(model.config, "tasks", None) or [])


def _task(tasks: list[str], definitions: Sequence[Mapping[str, Any]]) -> str:
    if not tasks:
        return "Nothing yet: fine-tune it, or use its embeddings."
    if not definitions:
        return (
            f"{', '.join(tasks)}: labels came from a table; its definition is not part of the kit."
        )
    sources = [f"{one['name']}: {one.get('source') or 'see task.json'}." for one in definitions]
    return "\n\n".join([*sources[:-1], f"{sources[-1]} `task.json` defines it."])


def _measured(home: Mapping[str, Any]) -> str:
    if not home:
        return "Too few persons to report on."
    rows = [
        f"| {task} | {found['persons']:,} | {found['samples']:,} | {found['events']:,} | "
        f"{shown(found['auroc'])} | {shown(found.get('calibration_intercept'))} | "
        f"{shown(found.get('calibration_slope'))} |"
        for task, found in home.items()
    ]
    head = "| task | persons | predictions | outcomes | AUROC | calibration intercept | slope |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])
