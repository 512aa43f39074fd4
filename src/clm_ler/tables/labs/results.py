"""Laboratory results to tokens: units made equal, values cut into percentile bins.

Everything is fitted from one small table, the counts of each distinct value: exact quantiles need
no list of values in one place, however many persons there are. Values are compared in single
precision, so that 7.2 and 7200 * 0.001 are one value in every engine.
"""

import logging
from collections.abc import Iterable
from typing import Literal

import ibis
import ibis.expr.types as ir
from ibis import _
from pydantic import BaseModel, ConfigDict, Field

from clm_ler.engines.portable import small_table, sum_int64, trim
from clm_ler.tables.labs.units import UnitOptions, convert_unit
from clm_ler.tokens import bin_labels, lab_token

logger = logging.getLogger(__name__)

LAB = ("system", "code")
LARGEST_VALUE = 1e18  # far above any count per litre, and safe in single precision
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


class LabOptions(BaseModel):
    """How laboratory results become tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fit_on: Literal["train", "all"] = Field(
        default="train", description="Persons on whom units and percentiles are fitted"
    )
    percentile_count: int = Field(
        default=10, ge=3, le=255, description="Bins of equal share per lab; 10 are deciles"
    )
    min_loinc_counts: int = Field(
        default=100, ge=1, description="Fewest results of a lab that get percentiles"
    )
    min_loinc_value_counts: int = Field(
        default=100, ge=1, description="Fewest distinct values of a lab that gets percentiles"
    )
    units: UnitOptions = Field(
        default_factory=UnitOptions, description="Additions to the tables of units and analytes"
    )


def _is_number(value: ir.NumericValue) -> ir.BooleanValue:
    """Return whether the value is a number, and none that no laboratory would write."""
    return value.notnull() & (value.abs() < LARGEST_VALUE)  # false for NaN and infinity too


def _unusable(lab_events: ir.Table) -> list[tuple[ir.BooleanValue, str]]:
    """Return why a result cannot be used as it stands: condition and reason, the first one counts.

    A LOINC code is digits, a hyphen and a check digit. ``0000-0``, the filler of some extracts, is
    none. Other systems' codes are taken as they are.
    """
    loinc = lab_events.code.re_search(r"^[0-9]{1,7}-[0-9]$") & (lab_events.code != "0000-0")
    return [
        (lab_events.code.isnull() | lab_events.system.isnull(), "no code"),
        ((lab_events.system == "LOINC") & ~loinc, "not a LOINC code"),
        (lab_events.unit.isnull() | (trim(lab_events.unit) == ""), "no unit"),
        (~_is_number(lab_events.value), "not a number"),
    ]


def classify_lab_events(
    lab_events: ir.Table, unit_conversions: ir.Table, lab_percentiles: ir.Table
) -> ir.Table:
    """Return the events with ``loss_reason``: why a result gets no token, null where it gets one."""
    units = unit_conversions.select(
        *LAB, "unit", known_unit=_.unit, converts=_.status != "unconvertible"
    )
    labs = lab_percentiles.select(*LAB, binned=ibis.literal(True))
    rows = lab_events.left_join(units, [*LAB, "unit"])
    rows = rows.select(*lab_events.columns, "known_unit", "converts").left_join(labs, LAB)
    reason = ibis.cases(
        # First, although the others would let it pass: hardly any row needs their slower tests.
        (rows.converts & rows.binned & _is_number(rows.value), ibis.null("string")),
        *_unusable(rows),
        (rows.known_unit.isnull(), "lab or unit not seen in fitting"),
        (~rows.converts, "unit cannot be converted"),
        (rows.binned.isnull(), "lab has too few results or values"),
    )
    return rows.select(*lab_events.columns, loss_reason=reason)


def count_lab_values(
    lab_events: ir.Table, person_splits: ir.Table, options: LabOptions
) -> ir.Table:
    """Return how often each value of each lab was seen: system, code, unit, value, n, n_fit.

    ``n_fit`` counts the persons' results that may be fitted on (``fit_on``); units that occur only
    elsewhere are listed too, with 0, because their conversion is physics and not fitted.
    """
    fitted = (person_splits.split == "train") if options.fit_on == "train" else ibis.literal(True)
    persons = person_splits.select("person_id", fitted=fitted)
    usable = lab_events.filter(ibis.cases(*_unusable(lab_events)).isnull())
    return usable.join(persons, "person_id").aggregate(
        by=[*LAB, "unit", "value"], n=_.count(), n_fit=_.count(where=_.fitted)
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
    bases = {(row["system"], row["code"]): row for row in rows if row["rank"] == 0 and row["n"]}
    conversions = [
        _conversion_row(row, base, options.units)
        for row in rows
        if (base := bases.get((row["system"], row["code"])))
    ]
    _warn(conversions)
    return small_table(conversions, UNIT_CONVERSIONS)


def extend_unit_conversions(
    unit_conversions: ir.Table, lab_events: ir.Table, options: LabOptions
) -> ir.Table:
    """Return the fitted conversions and those of the units that only ``lab_events`` has, with n = 0.

    For another site's results: base units stay as fitted; how its units turn into them is physics.
    """
    bases = unit_conversions.select(*LAB, "base_unit").distinct()
    seen = lab_events.select(*LAB, "unit").distinct().filter(_.unit.notnull())
    new = seen.join(bases, LAB).anti_join(unit_conversions, [*LAB, "unit"])
    rows = new.order_by(*LAB, "unit").to_pyarrow().to_pylist()
    conversions = [
        _conversion_row(row | {"n": 0, "median": None}, {"unit": row["base_unit"]}, options.units)
        for row in rows
    ]
    return unit_conversions.union(small_table(conversions, UNIT_CONVERSIONS))


def _spread(lab_value_counts: ir.Table) -> ir.Table:
    """Return the 1st, 50th and 99th percentile of the fitted values per unit of a lab."""
    fitted = lab_value_counts.filter(_.n_fit > 0).select(*LAB, "unit", "value", n="n_fit")
    percentiles = {"low": 1, "median": 50, "high": 99}
    reached = {name: _.upto * 100 >= k * _.total for name, k in percentiles.items()}
    return _rank(fitted).aggregate(
        by=[*LAB, "unit"],
        **{name: _.value.min(where=condition) for name, condition in reached.items()},
    )


def _conversion_row(row: dict, base: dict, options: UnitOptions) -> dict:
    concept = f"{row['system']}:{row['code']}"
    conversion = convert_unit(row["unit"], base["unit"], concept, options)
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
            "%d units of labs cannot be converted (%d results on the fitted persons): see "
            "unit_conversions, and preprocess.units to teach them.",
            len(lost),
            sum(row["n"] for row in lost),
        )
    if odd:
        logger.warning(
            "%d units of labs hold values far from those in the base unit, as if mislabelled: see "
            "'suspicious' in unit_conversions.",
            len(odd),
        )


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
    group = [name for name in value_counts.columns if name not in ("value", "n")]
    ranked = _rank(value_counts)
    # The k for which the running sum first reaches k/bins of the total here.
    first = (ranked.upto - ranked.n) * bins // ranked.total + 1
    last = ibis.least(ranked.upto * bins // ranked.total, bins - 1)
    reached = ibis.range(first, last + 1, 1)
    return (
        ranked.select(*group, "value", k=reached.unnest())
        .group_by(group)
        .aggregate(boundaries=_.value.collect())
        .mutate(boundaries=_.boundaries.sort())
    )


def _rank(value_counts: ir.Table) -> ir.Table:
    """Return with each value how many of its group's are not above it, ``upto``, and ``total``."""
    group = [name for name in value_counts.columns if name not in ("value", "n")]
    ordered = ibis.window(group_by=group, order_by="value", preceding=None, following=0)
    return value_counts.mutate(
        upto=_.n.sum().over(ordered), total=_.n.sum().over(ibis.window(group_by=group))
    )


def convert_values(lab_events: ir.Table, unit_conversions: ir.Table) -> ir.Table:
    """Return the events whose unit converts, with ``value`` in ``base_unit``."""
    known = unit_conversions.filter(_.status != "unconvertible").select(
        *LAB, "unit", "base_unit", "factor", "offset"
    )
    return (
        lab_events.join(known, [*LAB, "unit"])
        .mutate(value=_.value * _.factor + _.offset)
        .drop("factor", "offset")
    )


def fit_lab_percentiles(
    lab_value_counts: ir.Table, unit_conversions: ir.Table, options: LabOptions
) -> ir.Table:
    """Return the bin boundaries of each lab that has enough results and distinct values.

    ``boundaries`` are the ``percentile_count - 1`` quantiles of :func:`fit_quantiles`, in
    ``base_unit``. ``n`` counts the fitted results, ``n_distinct`` their distinct values.
    """
    lab = ibis.row_number().over(ibis.window(order_by=LAB))
    labs = unit_conversions.select(*LAB, "base_unit").distinct().mutate(lab=lab)
    # Grouped by number, not by three texts.
    fitted = lab_value_counts.filter(_.n_fit > 0).join(labs.drop("base_unit"), LAB)
    converted = convert_values(fitted, unit_conversions)
    # One representative of all values that are equal in single precision.
    values = converted.aggregate(
        by=["lab", _.value.cast("float32").name("single")],
        value=_.value.min(),
        n=sum_int64(converted.n_fit),
    ).drop("single")
    enough = values.aggregate(by="lab", n=sum_int64(values.n), n_distinct=_.count()).filter(
        (_.n >= options.min_loinc_counts) & (_.n_distinct >= options.min_loinc_value_counts)
    )
    boundaries = fit_quantiles(values, options.percentile_count)
    fits = enough.join(boundaries, "lab").join(labs, "lab")
    return fits.select(*LAB, "base_unit", "n", "n_distinct", "boundaries")


def lab_rules(unit_conversions: ir.Table, lab_percentiles: ir.Table) -> ir.Table:
    """Return all that turns a result into a token, one row for each unit of each lab.

    Returns:
        system, code, unit, factor, offset, the boundaries ``edge_0`` ... in single precision and
        the token of each bin, ``token_0`` ...
    """
    labels = bin_labels(_bins(lab_percentiles))
    edges = {
        f"edge_{k}": lab_percentiles.boundaries[k].cast("float32") for k in range(len(labels) - 1)
    }
    tokens = {f"token_{k}": lab_token(_.system, _.code, label) for k, label in enumerate(labels)}
    binned = lab_percentiles.select(*LAB, **edges, **tokens)
    known = unit_conversions.filter(_.status != "unconvertible")
    return known.join(binned, LAB).select(*LAB, "unit", "factor", "offset", *edges, *tokens)


def lab_tokens(
    lab_events: ir.Table, unit_conversions: ir.Table, lab_percentiles: ir.Table
) -> ir.Table:
    """Return person_id, time and token (``LOINC:2345-7:30-40``) of the results that can be binned."""
    return apply_lab_rules(lab_events, lab_rules(unit_conversions, lab_percentiles))


def apply_lab_rules(lab_events: ir.Table, rules: ir.Table) -> ir.Table:
    """Return person_id, time and token of the results that there are rules for.

    A value below the first boundary is in the first bin, one at or above the last in the last.

    Args:
        lab_events: Laboratory results.
        rules: Of :func:`lab_rules`; the columns of tokens may stand for the texts by number.
    """
    usable = lab_events.filter(_is_number(lab_events.value))
    values = usable.join(rules, [*LAB, "unit"])
    value = (values.value * values.factor + values.offset).cast("float32")
    *tokens, last = (values[name] for name in token_columns(rules.columns))
    token = ibis.cases(
        *((value < values[f"edge_{k}"], token) for k, token in enumerate(tokens)), else_=last
    )
    return values.select("person_id", "time", token=token)


def token_columns(columns: Iterable[str]) -> list[str]:
    """Return those of the columns of :func:`lab_rules` that hold tokens, lowest bin first."""
    return [name for name in columns if name.startswith("token_")]


def _bins(lab_percentiles: ir.Table) -> int:
    """Return the number of bins that the boundaries make; any number where no lab has any."""
    return int(lab_percentiles.boundaries.length().max().to_pyarrow().as_py() or 1) + 1
