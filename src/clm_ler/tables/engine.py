"""Where the table engines differ, and nowhere else."""

from typing import Any


def connection(engine: str, memory_limit: str, threads: int, storage: str) -> dict[str, Any]:
    """Return the Ibis connection settings of an engine, as catalog entries take them.

    Args:
        engine: ``duckdb`` or ``pyspark``.
        memory_limit: What DuckDB may use, such as ``4GB``; Spark takes its own from ``spark.yml``.
        threads: DuckDB's threads; 0 means all cores.
        storage: Where everything derived goes. DuckDB spills into ``tmp`` below it, because spilled
            rows are person-level data too; beside the project's data where the storage is remote.

    Raises:
        ValueError: If the engine is none of the two.
    """
    if engine == "pyspark":
        return {"backend": "pyspark"}
    if engine != "duckdb":
        raise ValueError(f"engine must be 'duckdb' or 'pyspark', not {engine!r}")
    settings = {
        "backend": "duckdb",
        "database": ":memory:",
        "memory_limit": memory_limit,
        "temp_directory": "data/tmp" if "://" in storage else f"{storage}/tmp",
    }
    return settings | ({"threads": threads} if threads else {})
