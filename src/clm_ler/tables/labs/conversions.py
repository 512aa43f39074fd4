"""How each unit of each lab turns into the lab's base unit."""

import logging
from itertools import groupby
from operator import itemgetter

import ibis
import ibis.expr.types as ir
from ibis import _

from clm_ler.engines.portable import small_table, sum_int64
from clm_ler.tables.labs.quantiles import rank_values
from clm_ler.tables.labs.results import LabOptions
from clm_ler.tables.labs.text_tokens import LAB
from clm_ler.tables.labs.units import IDENTITY, UnitOptions, convert_unit, ucum_unit

logger = logging.getLogger(__name__)

UNIT_CONVERSIONS = ibis.schema(
    {
        "system": "string",
        "code": "string",
        "unit": "string",
        "base_unit": "string",
        "factor": "float64",
        "offset": "float64",
        "n": "int64",
        "status": "string",
        "median": "float64",
        "suspicious": "boolean",
    }
)


def fit_unit_conversions(lab_value_counts: ir.Table, options: LabOptions) -> ir.Table:
    """Return how each unit of each lab turns into the lab's base unit.

    The base unit is the most frequent one on the fitted persons, ties by text. ``status`` is
    ``identity`` (the value stays), ``converted`` (value * factor + offset) or ``unconvertible``.
    ``median`` is that of the fitted values, in the base unit; ``suspicious`` says that it lies
    outside the middle 98 % of the values that were recorded in the base unit itself.
    """
    spread = _spread(lab_value_counts)
    units = (
        lab_value_counts.aggregate(by=[*LAB, "unit"], n=sum_int64(lab_value_counts.n_fit))
        .left_join(spread, [*LAB, "unit"])
        .select(*LAB, "unit", "n", "low", "median", "high")
    )
    rank = ibis.row_number().over(
        ibis.window(group_by=LAB, order_by=[ibis.desc("n"), ibis.asc("unit")])
    )
    # The distinct units of each lab: the one table that Python sees.
    rows = units.mutate(rank=rank).order_by(*LAB, "rank").to_pyarrow().to_pylist()
    by_lab = {key: list(same) for key, same in groupby(rows, itemgetter(*LAB))}
    conversions = [
        _conversion_row(row, base, options.units, [one["unit"] for one in same if one["n"]])
        for same in by_lab.values()
        if (base := _base(same))
        for row in same
    ]
    # What stays unknown first, and most costly.
    conversions.sort(key=lambda row: -row["n"] if row["status"] == "unconvertible" else 1)
    _warn(conversions)
    return small_table(conversions, UNIT_CONVERSIONS)


def extend_unit_conversions(
    unit_conversions: ir.Table, lab_events: ir.Table, options: LabOptions
) -> ir.Table:
    """Return the fitted conversions and those of the units that only ``lab_events`` has, with n = 0.

    For another site's results: base units stay as fitted; how its units turn into them is physics.
    """
    fitted = unit_conversions.filter(_.n > 0)
    bases = fitted.group_by(*LAB, "base_unit").agg(units=_.unit.collect())
    seen = lab_events.select(*LAB, "unit").distinct().filter(_.unit.notnull())
    new = seen.join(bases, LAB).anti_join(unit_conversions, [*LAB, "unit"])
    rows = new.order_by(*LAB, "unit").to_pyarrow().to_pylist()
    conversions = [
        _conversion_row(
            row | {"n": 0, "median": None}, {"unit": row["base_unit"]}, options.units, row["units"]
        )
        for row in rows
    ]
    return unit_conversions.union(small_table(conversions, UNIT_CONVERSIONS))


def _spread(lab_value_counts: ir.Table) -> ir.Table:
    """Return the 1st, 50th and 99th percentile of the fitted values per unit of a lab."""
    fitted = lab_value_counts.filter(_.n_fit > 0).select(*LAB, "unit", "value", n="n_fit")
    percentiles = {"low": 1, "median": 50, "high": 99}
    reached = {name: _.upto * 100 >= k * _.total for name, k in percentiles.items()}
    return rank_values(fitted).aggregate(
        by=[*LAB, "unit"],
        **{name: _.value.min(where=condition) for name, condition in reached.items()},
    )


def _base(units: list[dict]) -> dict | None:
    """Return the unit that most of a lab's fitted results have; none only where no result has any."""
    fitted = [row for row in units if row["n"]]
    return next((row for row in fitted if row["unit"]), fitted[0] if fitted else None)


def _conversion_row(row: dict, base: dict, options: UnitOptions, units: list[str]) -> dict:
    concept = f"{row['system']}:{row['code']}"
    if row["unit"]:
        conversion = convert_unit(row["unit"], base["unit"], concept, options)
    else:  # taken for the lab's unit where it has one only
        others = {ucum_unit(unit, options.spellings) for unit in units if unit}
        conversion = IDENTITY if len(others) <= 1 else None
    known = {name: row[name] for name in ("system", "code", "unit", "n")}
    known |= {"base_unit": base["unit"], "factor": None, "offset": None, "median": None}
    if conversion is None:
        return known | {"status": "unconvertible", "suspicious": False}
    factor, offset = conversion
    median = None if row["median"] is None else row["median"] * factor + offset
    return known | {
        "factor": factor,
        "offset": offset,
        "status": "identity" if conversion == (1.0, 0.0) else "converted",
        "median": median,
        "suspicious": median is not None and not base["low"] <= median <= base["high"],
    }


def _warn(conversions: list[dict]) -> None:
    lost = [row for row in conversions if row["status"] == "unconvertible"]
    odd = [row for row in conversions if row["suspicious"]]
    if lost:
        logger.warning(
            "%d units of labs cannot be converted (%d results of the fitted persons): see "
            "unit_conversions, and add them by preprocess.units.",
            len(lost),
            sum(row["n"] for row in lost),
        )
    if odd:
        logger.warning(
            "%d units of labs have values far from those in the base unit, as if mislabelled: see "
            "'suspicious' in unit_conversions.",
            len(odd),
        )
