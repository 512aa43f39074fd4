import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clm_ler.tables.labs.analytes import MOLAR_MASSES, VALENCES
from clm_ler.tables.labs.units import IDENTITY, UnitFormula, UnitOptions, convert_unit, ucum_unit


@pytest.mark.parametrize(
    "text, ucum",
    [
        ("mg/dL", "mg/dL"),
        ("MG/DL", "mg/dL"),
        (" mg / dl ", "mg/dL"),
        ("gm/dl", "g/dL"),
        ("mcg/mL", "ug/mL"),
        ("µg/mL", "ug/mL"),
        ("μg/mL", "ug/mL"),
        ("mEq/L", "meq/L"),
        ("IU/L", "U/L"),
        ("[IU]/L", "U/L"),
        ("mIU/mL", "mU/mL"),
        ("K/uL", "10*3/uL"),
        ("K/MM3", "10*3/uL"),
        ("x10E3/uL", "10*3/uL"),
        ("X10(3)/mcL", "10*3/uL"),
        ("10^3/µL", "10*3/uL"),
        ("10³/µL", "10*3/uL"),
        ("x10¹²/L", "10*12/L"),
        ("10⁴/µL", "10*4/uL"),
        ("Gpt/l", "10*9/L"),
        ("Tpt/l", "10*12/L"),
        ("T/L", "10*12/L"),
        ("Tsd/µl", "10*3/uL"),
        ("IE/l", "U/L"),
        ("µIE/ml", "uU/mL"),
        ("UI/L", "U/L"),
        ("mval/l", "meq/L"),
        ("µkat/L", "ukat/L"),
        ("ml/min/1,73m²", "mL/min/{1.73_m2}"),
        ("cm²", "cm2"),
        ("kg/m³", "kg/m3"),
        ("kg/m²", "kg/m2"),
        ("µM", "umol/L"),
        ("mM", "mmol/L"),
        ("MM", "mm"),
        ("10e+09/L", "10*9/L"),
        ("10*12/L", "10*12/L"),
        ("thou/cumm", "10*3/uL"),
        ("M/uL", "10*6/uL"),
        ("cells/mcL", "1/uL"),
        ("mmHg", "mm[Hg]"),
        ("mm Hg", "mm[Hg]"),
        ("bpm", "/min"),
        ("breaths/min", "/min"),
        ("deg F", "[degF]"),
        ("°C", "Cel"),
        ("mL/min/1.73 m2", "mL/min/{1.73_m2}"),
        ("mg/24 hr", "mg/d"),
        ("mm/hr", "mm/h"),
        ("%", "%"),
        ("K", "K"),  # kelvin where no volume follows
        ("fathom", "fathom"),  # unknown text stays
    ],
)
def test_spellings_of_records_become_ucum(text, ucum):
    assert ucum_unit(text) == ucum


@pytest.mark.parametrize(
    "unit, base_unit, code, factor, offset",
    [
        ("degF", "degC", "", 5 / 9, -160 / 9),
        ("µkat/L", "U/L", "", 60.0, 0.0),
        ("10⁴/µL", "10*3/uL", "", 10.0, 0.0),
        ("Gpt/l", "K/uL", "", 1.0, 0.0),
        ("G/L", "10*9/L", "", 1.0, 0.0),
        ("K/uL", "G/L", "", 1.0, 0.0),
        ("G/L", "cells/uL", "", 1000.0, 0.0),
        ("G/L", "g/dL", "", 0.1, 0.0),
        ("Cel", "[degF]", "", 1.8, 32.0),
        ("K", "Cel", "", 1.0, -273.15),
        ("g/L", "mg/dL", "", 100.0, 0.0),
        ("K/uL", "10*9/L", "", 1.0, 0.0),
        ("/uL", "K/uL", "", 0.001, 0.0),
        ("IU/L", "U/L", "", 1.0, 0.0),
        ("U/L", "ukat/L", "", 1 / 60, 0.0),
        ("lbs", "kg", "", 0.45359237, 0.0),
        ("inches", "cm", "", 2.54, 0.0),
        ("kPa", "mmHg", "", 1 / 0.133322387415, 0.0),
        ("L/L", "%", "", 100.0, 0.0),
        # 1 mol of glucose is 180.156 g: 1 mg/dL = 10 mg/L = 10 / 180.156 mmol/L
        ("mg/dL", "mmol/L", "LOINC:2345-7", 10 / 180.156, 0.0),
        ("mmol/L", "MG/DL", "LOINC:2345-7", 18.0156, 0.0),
        # 1 mg/dL = 10,000 ug/L; 113.12 ug are 1 umol
        ("mg/dL", "umol/L", "LOINC:2160-0", 10_000 / 113.12, 0.0),
        ("mg/dL", "mmol/L", "LOINC:3094-0", 10 / 28.014, 0.0),
        ("mmol/L", "mg/dL", "LOINC:2093-3", 38.665, 0.0),
        ("g/dL", "mmol/L", "LOINC:718-7", 10_000 / 16114.5, 0.0),
        # albumin to creatinine: 1 mmol of creatinine is 0.11312 g
        ("mg/mmol", "mg/g", "LOINC:14959-1", 1 / 0.11312, 0.0),
        ("mEq/L", "mmol/L", "LOINC:2951-2", 1.0, 0.0),
        ("mEq/L", "mmol/L", "LOINC:17861-6", 0.5, 0.0),
        # 1 meq/L of calcium = 0.5 mmol/L = 20.039 mg/L
        ("mEq/L", "mg/dL", "LOINC:17861-6", 2.0039, 0.0),
        ("mg/dL", "mEq/L", "LOINC:17861-6", 1 / 2.0039, 0.0),
        # NGSP = 0.09148 IFCC + 2.152
        ("mmol/mol", "%", "LOINC:4548-4", 0.09148, 2.152),
        ("%", "mmol/mol", "LOINC:4548-4", 1 / 0.09148, -2.152 / 0.09148),
    ],
)
def test_conversions_worked_out_by_hand(unit, base_unit, code, factor, offset):
    conversion = convert_unit(unit, base_unit, code)
    assert conversion == (pytest.approx(factor, rel=1e-12), pytest.approx(offset, rel=1e-12))


def test_familiar_values_come_out():
    def convert(value, *units):
        factor, offset = convert_unit(*units)
        return value * factor + offset

    assert convert(98.6, "degF", "degC") == pytest.approx(37.0, abs=1e-9)
    assert convert(100, "mg/dL", "mmol/L", "LOINC:2345-7") == pytest.approx(5.55, abs=0.005)
    assert convert(1.0, "mg/dL", "umol/L", "LOINC:2160-0") == pytest.approx(88.4, abs=0.01)
    assert convert(53, "mmol/mol", "%", "LOINC:4548-4") == pytest.approx(7.0, abs=0.005)


@pytest.mark.parametrize(
    "unit, base_unit, code",
    [
        ("mmol/L", "mg/dL", "LOINC:6690-2"),  # no molar mass
        ("mEq/L", "mmol/L", "LOINC:6690-2"),  # no valence
        ("10*3/uL", "%", "LOINC:770-8"),
        ("U/L", "10*3/L", ""),  # activity is no count
        ("[CFU]/mL", "/mL", ""),  # an arbitrary unit compares with nothing
        ("degF", "mg/dL", "LOINC:2345-7"),
        ("fathom", "mg/dL", ""),
        ("mg/dL", "fathom", ""),
        ("", "mg/dL", ""),
        ("mg//", "mg/dL", ""),
    ],
)
def test_what_cannot_be_converted_is_not_guessed(unit, base_unit, code):
    assert convert_unit(unit, base_unit, code) is None


def test_unknown_units_are_equal_to_themselves():
    assert convert_unit("fathom", "fathom") == IDENTITY


def test_a_site_extends_the_tables():
    options = UnitOptions(
        spellings={"Mg per dL": "mg/dL"},
        molar_masses={"LOCAL:x": 50.0},
        valences={"LOCAL:x": 3},
        formulas={"LOCAL:t": UnitFormula(unit="mg/dL", base_unit="%", factor=2.0, offset=1.0)},
    )
    assert convert_unit("MG PER DL", "g/L", "", options) == (pytest.approx(0.01), 0.0)
    assert convert_unit("Mg per dL", "mmol/L", "LOCAL:x", options) == (pytest.approx(0.2), 0.0)
    assert convert_unit("mEq/L", "mmol/L", "LOCAL:x", options) == (pytest.approx(1 / 3), 0.0)
    assert convert_unit("mg/dL", "%", "LOCAL:t", options) == (2.0, 1.0)
    assert convert_unit("%", "mg/dL", "LOCAL:t", options) == (0.5, -0.5)


def test_the_units_of_a_formula_are_read_as_those_of_records():
    formula = UnitFormula(unit="[iU]/L", base_unit="mEq/L", factor=2.0)
    options = UnitOptions(formulas={"LOCAL:t": formula})
    assert convert_unit("IU/L", "mEq/L", "LOCAL:t", options) == (2.0, 0.0)
    assert convert_unit("meq/l", "U/L", "LOCAL:t", options) == (0.5, 0.0)


UNITS = ("mg/dL", "g/L", "mmol/L", "umol/L", "mEq/L", "ug/mL", "nmol/mL")


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.sampled_from(sorted(VALENCES)))
def test_conversion_there_and_back_changes_nothing(unit, base_unit, concept):
    there, back = convert_unit(unit, base_unit, concept), convert_unit(base_unit, unit, concept)
    assert (there is None) == (back is None)
    if there is None:
        assert concept not in MOLAR_MASSES
    else:
        assert math.isclose(there.factor * back.factor, 1.0, rel_tol=1e-12)
