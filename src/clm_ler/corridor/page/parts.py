"""What the page is made of."""

from dataclasses import dataclass, field

from markupsafe import Markup

HOW_IT_WAS_MADE = "How it was made"  # the last section, which every page has

Row = list[Markup | str]


@dataclass
class Table:
    """A table of the page."""

    caption: str
    head: list[str]
    rows: list[Row]


@dataclass
class Section:
    """A part of the page."""

    title: str
    said: list[Markup | str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)  # names of artifacts
