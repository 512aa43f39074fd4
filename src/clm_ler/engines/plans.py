"""What DuckDB says of its plans and settings, as numbers."""

from typing import Any


def row_estimates(plan: Any) -> list[int]:
    """Return every row estimate in a plan that DuckDB explained as JSON."""
    if isinstance(plan, list):
        return [rows for part in plan for rows in row_estimates(part)]
    own = int(plan.get("extra_info", {}).get("Estimated Cardinality", 0))
    return [own, *row_estimates(plan.get("children", []))]


def size_in_bytes(size: str) -> int:
    """Return the bytes of a size as DuckDB prints it, such as ``1.8 GiB``."""
    number, unit = size.split()
    return int(float(number) * 1024 ** ["bytes", "KiB", "MiB", "GiB", "TiB"].index(unit))
