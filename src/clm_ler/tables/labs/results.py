"""Laboratory results to tokens: units made equal, values cut into percentile bins.

Everything is fitted from one small table, the counts of each distinct value: exact quantiles need
no list of values in one place, however many persons there are. Values are compared in single
precision, so that 7.2 and 7200 * 0.001 are one value in every engine.
"""

from collections.abc import Iterable
from typing import Literal

import ibis
import ibis.expr.types as ir
from ibis import _
from pydantic import Field

from clm_ler.engines.portable import sum_int64, trim
from clm_ler.tables.labs.parsing import ResultOptions
from clm_ler.tables.labs.quantiles import fit_quantiles, own_bins
from clm_ler.tables.labs.text_tokens import LAB, text_rules, text_tokens
from clm_ler.tables.labs.units import UnitOptions
from clm_ler.tables.options import Options
from clm_ler.tokens import bin_labels, lab_token

LARGEST_VALUE = 1e18  # far above any count per litre, and safe in single precision


class LabOptions(Options):
    """How laboratory results become tokens."""

    fit_on: Literal["train", "all"] = Field(
        default="train", description="Persons on whom units and percentiles are fitted"
    )
    percentile_count: int = Field(
        default=10, ge=3, le=255, description="Bins of equal share per lab; 10 are deciles"
    )
    min_loinc_counts: int = Field(
        default=100, ge=1, description="Fewest results of a lab that gets percentiles"
    )
    min_loinc_value_counts: int = Field(
        default=100, ge=1, description="Fewest distinct values of a lab that gets percentiles"
    )
    results: ResultOptions = Field(
        default_factory=ResultOptions, description="Results other than numbers with a unit"
    )
    units: UnitOptions = Field(
        default_factory=UnitOptions, description="Additions to the tables of units and analytes"
    )


def _is_number(value: ir.NumericValue) -> ir.BooleanValue:
    """Return whether the value is a number, and none that no laboratory would write."""
    return value.notnull() & (value.abs() < LARGEST_VALUE)  # false for NaN and infinity too


def _unusable(
    lab_events: ir.Table, without_unit: bool = False
) -> list[tuple[ir.BooleanValue, str]]:
    """Return why a result cannot be used as it stands: condition and reason, the first one counts.

    A LOINC code is digits, a hyphen and a check digit. ``0000-0``, the filler of some extracts, is
    none. Other systems' codes are taken as they are.
    """
    loinc = lab_events.code.re_search(r"^[0-9]{1,7}-[0-9]$") & (lab_events.code != "0000-0")
    reasons = [
        (lab_events.code.isnull() | lab_events.system.isnull(), "no code"),
        ((lab_events.system == "LOINC") & ~loinc, "not a LOINC code"),
        # Before the unit: words have none, and it is not the unit that they lack.
        (~_is_number(lab_events.value), "not a number"),
    ]
    if not without_unit:
        reasons.append((lab_events.unit.isnull() | (trim(lab_events.unit) == ""), "no unit"))
    return reasons


def classify_lab_events(
    lab_events: ir.Table, unit_conversions: ir.Table, lab_percentiles: ir.Table
) -> ir.Table:
    """Return the events with ``loss_reason``: why a result gets no token, null where it gets one."""
    units = unit_conversions.select(
        *LAB, "unit", known_unit=_.unit, converts=_.status != "unconvertible"
    )
    labs = _with_bins(lab_percentiles).select(*LAB, binned=ibis.literal(True))
    rows = lab_events.left_join(units, [*LAB, "unit"])
    rows = rows.select(*lab_events.columns, "known_unit", "converts").left_join(labs, LAB)
    texts, rows = _text_reasons(rows, text_rules(lab_events, lab_percentiles))
    reason = ibis.cases(
        # First, although the others would let it pass: hardly any row needs their slower tests.
        (rows.converts & rows.binned & _is_number(rows.value), ibis.null("string")),
        *texts,
        *_unusable(rows),
        (rows.known_unit.isnull(), "lab or unit not seen in fitting"),
        (~rows.converts, "unit cannot be converted"),
        (rows.binned.isnull(), "lab has too few results or values"),
    )
    return rows.select(*lab_events.columns, loss_reason=reason)


def _text_reasons(
    rows: ir.Table, rules: ir.Table | None
) -> tuple[list[tuple[ir.BooleanValue, ir.Value]], ir.Table]:
    """Return why a text result has no token, or that it has one, and the rows to ask that of."""
    if "text" not in rows.columns:
        return [], rows
    known = ibis.literal(False)
    if rules is not None:
        rules = rules.select(*LAB, "text", known_text=_.text)
        rows = rows.left_join(rules, [*LAB, "text"])
        known = rows.known_text.notnull()
    few = (rows.text.notnull(), ibis.literal("text result of too few persons"))
    return [(known, ibis.null("string")), few], rows


def _with_bins(lab_percentiles: ir.Table) -> ir.Table:
    """Return the labs that have numbers, not only texts."""
    if "texts" not in lab_percentiles.columns:
        return lab_percentiles
    return lab_percentiles.filter(_.boundaries.length() > 0)


def count_lab_values(
    lab_events: ir.Table, person_splits: ir.Table, options: LabOptions
) -> ir.Table:
    """Return how often each value of each lab was seen: system, code, unit, value, n, n_fit.

    ``n_fit`` counts the persons' results that may be fitted on (``fit_on``); units that occur only
    elsewhere are listed too, with 0, because their conversion is physics and not fitted.
    """
    fitted = (person_splits.split == "train") if options.fit_on == "train" else ibis.literal(True)
    persons = person_splits.select("person_id", fitted=fitted)
    return (
        usable_results(lab_events, options)
        .join(persons, "person_id")
        .aggregate(by=[*LAB, "unit", "value"], n=_.count(), n_fit=_.count(where=_.fitted))
    )


def usable_results(lab_events: ir.Table, options: LabOptions) -> ir.Table:
    """Return the results that units and percentiles are fitted on, if their persons are: numbers with a unit."""
    unusable = _unusable(lab_events, options.results.without_unit)
    return lab_events.filter(ibis.cases(*unusable).isnull())


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

    Or so few values that each may have a bin of its own (``results.few_values``).

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
    few = options.results.few_values
    enough = values.aggregate(by="lab", n=sum_int64(values.n), n_distinct=_.count()).filter(
        (_.n >= options.min_loinc_counts)
        & ((_.n_distinct >= options.min_loinc_value_counts) | (_.n_distinct <= few))
    )
    boundaries = fit_quantiles(values, options.percentile_count)
    if few:
        own = own_bins(values, options.percentile_count, few)
        boundaries = boundaries.anti_join(own, "lab").union(own)
    fits = enough.join(boundaries, "lab").join(labs, "lab")
    return fits.select(*LAB, "base_unit", "n", "n_distinct", "boundaries")


def lab_rules(unit_conversions: ir.Table, lab_percentiles: ir.Table) -> ir.Table:
    """Return all that turns a result into a token, one row for each unit of each lab.

    Returns:
        system, code, unit, factor, offset, the boundaries ``edge_0`` ... in single precision and
        the token of each bin, ``token_0`` ...
    """
    labels = bin_labels(_bins(lab_percentiles))
    lab_percentiles = _with_bins(lab_percentiles)
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
    """Return person_id, time and token (``LOINC:2345-7:30-40``) of the results that have a token."""
    tokens = apply_lab_rules(lab_events, lab_rules(unit_conversions, lab_percentiles))
    texts = text_rules(lab_events, lab_percentiles)
    return tokens if texts is None else tokens.union(text_tokens(lab_events, texts))


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
