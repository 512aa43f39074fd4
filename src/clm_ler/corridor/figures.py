"""One look for all figures: colours, letters, room; labels at the lines; titles that say what was found."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
import plotly.io as pio
from plotly.colors import sample_colorscale

# By Okabe and Ito: the colour-blind tell them apart.
BLUE, RED, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PINK, SKY, BROWN, BLACK, GREY = "#CC79A7", "#56B4E9", "#7F5F2A", "#222222", "#8A8A8A"
PALETTE = (BLUE, RED, GREEN, ORANGE, PINK, SKY, BROWN, BLACK)
# A model has one colour in every figure.
MODELS = {
    "fine-tuned model": BLUE,
    "clm_ler": BLUE,
    "hybrid": RED,
    "windowed": GREEN,
    "count_bins": ORANGE,
    "count": PINK,
    "clm_ler_windowed": SKY,
    "demographics": BROWN,
    "untrained": GREY,
}
THIN = {"color": GREY, "width": 1, "dash": "dot"}
_GRID = {"gridcolor": "#EBEBEB", "zerolinecolor": "#D0D0D0", "linecolor": "#BBBBBB"}
_AXIS = {**_GRID, "showline": True, "ticks": "outside", "tickcolor": "#BBBBBB", "automargin": True}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "Helvetica, Arial, sans-serif", "size": 13, "color": "#333333"},
        "title": {"x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 16}}
        | {"y": 1, "yref": "container", "yanchor": "top"}
        # No colour of the title's own: in its dark previews kedro-viz sets that of all letters.
        | {"font": {"size": 17}, "subtitle": {"font": {"size": 13, "color": GREY}}},
        "colorway": PALETTE,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"l": 70, "r": 30, "t": 110, "b": 60},
        "modebar": {"orientation": "v", "bgcolor": "rgba(0,0,0,0)"},
        "hoverlabel": {"font": {"size": 12}},
    }
)
NAME = "clm_ler"
pio.templates[NAME] = TEMPLATE  # for notebooks: plotly.io.templates.default = figures.NAME
LINE = 17  # pixels of a line of letters
Text = dict[str, Any]  # an annotation that is yet to be written


class Label(NamedTuple):
    """What a line is called, where it ends, and its colour."""

    text: str
    y: float
    colour: str


def finish(
    figure: go.Figure, finding: str, detail: str = "", height: int = 460, **layout: Any
) -> go.Figure:
    """Give a figure the look of all.

    Args:
        figure: Changed in place.
        finding: Its title: what is to be seen.
        detail: The line below: what is drawn, of whom.
        height: In pixels.
        layout: What else is to be set.
    """
    title = {"text": f"<b>{finding}</b>", "subtitle": {"text": detail}, "pad": {"t": 10}}
    return figure.update_layout(template=TEMPLATE, title=title, height=height, **layout)


def colour_of(name: str, number: int = 0) -> str:
    """Return the colour of a model, or the one of a number where the name is none."""
    return MODELS.get(name, PALETTE[number % len(PALETTE)])


def colours_of(size: int) -> list[str]:
    """Return so many colours: those of the palette, or of a scale where there are more than it has."""
    return list(PALETTE[:size]) if size <= len(PALETTE) else sample_colorscale("Viridis", size)


def faint(colour: str) -> str:
    """Return a colour for a band behind a line."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"


def label_lines(
    figure: go.Figure, labels: Sequence[Label], low: float, high: float, pixels: int, **place: int
) -> list[Text]:
    """Return the names of lines at their right ends, as far apart as letters need.

    Args:
        figure: Where they are to be written.
        labels: One a line.
        low: The lower end of the panel's y axis.
        high: Its upper end.
        pixels: The height of the panel.
        place: Its ``row`` and ``col``.
    """
    ordered = sorted(labels, key=lambda label: label.y)
    levels = apart([label.y for label in ordered], LINE * (high - low) / pixels, low, high)
    return [
        text_at(figure, label.text, label.colour, x=1, y=y, xanchor="left", xshift=6, **place)
        for label, y in zip(ordered, levels, strict=True)
    ]


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return ascending places moved so that neighbours are at least a gap apart, within bounds if they fit.

    >>> apart([1.0, 1.1, 5.0], 1.0, 0.0, 9.0)
    [1.0, 2.0, 5.0]
    >>> apart([8.8, 9.0], 1.0, 0.0, 9.0)
    [8.0, 9.0]
    """
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else max(place, low))
    limit = high
    for number in reversed(range(len(moved))):
        moved[number] = min(moved[number], limit)
        limit = moved[number] - gap
    return moved


def list_labels(
    figure: go.Figure, texts: Sequence[tuple[str, str]], top: bool, **place: int
) -> list[Text]:
    """Return names in their colours in a right corner of a panel: for lines that end in one point.

    Args:
        figure: Where they are to be written.
        texts: Text and colour of each, the first on top.
        top: Whether the upper corner is the free one.
        place: ``row`` and ``col`` of the panel.
    """
    found = []
    for number, (text, colour) in enumerate(texts):
        where: dict[str, Any] = {"x": 1, "xanchor": "right", "xshift": -6, "yref": "y domain"}
        where |= {"y": 1, "yanchor": "top"} if top else {"y": 0, "yanchor": "bottom"}
        where["yshift"] = -LINE * number if top else LINE * (len(texts) - 1 - number)
        found.append(text_at(figure, text, colour, **where, **place))
    return found


def mark_level(figure: go.Figure, y: float, text: str, **place: int) -> Text:
    """Draw a thin line across a panel, such as chance or a ceiling; return its name."""
    figure.add_hline(y, line=THIN, layer="below", **place)
    return text_at(figure, text, GREY, x=0, y=y, xanchor="left", yanchor="bottom", **place)


def text_at(
    figure: go.Figure, text: str, colour: str, row: int = 1, col: int = 1, **where: Any
) -> Text:
    """Return a text at a place of a panel; x counts from 0 to 1 of its width unless ``xref`` is "x"."""
    middle: dict[str, Any] = {"yanchor": "middle", "showarrow": False}
    places = {"xref": "x domain", "yref": "y"} | middle | where
    panel = figure.get_subplot(row, col)
    for name, axis in (("x", panel.xaxis), ("y", panel.yaxis)):
        number = axis.plotly_name.removeprefix(f"{name}axis")
        places[f"{name}ref"] = places[f"{name}ref"].replace(name, name + number, 1)
    return {"text": text, "font": {"color": colour, "size": 12}, **places}


def write(figure: go.Figure, texts: Sequence[Text]) -> None:
    """Write texts into a figure, all at once: plotly looks at all that are there with every new one."""
    figure.layout.annotations += tuple(go.layout.Annotation(text) for text in texts)
