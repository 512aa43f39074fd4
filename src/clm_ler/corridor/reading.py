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
            f"{name!r} points (kedro doctor says where that is). {put_there(name)}."
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
    return union_of(selected)


def put_there(name: str) -> str:
    """Return what to do about a table that is missing."""
    if name == "patient":
        return "Put the table there: nobody is known without it"
    return f"Put the table there, or leave {name} out of preprocess.tables"


def union_of(selected: list[ir.Table]) -> ir.Table:
    """Return the rows of all tables, null where one lacks a column.

    A column that is not everywhere of one type becomes text.
    """
    first, *others = selected
    if not others:
        return first
    types: dict[str, set[str]] = {}
    for table in selected:
        for name, kind in table.schema().items():
            types.setdefault(name, set()).add(str(kind.copy(nullable=True)))
    common = {name: kinds.pop() if len(kinds) == 1 else "string" for name, kinds in types.items()}
    return ibis.union(*(_as(table, common) for table in selected))


def _as(table: ir.Table, types: dict[str, str]) -> ir.Table:
    return table.select(
        **{
            name: table[name].cast(kind) if name in table.columns else ibis.null(kind)
            for name, kind in types.items()
        }
    )
