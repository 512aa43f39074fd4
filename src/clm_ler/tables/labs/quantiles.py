"""Boundaries of bins from counts of values: exact, whatever the number of persons."""

import ibis
import ibis.expr.types as ir
from ibis import _


def fit_quantiles(value_counts: ir.Table, bins: int) -> ir.Table:
    """Return the ``bins - 1`` boundaries of each group's values, exact, from a running sum.

    Boundary k is the smallest value v with at least k/bins of the group's values <= v (the inverse
    of the empirical distribution function: an observed value, the same in every engine). Ties may
    make boundaries equal: the bins between them stay empty. All of a constant's boundaries are
    the constant.

    Args:
        value_counts: One row per group and value, with ``value`` and ``n``; all other columns
            make the group.
        bins: The number of bins.
    """
    group = _group(value_counts)
    ranked = rank_values(value_counts)
    # The k for which the running sum first reaches k/bins of the total here.
    first = (ranked.upto - ranked.n) * bins // ranked.total + 1
    last = ibis.least(ranked.upto * bins // ranked.total, bins - 1)
    reached = ibis.range(first, last + 1, 1)
    return _boundaries(ranked.select(*group, "value", k=reached.unnest()), group)


def rank_values(value_counts: ir.Table) -> ir.Table:
    """Return with each value how many of its group's are not above it, ``upto``, and ``total``."""
    group = _group(value_counts)
    ordered = ibis.window(group_by=group, order_by="value", preceding=None, following=0)
    return value_counts.mutate(
        upto=_.n.sum().over(ordered), total=_.n.sum().over(ibis.window(group_by=group))
    )


def own_bins(value_counts: ir.Table, bins: int, most: int) -> ir.Table:
    """Return boundaries that give each value of a group a bin of its own, from the first to the last.

    The bins are spread evenly: of three values among ten bins, the first, the fifth and the last. A
    constant is in the last.

    Args:
        value_counts: As :func:`fit_quantiles` takes it.
        bins: The number of bins.
        most: Groups with more distinct values are left out; at most ``bins``.
    """
    group = _group(value_counts)
    whole = ibis.window(group_by=group)
    placed = value_counts.mutate(
        place=ibis.row_number().over(ibis.window(group_by=group, order_by="value")),
        last=_.value.count().over(whole) - 1,
    ).filter(_.last < most)
    # Boundary k is the first value whose bin is k or above.
    each = placed.mutate(k=ibis.range(1, bins, 1).unnest())
    reached = each.filter((each.k * each.last + bins - 2) // (bins - 1) == each.place)
    return _boundaries(reached, group)


def _group(value_counts: ir.Table) -> list[str]:
    return [name for name in value_counts.columns if name not in ("value", "n")]


def _boundaries(rows: ir.Table, group: list[str]) -> ir.Table:
    found = rows.group_by(group).aggregate(boundaries=_.value.collect())
    return found.mutate(boundaries=_.boundaries.sort())
