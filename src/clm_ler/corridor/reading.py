"""Raw tables, one or several of a kind, to rows under the project's names."""

import ibis
import ibis.expr.types as ir

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.tables.sources import RAW_TABLES, TableSource, select, with_lookups


def read_rows(
    table: ir.Table | dict[str, ir.Table] | None,
    name: str,
    options: PreprocessOptions,
    event_date_filter: str | None = None,
) -> ir.Table:
    """Return the rows of a table that ``preprocess.tables`` lists, under the project's names."""
    if table is None:
        raise ValueError(
            f"{name} is listed in preprocess.tables, and there is nothing where the catalog entry "
            f"{name!r} points. Put the table there, or leave {name} out of preprocess.tables."
        )
    sources = options.tables[name]
    if isinstance(sources, TableSource):
        sources = {name: sources}
    tables = table if isinstance(table, dict) else dict.fromkeys(sources, table)
    if missing := [one for one in sources if one not in tables]:
        raise ValueError(
            f"preprocess.tables: {name}: {missing[0]} is not in the catalog entry {name!r}, which "
            f"has {', '.join(tables)}."
        )
    selected = []
    for one, source in sources.items():
        rows = with_lookups(tables[one], source.lookups, tables, one)
        by = (RAW_TABLES[name], one, event_date_filter, options.time_zone)
        selected.append(select(rows, source, *by))
    return _union(selected)


def _union(selected: list[ir.Table]) -> ir.Table:
    """Return the rows of all tables; a column that is not everywhere of one type becomes text."""
    first, *others = selected
    if not others:
        return first
    mixed = [
        name for name in first.columns if len({str(table[name].type()) for table in selected}) > 1
    ]
    texts = [
        table.mutate({name: table[name].cast("string") for name in mixed}) for table in selected
    ]
    return ibis.union(*texts)
