"""What Parquet files say of themselves, by DuckDB."""

from collections.abc import Sequence

import duckdb

from clm_ler.engines.duckdb_sql import message_without_values
from clm_ler.engines.errors import without_values


def by_zoned_columns(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[str]
) -> list[list[str]]:
    """Return the files in groups by which of their columns are times with a zone.

    Read together, DuckDB would take the local times of some files for times of the session's zone.
    """
    zoned = "list(name ORDER BY name) FILTER (duckdb_type = 'TIMESTAMP WITH TIME ZONE')"
    query = f"SELECT file_name, {zoned} FROM parquet_schema($paths) GROUP BY file_name"
    telling = without_values((duckdb.Error,), message_without_values)
    with telling, connection.cursor() as cursor:
        rows = cursor.execute(query, {"paths": list(paths)}).fetchall()
    groups: dict[tuple[str, ...], list[str]] = {}
    for file, columns in sorted(rows):
        groups.setdefault(tuple(columns or ()), []).append(file)
    return list(groups.values())
