"""What DuckDB says of its plans and settings, as numbers."""

import re
from typing import Any


def row_estimates(plan: Any) -> list[int]:
    """Return every row estimate in a plan that DuckDB explained as JSON."""
    if isinstance(plan, list):
        return [rows for part in plan for rows in row_estimates(part)]
    own = int(plan.get("extra_info", {}).get("Estimated Cardinality", 0))
    return [own, *row_estimates(plan.get("children", []))]


def size_in_bytes(size: str) -> int:
    """Return the bytes of a memory limit as DuckDB reads and prints it, such as ``4GB`` or ``1.8 GiB``.

    Raises:
        ValueError: If it is none.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*)\s*(?:bytes?|([KMGT])(i?)B?)\s*", size, re.I)
    if not found:
        raise ValueError(
            f"memory_limit: {size!r} is no size. Write it as 4GB (10^9 bytes each) or 4GiB (2^30)."
        )
    number, unit, binary = found.groups(default="")
    return int(float(number) * (1024 if binary else 1000) ** " KMGT".index(unit.upper() or " "))
