"""A miniature UMLS release that links the codes of the two simulated sites.

Laid out as the Metathesaurus is (UMLS Reference Manual, chapter 3), with its awkward sides: atoms in
other languages, suppressed and obsolete atoms, one code in two concepts, quotation marks in names,
package codes in every form that labels use, and concepts that only a relation connects. The
identifiers (CUI, AUI ...) are made up.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa

from clm_ler.simulation import codes
from clm_ler.simulation.disease_tables import LABS
from clm_ler.simulation.texts import ndc11, ndc_digits

COLUMNS: dict[str, tuple[str, ...]] = {
    "MRCONSO.RRF": (
        *("CUI", "LAT", "TS", "LUI", "STT", "SUI", "ISPREF", "AUI", "SAUI", "SCUI", "SDUI"),
        *("SAB", "TTY", "CODE", "STR", "SRL", "SUPPRESS", "CVF"),
    ),
    "MRSAT.RRF": (
        *("CUI", "LUI", "SUI", "METAUI", "STYPE", "CODE", "ATUI", "SATUI", "ATN", "SAB", "ATV"),
        *("SUPPRESS", "CVF"),
    ),
    "MRREL.RRF": (
        *("CUI1", "AUI1", "STYPE1", "REL", "CUI2", "AUI2", "STYPE2", "RELA", "RUI", "SRUI"),
        *("SAB", "SL", "RG", "DIR", "SUPPRESS", "CVF"),
    ),
    "MRFILES.RRF": ("FIL", "DES", "FMT", "CLS", "RWS", "BTS"),
    "MRCOLS.RRF": ("COL", "DES", "REF", "MIN", "AV", "MAX", "FIL", "DTY"),
}
DESCRIPTIONS = {
    "MRCONSO.RRF": "Concept names and sources",
    "MRSAT.RRF": "Simple concept and atom attributes",
    "MRREL.RRF": "Related concepts",
    "MRFILES.RRF": "Files",
    "MRCOLS.RRF": "Columns",
}
APART = 6  # every sixth diagnosis has its ICD and SNOMED atoms in two concepts that a map relates


class Atom(NamedTuple):
    """One name of a concept in one source."""

    concept: str
    source: str
    term_type: str
    code: str
    name: str
    language: str = "ENG"
    suppress: str = "N"


class Relation(NamedTuple):
    """``second`` stands in the relation to ``first``."""

    first: str
    relation: str
    second: str
    kind: str
    source: str


def miniature_umls() -> dict[str, pa.Table]:
    """Return the five files as tables by file name; every column is text."""
    atoms = list(_atoms())
    concepts = {
        name: f"C9{n:06d}" for n, name in enumerate(dict.fromkeys(a.concept for a in atoms))
    }
    tables = {
        "MRCONSO.RRF": _table("MRCONSO.RRF", _conso_rows(atoms, concepts)),
        "MRSAT.RRF": _table("MRSAT.RRF", _sat_rows(concepts)),
        "MRREL.RRF": _table("MRREL.RRF", _rel_rows(concepts)),
    }
    tables["MRCOLS.RRF"] = _table("MRCOLS.RRF", _column_rows(tables))
    tables["MRFILES.RRF"] = _table("MRFILES.RRF", _file_rows(tables))
    return tables


def _table(file: str, rows: Iterable[dict[str, str]]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in COLUMNS[file]])
    return pa.Table.from_pylist([dict.fromkeys(COLUMNS[file], "") | row for row in rows], schema)


def _atoms() -> Iterator[Atom]:
    named: set[str] = set()
    for number, item in enumerate(codes.DIAGNOSES.codes):
        yield from _diagnosis_atoms(number, item, item.icd9cm not in named)
        named.add(item.icd9cm)
    for drug in codes.DRUGS.codes:
        yield from _drug_atoms(drug)
    for procedure in codes.PROCEDURES.codes:
        key = f"procedure {procedure.code}"
        yield Atom(key, procedure.system, "PT", procedure.code, procedure.name)
    for lab in LABS:
        key = f"lab {lab.loinc}"
        yield Atom(key, "LNC", "LN", lab.loinc, f"{lab.name}:MCnc:Pt:Ser/Plas:Qn")
        yield Atom(key, "LNC", "LC", lab.loinc, f"{lab.name} [Mass/volume] in Blood")
    yield from _awkward_atoms()


def _diagnosis_key(number: int, item: codes.Diagnosis, vocabulary: str) -> str:
    apart = vocabulary == "SNOMED" and number % APART == APART - 1
    return f"diagnosis {item.snomed}" + (" (SNOMED)" if apart else "")


def _diagnosis_atoms(number: int, item: codes.Diagnosis, first: bool) -> Iterator[Atom]:
    """Return the names of a diagnosis; an ICD-9-CM code belongs to the first that it stands for."""
    key, other = (_diagnosis_key(number, item, name) for name in ("ICD", "SNOMED"))
    yield Atom(key, "ICD10CM", "PT", item.icd10cm, item.name)
    if first:
        yield Atom(key, "ICD9CM", "PT", item.icd9cm, item.name.upper())
    yield Atom(other, "SNOMEDCT_US", "PT", item.snomed, item.name)
    yield Atom(other, "SNOMEDCT_US", "FN", item.snomed, f"{item.name} (disorder)")
    yield Atom(other, "SCTSPA", "PT", item.snomed, f"{item.name} (trastorno)", language="SPA")
    yield Atom(key, "MSH", "MH", f"D9{number:05d}", item.name)


def _drug_atoms(drug: codes.Drug) -> Iterator[Atom]:
    key, ingredient = f"drug {drug.rxnorm}", drug.name.split(" ")[0]
    yield Atom(key, "RXNORM", "SCD", drug.rxnorm, drug.name)
    yield Atom(key, "MTHSPL", "DP", drug.ndc.rpartition("-")[0], drug.name.upper())
    yield Atom(f"ingredient {ingredient}", "RXNORM", "IN", _ingredient_code(ingredient), ingredient)


def _ingredient_code(ingredient: str) -> str:
    """Return the code of an ingredient, made from its letters."""
    return str(900_000 + sum(ord(letter) * 31**n for n, letter in enumerate(ingredient)) % 99_991)


def _awkward_atoms() -> Iterator[Atom]:
    """Return what a reader must survive, and must not be misled by."""
    first, second = codes.DIAGNOSES.heads[0], codes.DIAGNOSES.heads[2]
    yield Atom("retired", "ICD10CM", "PT", first.icd10cm, "Retired meaning", suppress="O")
    yield Atom("retired", "SNOMEDCT_US", "OAP", second.snomed, "Retired meaning", suppress="O")
    yield Atom("editorial", "ICD9CM", "PT", second.icd9cm, "Suppressed by editors", suppress="Y")
    yield Atom("editorial", "ICD9CM", "AB", second.icd9cm, "Suppressed abbreviation", suppress="E")
    # One code in two concepts, both valid.
    yield Atom("broader", "ICD9CM", "HT", first.icd9cm, 'Overweight and other "hyperalimentation"')
    yield Atom("quoted", "SNOMEDCT_US", "SY", "404684003", 'Finding of the "5 o\'clock" kind, 3/4"')
    yield Atom("vaccine", "CVX", "PT", "140", "Influenza, seasonal, injectable, preservative free")
    yield Atom("vaccine", "CPT", "PT", "90656", "Influenza vaccine, trivalent, preservative free")


def _conso_rows(atoms: list[Atom], concepts: dict[str, str]) -> Iterator[dict[str, str]]:
    for number, atom in enumerate(sorted(set(atoms), key=lambda a: (concepts[a.concept], a))):
        preferred = atom.language == "ENG" and atom.suppress == "N"
        yield {
            "CUI": concepts[atom.concept],
            "LAT": atom.language,
            "TS": "P" if preferred else "S",
            "LUI": f"L9{number:06d}",
            "STT": "PF",
            "SUI": f"S9{number:06d}",
            "ISPREF": "Y" if preferred else "N",
            "AUI": f"A9{number:06d}",
            "SCUI": atom.code,
            "SAB": atom.source,
            "TTY": atom.term_type,
            "CODE": atom.code,
            "STR": atom.name,
            "SRL": "0",
            "SUPPRESS": atom.suppress,
            "CVF": "256" if preferred else "",
        }


def _sat_rows(concepts: dict[str, str]) -> Iterator[dict[str, str]]:
    """Return the package codes of the drugs, and a few attributes that are none."""
    number = 0
    for position, drug in enumerate(codes.DRUGS.codes):
        digits = ndc_digits(drug.ndc)
        packages = [
            ("RXNORM", "NDC", digits, "N"),
            ("MTHSPL", "NDC", drug.ndc, "N"),
            ("VANDF", "NDC", f"0{digits}", "N"),
            ("RXNORM", "RXN_AVAILABLE_STRENGTH", drug.name.partition(" ")[2], "N"),
        ]
        if position % 3 == 0:
            packages.append(
                ("MTHSPL", "NDC", f"{ndc11(drug.ndc)[:6]}*{digits[6:9]}-{digits[9:]}", "N")
            )
        if position % 4 == 0:
            packages.append(("RXNORM", "NDC", f"99999{digits[5:]}", "O"))
        for source, name, value, suppress in packages:
            number += 1
            yield {
                "CUI": concepts[f"drug {drug.rxnorm}"],
                "STYPE": "AUI",
                "CODE": drug.rxnorm,
                "ATUI": f"AT9{number:06d}",
                "ATN": name,
                "SAB": source,
                "ATV": value,
                "SUPPRESS": suppress,
            }


def parents() -> dict[int, int]:
    """Return the broader diagnosis of each: the head of its family, and of that the first of its group.

    Keys and values are numbers of ``codes.DIAGNOSES.codes``.
    """
    start = codes.DIAGNOSES.start
    broader = {
        int(code): int(start[head])
        for head in range(len(codes.DIAGNOSES.heads))
        for code in range(start[head] + 1, start[head + 1])
    }
    for name, heads in codes.DIAGNOSES.groups.items():
        if name not in ("background", "admission"):  # these have nothing in common
            broader |= {int(start[head]): int(start[heads[0]]) for head in heads[1:]}
    return broader


def _relations() -> Iterator[Relation]:
    diagnoses = codes.DIAGNOSES
    for number, item in enumerate(diagnoses.codes):
        key, other = (_diagnosis_key(number, item, name) for name in ("ICD", "SNOMED"))
        if key != other:
            yield Relation(key, "RO", other, "mapped_to", "SNOMEDCT_US")
            yield Relation(other, "RO", key, "mapped_from", "SNOMEDCT_US")
    for child, parent in parents().items():
        keys = [_diagnosis_key(n, diagnoses.codes[n], "SNOMED") for n in (child, parent)]
        yield Relation(keys[0], "PAR", keys[1], "inverse_isa", "SNOMEDCT_US")
        yield Relation(keys[1], "CHD", keys[0], "isa", "SNOMEDCT_US")
    for drug in codes.DRUGS.codes:
        key, ingredient = f"drug {drug.rxnorm}", f"ingredient {drug.name.split(' ')[0]}"
        yield Relation(key, "RO", ingredient, "ingredient_of", "RXNORM")
        yield Relation(ingredient, "RO", key, "has_ingredient", "RXNORM")


def _rel_rows(concepts: dict[str, str]) -> Iterator[dict[str, str]]:
    unique = dict.fromkeys(_relations())
    related = [r for r in unique if r.first in concepts and r.second in concepts]
    for number, relation in enumerate(related):
        yield {
            "CUI1": concepts[relation.first],
            "STYPE1": "CUI",
            "REL": relation.relation,
            "CUI2": concepts[relation.second],
            "STYPE2": "CUI",
            "RELA": relation.kind,
            "RUI": f"R9{number:06d}",
            "SAB": relation.source,
            "SL": relation.source,
            "SUPPRESS": "N",
        }


def _column_rows(tables: dict[str, pa.Table]) -> Iterator[dict[str, str]]:
    for file, names in COLUMNS.items():
        for name in names:
            values = tables[file][name].to_pylist() if file in tables else [""]
            sizes = [len(value) for value in values]
            yield {
                "COL": name,
                "DES": f"{name} of {file}",
                "MIN": str(min(sizes)),
                "AV": f"{sum(sizes) / len(sizes):.2f}",
                "MAX": str(max(sizes)),
                "FIL": file,
                "DTY": f"varchar({max(*sizes, 1)})",
            }


def _file_rows(tables: dict[str, pa.Table]) -> Iterator[dict[str, str]]:
    for file, names in COLUMNS.items():
        table = tables.get(file)
        rows = len(COLUMNS) if table is None else table.num_rows
        size = 0 if table is None else _size(table)
        yield {
            "FIL": file,
            "DES": DESCRIPTIONS[file],
            "FMT": ",".join(names),
            "CLS": str(len(names)),
            "RWS": str(rows),
            "BTS": str(size),
        }


def _size(table: pa.Table) -> int:
    """Return the bytes of a table as text: each value, a pipe after it, a line end."""
    text = sum(len(value.encode()) for column in table.columns for value in column.to_pylist())
    return text + table.num_rows * (table.num_columns + 1)
