"""Where a dataset lies."""

from typing import Any


def dataset_location(dataset: Any) -> str | None:
    """Return the dataset's path or URL, None where it has none (memory, a database table)."""
    path = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
    if path is None:
        return None
    protocol = getattr(dataset, "_protocol", None) or getattr(dataset, "_fs_prefix", None) or ""
    protocol = str(protocol).removesuffix("://")
    return str(path) if "://" in str(path) or not protocol else f"{protocol}://{path}"
