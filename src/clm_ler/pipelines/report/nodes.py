"""Artifacts to one page."""

import re
from importlib.metadata import version
from typing import Any

import plotly.graph_objects as go
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from pydantic import BaseModel

from clm_ler.pipelines.report.options import ReportOptions
from clm_ler.pipelines.report.sections import sections

PACKAGES = (
    "clm-ler",
    "kedro",
    "duckdb",
    "ibis-framework",
    "torch",
    "transformers",
    "lightgbm",
    "scikit-learn",
)
# Parameters that tell of a machine, not of the model.
PLACE = re.compile(
    r"checkpoints|storage|trained|fitted_from|translations_from|concept_sets|\w+_root"
)


def write_report(parameters: dict[str, Any], options: ReportOptions, **artifacts: Any) -> str:
    """Return one HTML page that needs nothing else: no network, no other file.

    Args:
        parameters: All parameters of the run.
        options: Title, and what is too few to be told.
        artifacts: Tables, documents and figures by name; ``None`` where nothing was made.
    """
    made = {name: artifact for name, artifact in artifacts.items() if artifact is not None}
    figures = {name: artifact for name, artifact in made.items() if isinstance(artifact, go.Figure)}
    rest = {name: artifact for name, artifact in made.items() if name not in figures}
    environment = Environment(
        loader=PackageLoader("clm_ler.pipelines.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    found = sections(rest, options.min_persons)
    shown = {name for section in found for name in section.figures}
    return environment.get_template("report.html.j2").render(
        title=options.title,
        sections=found,
        figures={name: _drawn(name, figures[name]) for name in sorted(shown & {*figures})},
        plotly=Markup(get_plotlyjs()),
        versions={name: version(name) for name in PACKAGES},
        min_persons=options.min_persons,
        parameters=yaml.safe_dump(_plain(parameters), sort_keys=True, allow_unicode=True),
    )


def _drawn(name: str, figure: go.Figure) -> Markup:
    """Return a figure as HTML that finds plotly's script on the page."""
    drawn = go.Figure(figure).update_layout(autosize=True, width=None)
    text = drawn.to_html(
        full_html=False, include_plotlyjs=False, div_id=name, config={"responsive": True}
    )
    return Markup(text)


def _plain(value: Any) -> Any:
    """Return parameters as plain values, without places of this machine."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    elif hasattr(value, "__dataclass_fields__"):
        value = vars(value)
    if isinstance(value, dict):
        told = {k: part for k, part in value.items() if not PLACE.fullmatch(str(k))}
        return {str(k): _plain(part) for k, part in told.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
