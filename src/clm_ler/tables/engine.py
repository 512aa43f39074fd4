"""Where the table engines differ, and nowhere else."""

from typing import Any

import ibis.expr.types as ir
from ibis import BaseBackend


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


def read_literal_text(
    backend: BaseBackend, path: str, delimiter: str, names: list[str] | None = None
) -> ir.Table:
    """Read delimited text in which quotes and backslashes are ordinary characters.

    Args:
        backend: The Ibis connection.
        path: A plain or gzip file, lines ending in LF or CR LF.
        delimiter: What stands between two fields.
        names: The columns; none where the first line names them.

    Returns:
        A lazy table of strings; an empty field is null.
    """
    header = names is None
    if backend.name == "pyspark":
        options: dict[str, Any] = {"sep": delimiter, "lineSep": "\n", "quote": "", "escape": ""}
        if names:
            options["schema"] = ", ".join(f"`{name}` string" for name in names)
        options |= {"header": header, "inferSchema": False, "mode": "FAILFAST"}
    else:
        options = {"delim": delimiter, "quote": "", "escape": "", "comment": "", "header": header}
        options |= {"nullstr": ""}
        if names:
            options["columns"] = dict.fromkeys(names, "VARCHAR")
        else:
            options["all_varchar"] = True
    return backend.read_csv(path, **options)
