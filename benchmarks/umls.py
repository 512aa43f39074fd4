"""Convert a generated UMLS release of a given size: time and peak memory.

    python benchmarks/umls.py --rows 17000000 --folder /tmp/umls-benchmark

MRCONSO has 17 million rows in the full release of 2024AB. The rows are made up, with the lengths,
sources, languages and suppression of real ones. Conversion runs in a process of its own, whose peak
resident memory is reported.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path

import duckdb
import pyarrow as pa
from kedro_datasets.ibis import FileDataset
from timing import peak_gib

from clm_ler.datasets.rrf import MRFILES_COLUMNS, RRFDataset
from clm_ler.terminology.umls import concept_codes, drug_codes

# MRCONSO and MRSAT column by column; `n` is the row, `c` its concept, columns left empty are ''.
CONSO = {
    "CUI": "format('C{:07d}', c)",
    "LAT": "CASE WHEN n % 10 < 7 THEN 'ENG' WHEN n % 10 < 9 THEN 'SPA' ELSE 'FRE' END",
    "TS": "'P'",
    "LUI": "format('L{:08d}', n // 2)",
    "STT": "'PF'",
    "SUI": "format('S{:08d}', n)",
    "ISPREF": "'Y'",
    "AUI": "format('A{:08d}', n)",
    "SAUI": "''",
    "SCUI": "''",
    "SDUI": "''",
    "SAB": "['SNOMEDCT_US', 'ICD10CM', 'RXNORM', 'LNC', 'MTHSPL', 'MSH', 'NCI'][c % 7 + 1]",
    "TTY": "'PT'",
    "CODE": "format('{:09d}', c * 3 + n % 2)",
    "STR": """format('Finding of the "generated" kind, number {:08d}', n)""",
    "SRL": "'0'",
    "SUPPRESS": "CASE WHEN hash(n) % 100 < 82 THEN 'N' WHEN hash(n) % 3 < 2 THEN 'O' ELSE 'Y' END",
    "CVF": "''",
}
SAT = {
    "CUI": "format('C{:07d}', c)",
    "LUI": "''",
    "SUI": "''",
    "METAUI": "format('A{:08d}', n)",
    "STYPE": "'AUI'",
    "CODE": "format('{:09d}', n)",
    "ATUI": "format('AT{:09d}', n)",
    "SATUI": "''",
    "ATN": "CASE WHEN n % 10 = 0 THEN 'NDC' ELSE 'LOINC_COMPONENT' END",
    "SAB": "['RXNORM', 'MTHSPL', 'VANDF'][n % 3 + 1]",
    "ATV": "format('{:05d}-{:04d}-{:02d}', c % 100000, n % 10000, n % 100)",
    "SUPPRESS": "CASE WHEN hash(n) % 10 = 0 THEN 'O' ELSE 'N' END",
    "CVF": "''",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=17_000_000, help="of MRCONSO and of MRSAT each")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--memory-limit", default="2GB", help="of DuckDB")
    arguments = parser.parse_args()
    began = time.perf_counter()
    write_release(arguments.folder, arguments.rows)
    print(f"generated in {time.perf_counter() - began:.0f} s", flush=True)
    spawn = multiprocessing.get_context("spawn")
    for file in ("MRCONSO", "MRSAT"):
        # A process for each, because the peak of a process never falls.
        with spawn.Pool(1) as pool:
            result = pool.apply(convert, (arguments.folder, file, arguments.memory_limit))
        print(json.dumps({"rows": arguments.rows} | result), flush=True)


def write_release(folder: Path, rows: int) -> None:
    """Write MRFILES, MRCONSO and MRSAT; 17 million rows stand for 4.4 million concepts."""
    files = {"MRCONSO.RRF": CONSO, "MRSAT.RRF": SAT}
    listing = {"FIL": [*files], "FMT": [",".join(columns) for columns in files.values()]}
    columns = {name: listing.get(name, ["", ""]) for name in MRFILES_COLUMNS}
    RRFDataset(filepath=str(folder / "MRFILES.RRF")).save(pa.table(columns))
    for file, values in files.items():
        fields = ", ".join(f"{value} AS {name}" for name, value in values.items())
        duckdb.sql(
            f"""
            COPY (
                SELECT {fields}, '' AS line_end
                FROM (SELECT range AS n, (hash(range) % 4400000)::BIGINT AS c FROM range({rows}))
            ) TO '{folder / file}' (FORMAT csv, HEADER false, DELIMITER '|', QUOTE '', ESCAPE '')
            """
        )


def convert(folder: Path, file: str, memory_limit: str) -> dict[str, object]:
    """Convert one file as the pipeline does; return time, rows kept and peak memory."""
    connection = {
        "backend": "duckdb",
        "database": ":memory:",
        "memory_limit": memory_limit,
        "temp_directory": str(folder / "tmp"),
    }
    wanted = {
        "MRCONSO": ["CUI", "LAT", "SAB", "CODE", "SUPPRESS"],
        "MRSAT": ["CUI", "SAB", "ATN", "ATV", "SUPPRESS"],
    }[file]
    source = folder / f"{file}.RRF"
    raw = RRFDataset(filepath=str(source), columns=wanted, connection=connection)
    target = FileDataset(filepath=str(folder / f"{file}.parquet"), connection=connection)
    began = time.perf_counter()
    table = raw.load()
    if file == "MRCONSO":
        target.save(concept_codes(table, ["ENG"], suppressed=False))
    else:
        target.save(drug_codes(table, ["RXNORM", "MTHSPL"], suppressed=False))
    return {
        "file": file,
        "gigabytes": round(source.stat().st_size / 1e9, 2),
        "seconds": round(time.perf_counter() - began, 1),
        "kept": target.load().count().to_pyarrow().as_py(),
        "peak_rss_gib": round(peak_gib(), 2),
    }


if __name__ == "__main__":
    main()
