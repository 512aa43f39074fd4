"""Units of laboratory results: what they mean, and how one turns into another.

A unit is read in two steps: the table of spellings that records really use, then UCUM
(https://ucum.org) by :mod:`clm_ler.tables.labs.ucum`. What only the analyte can say (its molar mass, its
valence) comes from :mod:`clm_ler.tables.labs.analytes`.
"""

import re
from typing import NamedTuple

from pydantic import Field

from clm_ler.tables.labs.analytes import FORMULAS, MOLAR_MASSES, VALENCES, Formula
from clm_ler.tables.options import Options

# UCUM on the left, what stands for it on the right; case and spaces do not count.
SPELLINGS = {
    "mm[Hg]": "mmhg mm/hg mm(hg) torr",
    "cm[H2O]": "cmh2o cmh20",
    "/min": "bpm beats/min beats/minute beat/min breaths/min breath/min br/min resp/min rr/min permin",
    "mL/min/{1.73_m2}": (
        "ml/min/1.73m2 ml/min/1.73m^2 ml/min/1.73sqm ml/min/1.73sq.m ml/min/1.73 ml/min/1.7 "
        "ml/min/bsa ml/min/1.73msq"
    ),
    "Cel": "c degc °c deg.c degreec degreesc celsius degreecelsius degreescelsius",
    "[degF]": "f degf °f deg.f degreef degreesf fahrenheit degreefahrenheit degreesfahrenheit",
    "%": "percent pct percentage %total %oftotal",
    "1": "ratio index unitless {ratio} {index} {score} score",
    "[pH]": "ph phunits phunit ph-units",
    "{INR}": "inr inr_units",
    "g/dL": "gm% g% gms%",
    "mg/dL": "mg%",
    "kg/m2": "kg/m^2 kg/m*2 kg/sqm kg/m**2",
    "ng/mL{FEU}": "ng/mlfeu ngfeu/ml",
    "ug/mL{FEU}": "ug/mlfeu mcg/mlfeu ugfeu/ml mg/lfeu mg/l{feu}",
    "10*3/uL": "103/ul 103/mcl 103/mm3 103/cumm",
    "10*6/uL": "106/ul 106/mcl 106/mm3 106/cumm",
    "10*12/L": "t/l",
    "mm/h": "mm/hr mm/1hr mm/1h",
    "/[HPF]": "/hpf #/hpf cells/hpf perhpf",
    "/[LPF]": "/lpf #/lpf perlpf",
}

# The same for one part of a unit, between slashes.
PARTS = {
    "g": "g gm gms gr gram grams",
    "kg": "kg kgs kilogram kilograms",
    "mg": "mg mgs milligram milligrams",
    "ug": "ug mcg mcgs µg microgram micrograms",
    "ng": "ng nanogram nanograms",
    "pg": "pg picogram picograms",
    "L": "l liter liters litre litres",
    "dL": "dl 100ml deciliter",
    "mL": "ml cc milliliter",
    "uL": "ul mcl cumm cmm cu.mm cu.mm. mm3 mm^3 mm*3 mm**3 microl microliter",
    "fL": "fl cumicrons um3 um^3",
    "mol": "mol mole moles",
    "mmol": "mmol mmole mmoles",
    "umol": "umol mcmol micromol umole",
    "nmol": "nmol nmole",
    "pmol": "pmol pmole",
    "eq": "eq",
    "meq": "meq meqs mval",
    "ueq": "ueq",
    "ukat": "ukat",
    "nkat": "nkat",
    "osm": "osm",
    "mosm": "mosm mosmol mosmole",
    # One code is one analyte, for which laboratories write international and enzyme units alike.
    "U": "u iu [iu] unit units i.u. ie ui i.e.",
    "mU": "mu miu m[iu] mie mui munit munits milliunits",
    "uU": "uu uiu u[iu] uie mciu mcu uunits microunits",
    "kU": "ku kiu k[iu] kie",
    "d": "d day days 24h 24hr 24hrs 24hours (24.h) 24.h",
    "h": "h hr hrs hour hours",
    "min": "min mins minute minutes",
    "s": "s sec secs second seconds",
    "ms": "ms msec msecs",
    "m": "m meter meters",
    "cm": "cm cms centimeter centimeters",
    "mm": "mm millimeter millimeters",
    "[in_i]": "in inch inches in.",
    "[ft_i]": "ft foot feet",
    "[lb_av]": "lb lbs pound pounds lbs.",
    "[oz_av]": "oz ounce ounces",
    "m2": "m2 m^2 sqm",
    "m3": "m3 m^3",
    "cm2": "cm2 cm^2",
    "1": "cell cells # count counts rbc wbc {cells} {#} {cell} {rbc} {wbc}",
    "1.73": "1.73",
    "%": "%",
}
# Before a volume these are numbers of cells; elsewhere K is kelvin and M is metre.
COUNTS = {
    "10*3": "k thou thous thousand thousands th 1000 10^3cells tsd tsd.",
    "10*6": "m mil mill million millions mio 1000000",
    "10*9": "bil billion billions gpt",
    "10*12": "tpt",
}
VOLUMES = ("uL", "mL", "L", "dL")
# x10E3, 10^3, 10*3, X10(3), 10e+03, x103
POWER_OF_TEN = re.compile(r"(?:x10(?:\*\*|[*^e])?|10(?:\*\*|[*^e]))\(?\+?0?(\d{1,2})\)?(?!\d)")
_LETTERS = str.maketrans({"μ": "u", "µ": "u", "\N{MULTIPLICATION SIGN}": "x"})
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_POWER = re.compile(f"[{_RAISED}]+")
# The only ones in which case tells: mm is a length.
_MOLAR = {"mM": "mmol/L", "uM": "umol/L", "nM": "nmol/L", "pM": "pmol/L"}
_GIGA = "g/l"  # or grams, in capitals: what stands beside it tells


def _inverted(table: dict[str, str]) -> dict[str, str]:
    return {spelling: ucum for ucum, words in table.items() for spelling in words.split()}


_WHOLE, _PART, _COUNT = _inverted(SPELLINGS), _inverted(PARTS), _inverted(COUNTS)


class UnitFormula(Options):
    """A conversion that the units alone do not give, such as HbA1c from mmol/mol to %."""

    unit: str = Field(description="UCUM unit to convert from")
    base_unit: str = Field(description="UCUM unit to convert to")
    factor: float = Field(description="value in base_unit = value * factor + offset")
    offset: float = Field(default=0.0, description="see factor")


class UnitOptions(Options):
    """What a site adds to the tables of units and analytes."""

    spellings: dict[str, str] = Field(
        default_factory=dict, description="A unit as written in the data: the same in UCUM"
    )
    same_as: dict[str, str] = Field(
        default_factory=dict,
        description="A local code (MIMIC:50971): the code that measures the same analyte "
        "(LOINC:2823-3), whose molar mass, valence and formula it takes",
    )
    molar_masses: dict[str, float] = Field(
        default_factory=dict, description="system:code (LOINC:2345-7): g/mol of the analyte"
    )
    valences: dict[str, int] = Field(
        default_factory=dict, description="system:code: charge per particle, for mEq and mmol"
    )
    formulas: dict[str, UnitFormula] = Field(
        default_factory=dict, description="system:code: a formula between two units"
    )


class Conversion(NamedTuple):
    """``value in the base unit = value * factor + offset``."""

    factor: float
    offset: float


IDENTITY = Conversion(1.0, 0.0)


def ucum_unit(text: str, spellings: dict[str, str] | None = None) -> str:
    """Return the UCUM spelling of a unit as written in a record; unknown text comes back as it is.

    >>> ucum_unit("MG/DL"), ucum_unit("K/uL"), ucum_unit("x10E3/uL"), ucum_unit("mEq/L")
    ('mg/dL', '10*3/uL', '10*3/uL', 'meq/L')
    """
    plain = re.sub(r"\s+", "", _POWER.sub(_as_power, text).translate(_LETTERS))
    words = plain.casefold().replace("1,73", "1.73")
    own = {re.sub(r"\s+", "", key).casefold(): ucum for key, ucum in (spellings or {}).items()}
    known = own.get(words) or _MOLAR.get(plain) or _WHOLE.get(words)
    return known or _from_parts(words) or text.strip()


def _as_power(raised: re.Match[str]) -> str:
    return "^" + "".join(str(_RAISED.index(digit)) for digit in raised[0])


def _from_parts(words: str) -> str | None:
    """Return the UCUM unit of ``words`` part by part, or None where a part is unknown."""
    power = POWER_OF_TEN.match(words)
    first, *rest = words[power.end() :].split("/") if power else words.split("/")
    below = [_PART.get(part) for part in rest]
    if power:
        above = f"10*{power[1]}" if first in ("", "cells", "cell") else None
    elif not first:
        above = ""
    else:
        above = (_COUNT.get(first) if below and below[0] in VOLUMES else None) or _PART.get(first)
    if above is None or None in below:
        return None
    return "/".join([above, *(part for part in below if part)])


def convert_unit(
    unit: str, base_unit: str, concept: str = "", options: UnitOptions | None = None
) -> Conversion | None:
    """Return how values in ``unit`` turn into ``base_unit``, or None where they cannot.

    Args:
        unit: The unit as written in the record.
        base_unit: The unit to arrive at, as written in the record.
        concept: ``system:code`` of the measurement, which gives molar mass, valence and formula.
        options: What the site adds to the tables.

    >>> convert_unit("degF", "degC")
    Conversion(factor=0.5555555555555556, offset=-17.77777777777778)
    >>> convert_unit("mmol/L", "mg/dL", "LOINC:2345-7")
    Conversion(factor=18.0156, offset=0.0)
    """
    options = options or UnitOptions()
    concept = options.same_as.get(concept, concept)
    source, target = (ucum_unit(text, options.spellings) for text in (unit, base_unit))
    source, target = _as_count(source, target), _as_count(target, source)
    if source == target:
        return IDENTITY
    formula = options.formulas.get(concept) or FORMULAS.get(concept)
    if formula:
        ends = [ucum_unit(text, options.spellings) for text in (formula.unit, formula.base_unit)]
        if [source, target] in (ends, ends[::-1]):
            return _by_formula(formula, inverse=source == ends[1])
    mass = options.molar_masses.get(concept) or MOLAR_MASSES.get(concept)
    valence = options.valences.get(concept) or VALENCES.get(concept)
    # Pint takes 0.1 s to import, and most commands convert nothing.
    from clm_ler.tables.labs.ucum import convert_by_dimension

    converted = convert_by_dimension(source, target, mass, valence)
    return converted and Conversion(*converted)


def _as_count(unit: str, other: str) -> str:
    """Return G/L as numbers of cells where the same lab is given in such, which are no grams."""
    is_count = other.startswith(("10*", "/", "1/"))
    return "10*9/L" if unit.casefold() == _GIGA and is_count else unit


def _by_formula(formula: Formula | UnitFormula, inverse: bool) -> Conversion:
    if inverse:
        return Conversion(1 / formula.factor, -formula.offset / formula.factor)
    return Conversion(formula.factor, formula.offset)
