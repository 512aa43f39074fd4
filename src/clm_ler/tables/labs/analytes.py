"""What units alone do not say: molar masses, valences and formulas of common analytes.

Keys are ``system:code``, here always LOINC. Molar masses in g/mol are PubChem's for the formula
given (https://pubchem.ncbi.nlm.nih.gov), except albumin (mature human serum albumin, UniProt P02768)
and haemoglobin (one haem-bearing chain, the convention behind 1 g/dL = 0.6206 mmol/L; IFCC/IUPAC).
A ratio to creatinine carries the molar mass of creatinine, because mg/mmol turns into mg/g by it.
"""

from typing import NamedTuple


class Analyte(NamedTuple):
    """A substance and the LOINC codes that measure it."""

    name: str
    molar_mass: float
    loinc: str


class Formula(NamedTuple):
    """``value in base_unit = value in unit * factor + offset``, both units in UCUM."""

    unit: str
    base_unit: str
    factor: float
    offset: float


ANALYTES = (
    Analyte(
        "glucose C6H12O6",
        180.156,
        "2345-7 2339-0 2340-8 2342-4 2344-0 2350-7 1558-6 5792-7 14743-9 14749-6 14771-0 15074-8 "
        "27353-2 32016-8 41653-7",
    ),
    Analyte(
        "creatinine C4H7N3O",
        113.12,
        "2160-0 2161-8 14682-9 14683-7 38483-4 59826-8 2890-2 9318-7 13705-9 14958-3 14959-1 30000-4 "
        "30001-2 32294-1",
    ),
    Analyte("urea nitrogen N2", 28.014, "3094-0 6299-2 12962-7 14937-7 3095-7"),
    Analyte("urea CH4N2O", 60.056, "3091-6 22664-7"),
    Analyte(
        "cholesterol C27H46O",
        386.65,
        "2093-3 14647-2 2085-9 14646-4 2089-1 13457-7 18262-6 22748-8 39469-2 2091-7 13458-5 43396-1 "
        "70204-3",
    ),
    Analyte("triglyceride, as triolein C57H104O6", 885.4, "2571-8 14927-8 3043-7"),
    Analyte(
        "bilirubin C33H36N4O6",
        584.7,
        "1975-2 14631-6 1968-7 14629-0 1971-1 14630-8 42719-5",
    ),
    Analyte(
        "calcium Ca", 40.078, "17861-6 2000-8 1994-3 1995-0 12180-6 17863-2 17864-0 29265-6 49765-1"
    ),
    Analyte("phosphate, as phosphorus P", 30.974, "2777-1 14879-1 24519-1"),
    Analyte("magnesium Mg", 24.305, "19123-9 2601-3 2593-2 21377-7"),
    Analyte("urate C5H4N4O3", 168.11, "3084-1 14933-6"),
    Analyte("lactate C3H6O3", 90.08, "2524-7 14118-4 32693-4 2518-9 2519-7 59032-3"),
    Analyte("haemoglobin, one chain", 16114.5, "718-7 20509-6 30313-1 30350-3 30352-9 59260-0"),
    Analyte("iron Fe", 55.84, "2498-4 14798-3 2500-7 14800-7"),
    Analyte("albumin", 66437.0, "1751-7 2862-1 54347-0 61151-7 61152-5"),
    Analyte("25-hydroxyvitamin D3 C27H44O2", 400.6, "1989-3 14635-7 35365-6 62292-8"),
    Analyte("cobalamin C63H88CoN14O14P", 1355.4, "2132-9 14685-2"),
    Analyte("folate C19H19N7O6", 441.4, "2284-8 14732-2"),
    Analyte("cortisol C21H30O5", 362.5, "2143-6 14675-3"),
    Analyte("testosterone C19H28O2", 288.4, "2986-8 14913-8"),
    Analyte("thyroxine C15H11I4NO4", 776.87, "3026-2 14921-1 3024-7 14920-3"),
    Analyte("triiodothyronine C15H12I3NO4", 650.97, "3053-6 14930-2 3051-0 14928-6"),
    Analyte("oestradiol C18H24O2", 272.4, "2243-4 14715-7"),
    Analyte("sodium Na", 22.99, "2951-2 2947-0 2955-3"),
    Analyte("potassium K", 39.098, "2823-3 6298-4 2828-2"),
    Analyte("chloride Cl", 35.45, "2075-0 2069-3 2078-4"),
    Analyte("lithium Li", 6.94, "14334-7 3719-2"),
)
MOLAR_MASSES = {
    f"LOINC:{code}": analyte.molar_mass for analyte in ANALYTES for code in analyte.loinc.split()
}

# Charge per particle; the gaps and the base excess are sums of charges, counted as of one.
CODES_BY_VALENCE = {
    1: (
        "2951-2 2947-0 2955-3 2823-3 6298-4 2828-2 2075-0 2069-3 2078-4 14334-7 3719-2 "  # Na K Cl Li
        "1963-8 1959-6 1960-4 14627-4 2028-9 2026-3 2027-1 20565-8 "  # bicarbonate, total CO2
        "33037-3 10466-1 1863-0 41276-7 11555-0 1925-7 1927-3"  # anion gap, base excess
    ),
    2: (
        "17861-6 2000-8 1994-3 1995-0 12180-6 17863-2 17864-0 29265-6 49765-1 "  # Ca
        "19123-9 2601-3 2593-2 21377-7"  # Mg
    ),
}
VALENCES = {
    f"LOINC:{code}": valence
    for valence, codes in CODES_BY_VALENCE.items()
    for code in codes.split()
}

# NGSP (%) from IFCC (mmol/mol): the master equation, Hoelzel et al., Clin Chem 2004;50:166-174,
# https://ngsp.org/ifccngsp.asp. Both units are fractions, so that plain conversion would be wrong.
HBA1C = Formula("mmol/mol", "%", 0.09148, 2.152)
FORMULAS = {
    f"LOINC:{code}": HBA1C for code in ("4548-4", "4549-2", "17855-8", "17856-6", "59261-8")
}
