"""Numbers that know which artifact they are from, and what may not be told."""

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
from markupsafe import Markup, escape

Artifacts = Mapping[str, Any]
DASH = "-"


def as_data(artifact: Any) -> Any:
    """Return a table as a list of rows, in the order of its numbers; anything else as it is."""
    if isinstance(artifact, ir.Table):
        rows = artifact.to_pyarrow().to_pylist()
        orders = [name for name in ("number", "step") if name in artifact.columns]
        kind = artifact[orders[0]].type() if orders else None
        return sorted(rows, key=lambda row: row[orders[0]]) if kind and kind.is_integer() else rows
    return artifact


def look_up(artifacts: Artifacts, path: str) -> Any:
    """Return the value at ``ARTIFACT/KEY/0/...``; keys and places, divided by slashes."""
    found: Any = artifacts
    for key in path.split("/"):
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


class Numbers:
    """Writes numbers of artifacts as HTML, each with its place: ``<data value=... title=place>``."""

    def __init__(self, artifacts: Artifacts, min_persons: int) -> None:
        """Take the artifacts by name, and the fewest persons or rows that are told."""
        self.artifacts = artifacts
        self.min_persons = min_persons

    def value(self, path: str, form: str = ".3f") -> Markup:
        """Return a measured number."""
        value = look_up(self.artifacts, path)
        if value is None:
            return Markup(DASH)
        return Markup('<data value="{}" title="{}">{}</data>').format(
            repr(value), path, format(value, form)
        )

    def count(self, path: str) -> Markup:
        """Return how many rows or persons there are, unless they are too few to be told."""
        value = look_up(self.artifacts, path)
        if value is not None and 0 < value < self.min_persons:
            return Markup("fewer than {}").format(self.min_persons)
        return self.value(path, ",")

    def estimate(self, path: str, form: str = ".3f") -> Markup:
        """Return a value with its 95 % interval."""
        if look_up(self.artifacts, path)["value"] is None:
            return Markup(DASH)
        value, lower, upper = (
            self.value(f"{path}/{name}", form) for name in ("value", "lower", "upper")
        )
        return Markup("{} ({} to {})").format(value, lower, upper)

    def text(self, path: str) -> Markup:
        """Return a text, such as a reason."""
        return escape(look_up(self.artifacts, path))
