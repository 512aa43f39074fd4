"""The models of other runs on the same site, as rows beside this run's."""

from collections.abc import Iterator, Mapping

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from clm_ler.pipelines.ehrshot_eval.cells import CELL, DRAW
from clm_ler.pipelines.ehrshot_eval.verdict import headline_cells

MODEL = "clm_ler"
Draws = dict[tuple[str, int, int], bytes]  # the validation labels of each sub-task, k and replicate


def rows_beside(cells: ir.Table, others: Mapping[str, ir.Table]) -> Iterator[pa.RecordBatch]:
    """Yield the cells of the other runs' models, under the names that they are given.

    Args:
        cells: Those of this run.
        others: By name, cells and choices of each other run.

    Raises:
        ValueError: If a run had other samples or other draws of labels: nothing could be paired.
    """
    if not others:
        return
    draws = _draws_of(cells)
    for name, theirs in others.items():
        rows = headline_cells(theirs).filter(_.model == MODEL)
        if _draws_of(rows) != draws:
            raise ValueError(
                f"ehrshot_eval.beside: the run {name!r} had other samples, numbers of labels or draws "
                "than this one: evaluate it on the same site with the same parameters."
            )
        named = rows.mutate(model=ibis.literal(name)).order_by("sub_task", *DRAW)
        yield from named.select(CELL.names).to_pyarrow().cast(CELL).to_batches()


def _draws_of(cells: ir.Table) -> Draws:
    """Return what tells one draw from another; every model of a run has the same."""
    first = cells.group_by("sub_task", *DRAW).agg(labels=_.valid_label.first())
    rows = first.to_pyarrow().to_pylist()
    return {(r["sub_task"], r["k"], r["replicate"]): bytes(r["labels"]) for r in rows}
