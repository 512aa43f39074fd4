"""Arithmetic of UCUM's units (https://ucum.org): read by ucumvert, done by pint, exact in fractions."""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

from lark.exceptions import LarkError
from pint import UnitRegistry
from pint.errors import PintTypeError
from ucumvert import UcumToPintTransformer, get_ucum_parser, parse_ucum


@cache  # many labs have the same units
def convert_by_dimension(
    source: str, target: str, mass: float | None, valence: int | None
) -> tuple[float, float] | None:
    """Return factor and offset from one UCUM unit to another, or None where they cannot be equated.

    Args:
        source: The unit to convert from.
        target: The unit to arrive at.
        mass: The analyte's molar mass in g/mol, to pass between mass and amount.
        valence: Its charge per particle, to pass between amount and equivalents.
    """
    one, base = _quantity(source), _quantity(target)
    if one is None or base is None:
        return None
    for bridge in (None, *_bridges(mass, valence)):
        try:
            return _affine(one if bridge is None else one * bridge, base)
        except PintTypeError:  # other dimensions, or degrees that are to be multiplied
            continue
    return None


class _LazyUnits(UnitRegistry):
    """Pint's units, each worked out when it is first asked for, not all of them at the start."""

    def _build_cache(self, *args: Any, **kwargs: Any) -> None:
        pass


@cache
def _registry() -> UnitRegistry:
    """Return pint with UCUM's units, in fractions.

    Arbitrary units (CFU, GPL …) and equivalents are dimensions of their own here: UCUM holds that
    they compare with nothing else, while ucumvert's definitions equate them to 1 and to the mole.
    """
    text = files("ucumvert").joinpath("pint_ucum_defs.txt").read_text(encoding="utf-8")
    text = text.replace("equivalents = mol", "equivalents = [equivalents]")
    text = re.sub(r"^(\w+) = +1(?: \* 1)?(?= =|$)", r"\1 = [\1]", text, flags=re.MULTILINE)
    registry: UnitRegistry = _LazyUnits(non_int_type=Fraction)
    registry.load_definitions([*text.splitlines(), "pH_value = [pH_value]"])
    return registry


@cache
def _quantity(ucum: str) -> Any:
    """Return one of the unit as a pint quantity, or None where it is no UCUM unit."""
    registry = _registry()
    try:
        parsed = UcumToPintTransformer(registry).transform(parse_ucum(ucum, _parser()))
    except LarkError:
        return None
    # A bare annotation such as {score} is a plain number.
    return parsed if hasattr(parsed, "units") else registry.Quantity(Fraction(1))


@cache
def _parser() -> Any:
    return get_ucum_parser()


def _bridges(mass: float | None, valence: int | None) -> Iterator[Any]:
    """Yield what may be multiplied in to pass between mass, amount and charge of an analyte."""
    registry = _registry()
    per_mole = Fraction(str(mass)) * registry("gram / mole") if mass else None
    charge = valence * registry("equivalents / mole") if valence else None
    steps = [step for step in (per_mole, charge) if step is not None]
    if per_mole is not None and charge is not None:
        steps.append(per_mole / charge)
    for step in steps:
        yield step
        yield 1 / step


def _affine(one: Any, base: Any) -> tuple[float, float]:
    """Return the straight line through two converted values, exact until the last rounding."""
    registry = _registry()

    def converted(value: int) -> Fraction:
        there = registry.Quantity(value * Fraction(one.magnitude), one.units).to(base.units)
        return Fraction(there.magnitude) / Fraction(base.magnitude)

    offset = converted(0)
    return float(converted(1) - offset), float(offset)
