"""Sections to one HTML page that needs nothing else: no network, no other file."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from clm_ler.corridor.page.parts import HOW_IT_WAS_MADE, Section
from clm_ler.files.versions import PACKAGES, installed


def write_page(
    title: str,
    sections: Sequence[Section],
    figures: Mapping[str, go.Figure],
    min_persons: int,
    parameters: str,
) -> str:
    """Return the page.

    Args:
        title: Its heading.
        sections: What it tells, the finding first.
        figures: By the names that the sections have for them.
        min_persons: The fewest persons that anything on it is about.
        parameters: Of the run, as a text.
    """
    environment = Environment(
        loader=PackageLoader("clm_ler.corridor.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        title=title,
        sections=sections,
        last=HOW_IT_WAS_MADE,
        figures={name: _drawn(name, figures[name]) for name in sorted(figures)},
        plotly=Markup(get_plotlyjs()),
        versions={name: installed(name) or "-" for name in PACKAGES},
        min_persons=min_persons,
        parameters=parameters,
    )


def _drawn(name: str, figure: go.Figure) -> Markup:
    """Return a figure as HTML that finds plotly's script on the page."""
    drawn = go.Figure(figure).update_layout(autosize=True, width=None)
    text = drawn.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"responsive": True, "displayModeBar": False},
    )
    return Markup(text)
