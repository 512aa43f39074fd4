"""Write the table of docs/simulation.md that compares a simulated site with published figures.

python docs/make_realism.py STORAGE

STORAGE is what `kedro run --env=study --pipelines=cohort,preprocess,split,vocab,ehrshot_read,umls_mapping`
has left. The folder of the real benchmark, where somebody has it, can be measured in the same way.
"""

import sys
from pathlib import Path

import duckdb

PAGE = Path(__file__).with_name("simulation.md")
BEGIN, END = "<!-- realism: made by docs/make_realism.py -->\n", "<!-- end -->\n"
# What is published, with the number of its source on the page.
PUBLISHED = {
    "patients": "6,739 [1]",
    "events a patient, mean": "6,182 [1]",
    "events a patient, median": "2,592 [1]",
    "events a patient, mean / median": "2.39 [1]",
    "visits a patient, mean": "136.7 [1]",
    "visits a patient, median": "58 [1]",
    "visits a patient, mean / median": "2.36 [1]",
    "inpatient visits for each 100 outpatient visits": "12.3 [1]",
    "emergency visits for each 100 outpatient visits": "2.9 [1]",
    "years from first to last visit, mean": "8.6 [1]",
    "years from first to last visit, median": "7.8 [1]",
    "patients with a labelled hospital stay": "57 % [2]",
    "labelled stays of such a patient": "1.8 [2]",
    "distinct codes a patient, mean": "237 of 1,364 events, all of Stanford [3]",
    "distinct codes of the site": "39,811 tokens, all of Stanford [3]",
    "codes that occur once": "",
    "diagnosis codes that make up 80 % of the diagnoses": "12.5 % [4]",
    "drug codes that make up 80 % of the prescriptions": "11.8 % [4]",
    "events that get a token of the hospital's vocabulary": "",
    "tokens a patient, mean": "",
    "guo_los": "25.3 % [2]",
    "guo_readmission": "13.0 % [2]",
    "guo_icu": "4.5 % [2]",
    "lab_thrombocytopenia": "33.2 % [2]",
    "lab_hyperkalemia": "2.4 % [2]",
    "lab_hypoglycemia": "1.5 % [2]",
    "lab_hyponatremia": "28.5 % [2]",
    "lab_anemia": "68.9 % [2]",
    "new_hypertension": "13.7 % [2]",
    "new_hyperlipidemia": "12.7 % [2]",
    "new_pancan": "3.8 % [2]",
    "new_celiac": "1.3 % [2]",
    "new_lupus": "2.2 % [2]",
    "new_acutemi": "6.8 % [2]",
    "chexpert": "65.4 % [5]",
}


def main(storage: Path) -> None:
    """Write the table into the page."""
    rows = measured(storage)
    lines = [f"| {name} | {rows[name]} | {PUBLISHED[name] or 'not found'} |" for name in PUBLISHED]
    table = "\n".join(["| | simulated | published |", "|---|---|---|", *lines]) + "\n"
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + table + END + rest.split(END)[1], encoding="utf-8")


def measured(storage: Path) -> dict[str, str]:
    """Return what each row of the table is at the site of a storage."""
    site = storage / "01_raw" / "EHRSHOT_ASSETS"
    database = duckdb.connect()
    database.execute(
        "CREATE TABLE events AS SELECT patient_id, strptime(start, '%Y-%m-%d %H:%M:%S') AS start, "
        "code, omop_table FROM read_csv(?, all_varchar = true)",
        [f"{site}/data/*.csv"],
    )
    rows = timelines(database) | use_of_codes(database)
    rows |= tokens(database, storage / "04_feature" / "code_translations.parquet")
    return rows | prevalences(database, site / "benchmark")


def timelines(database: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return how many patients, events, visits and years there are."""
    patients, events, middle = database.sql(
        "SELECT count(*), mean(n), median(n) FROM (SELECT count(*) AS n FROM events GROUP BY patient_id)"
    ).fetchone()
    visits, usual, years, half = database.sql(
        "SELECT mean(n), median(n), mean(days) / 365.25, median(days) / 365.25 FROM (SELECT count(*) "
        "AS n, date_diff('day', min(start), max(start)) AS days FROM events "
        "WHERE starts_with(code, 'Visit/') GROUP BY patient_id)"
    ).fetchone()
    inside, urgent = database.sql(
        "SELECT 100 * count(*) FILTER (code = 'Visit/IP') / outside, "
        "100 * count(*) FILTER (code = 'Visit/ER') / outside FROM events, (SELECT count(*) AS outside "
        "FROM events WHERE code = 'Visit/OP') GROUP BY outside"
    ).fetchone()
    return {
        "patients": f"{patients:,}",
        "events a patient, mean": f"{events:,.0f}",
        "events a patient, median": f"{middle:,.0f}",
        "events a patient, mean / median": f"{events / middle:.2f}",
        "visits a patient, mean": f"{visits:.1f}",
        "visits a patient, median": f"{usual:.0f}",
        "visits a patient, mean / median": f"{visits / usual:.2f}",
        "inpatient visits for each 100 outpatient visits": f"{inside:.1f}",
        "emergency visits for each 100 outpatient visits": f"{urgent:.1f}",
        "years from first to last visit, mean": f"{years:.1f}",
        "years from first to last visit, median": f"{half:.1f}",
    }


def use_of_codes(database: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return how many codes there are, and how unevenly they are used."""
    own, total = database.sql(
        "SELECT mean(n), mean(events) FROM (SELECT count(DISTINCT code) AS n, count(*) AS events "
        "FROM events GROUP BY patient_id)"
    ).fetchone()
    codes, once = database.sql(
        "SELECT count(*), 100 * mean((n = 1)::INT) FROM (SELECT count(*) AS n FROM events GROUP BY code)"
    ).fetchone()
    share = {
        table: database.execute(
            "SELECT 100 * mean((running - n < 0.8 * total)::INT) FROM (SELECT n, sum(n) OVER (ORDER BY "
            "n DESC, code) AS running, sum(n) OVER () AS total FROM (SELECT code, count(*) AS n "
            "FROM events WHERE omop_table = ? GROUP BY code))",
            [table],
        ).fetchone()[0]
        for table in ("condition_occurrence", "drug_exposure")
    }
    return {
        "distinct codes a patient, mean": f"{own:.0f} of {total:,.0f} events",
        "distinct codes of the site": f"{codes:,}",
        "codes that occur once": f"{once:.1f} %",
        "diagnosis codes that make up 80 % of the diagnoses": f"{share['condition_occurrence']:.1f} %",
        "drug codes that make up 80 % of the prescriptions": f"{share['drug_exposure']:.1f} %",
    }


def tokens(database: duckdb.DuckDBPyConnection, translations: Path) -> dict[str, str]:
    """Return how much of the events a model of the hospital can read."""
    share, mean = database.execute(
        "SELECT 100 * mean(found), sum(found) / count(DISTINCT patient_id) FROM (SELECT patient_id, "
        "(code IN (SELECT source_system || '/' || source_code FROM read_parquet(?)))::INT AS found "
        "FROM events)",
        [str(translations)],
    ).fetchone()
    return {
        "events that get a token of the hospital's vocabulary": f"{share:.1f} %",
        "tokens a patient, mean": f"{mean:,.0f}",
    }


def prevalences(database: duckdb.DuckDBPyConnection, benchmark: Path) -> dict[str, str]:
    """Return the share of positive labels of each task, and who has a labelled stay."""
    rows = {}
    for folder in sorted(benchmark.iterdir()):
        labels = f"read_csv('{folder}/labeled_patients.csv', all_varchar = true)"
        positive = f"SELECT 100 * mean((value NOT IN ('False', '0'))::INT) FROM {labels}"
        rows[folder.name] = f"{database.sql(positive).fetchone()[0]:.1f} %"
    stays, who, everyone = database.sql(
        "SELECT count(*), count(DISTINCT patient_id), (SELECT count(DISTINCT patient_id) FROM events) "
        f"FROM read_csv('{benchmark}/guo_los/labeled_patients.csv', all_varchar = true)"
    ).fetchone()
    return rows | {
        "patients with a labelled hospital stay": f"{100 * who / everyone:.0f} %",
        "labelled stays of such a patient": f"{stays / who:.1f}",
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
