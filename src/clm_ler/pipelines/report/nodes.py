"""Artifacts to one page."""

import re
from typing import Any

import plotly.graph_objects as go
import yaml
from pydantic import BaseModel

from clm_ler.corridor.page.page import write_page
from clm_ler.pipelines.report.artifacts import ARTIFACTS
from clm_ler.pipelines.report.options import ReportOptions
from clm_ler.pipelines.report.sections import sections

# Parameters that tell of a machine or of a person (explain.person), not of the model.
HIDDEN = re.compile(
    r"person|checkpoints|storage|trained|fitted_from|translations_from|concept_sets|kit|predictions_to|push_to|\w+_root"
)


def write_report(parameters: dict[str, Any], options: ReportOptions, *artifacts: Any) -> str:
    """Return one HTML page that needs nothing else: no network, no other file.

    Args:
        parameters: All parameters of the run.
        options: Title, and what is too few to be told.
        artifacts: What ``ARTIFACTS`` lists, in its order; ``None`` where nothing was made.
    """
    named = zip(ARTIFACTS, artifacts, strict=True)
    made = {name: artifact for name, artifact in named if artifact is not None}
    figures = {name: artifact for name, artifact in made.items() if isinstance(artifact, go.Figure)}
    rest = {name: artifact for name, artifact in made.items() if name not in figures}
    if "loss_figure" in figures and _floor_of(figures["loss_figure"]) < options.min_persons:
        del figures["loss_figure"]
    found = sections(rest, options.min_persons)
    shown = {name for section in found for name in section.figures}
    return write_page(
        options.title,
        found,
        {name: figures[name] for name in shown & {*figures}},
        options.min_persons,
        yaml.safe_dump(_plain(parameters), sort_keys=True, allow_unicode=True),
    )


def _floor_of(figure: go.Figure) -> int:
    """Return of how many persons each flow is at least: the run that drew it may have had other parameters."""
    return int((figure.layout.meta or {}).get("min_persons", 0))


def _plain(value: Any) -> Any:
    """Return parameters as plain values, without places of this machine and ids of persons."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    elif hasattr(value, "__dataclass_fields__"):
        value = vars(value)
    if isinstance(value, dict):
        told = {k: part for k, part in value.items() if not HIDDEN.fullmatch(str(k))}
        return {str(k): _plain(part) for k, part in told.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
