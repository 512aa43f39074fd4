"""Nasty values in every column of every door, and in every function: both engines read the same rows.

Spark only reads; what follows is DuckDB's on both. `make attack` draws more tables.
"""

import json
import os
import re
from collections import Counter
from datetime import datetime
from random import Random

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clm_ler.corridor.options import PreprocessOptions
from clm_ler.corridor.selection import select_rows
from clm_ler.datasets.fhir import FhirDataset
from clm_ler.datasets.folder_query import FolderQueryDataset, _columns_by_table
from clm_ler.engines.expressions import parse_expression, parse_query
from clm_ler.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS
from clm_ler.tables import fhir
from clm_ler.tables.sources import TableSource, select
from tests.attack.crash import ROOT
from tests.attack.expressions import ALIKE, UNLIKE
from tests.pipelines.preprocess.site import handed_over, rows

pytestmark = [pytest.mark.spark, pytest.mark.slow]

SECONDS = int(os.environ.get("ATTACK_SECONDS", "0"))
seeds = pytest.mark.parametrize("seed", range(1 + SECONDS // 30))  # of 18 tables each
few_seeds = pytest.mark.parametrize("seed", range(1 + SECONDS // 600))
long = pytest.mark.skipif(not SECONDS, reason="Spark takes a minute for its queries")
ROWS = 200
NUMBERS = ("7", "007", "-7.50", "7.0", "+.5", "1e3", "1e999", "1_000", "1,5", "0x10", "1d", "NaN")
NUMBERS += ("<0.02", "1-3", "٣", "9" * 25, "-0", "2147483648", "Infinity", "true")
DATES = ("2020-1-1", "2020-01", "1980", " 2020-05-03 ", "2020-02-30", "2020-05-03T10:00:00Z")
DATES += ("2020-05-03 10:00:00+02:00", "2020-05-03 24:00:00", "0001-01-01", "9999-12-31", "now")
DATES += ("2020-05-03 10:00:00.123456789", "20200503", "03.05.2020", "1582-10-10", "12:00")
TEXTS = ("", " ", "\t a\n", "ß", "ﬁ", "İ", "é", "e\u0301", "😀", "a//b", "LOINC//2345-7", "\\", "'")
TEXTS += ('"', "%", "_", "null", "NULL")
TEXTS += (
    "ICD-10-CM J45.901",
    "RxNorm:860975",
    "GENDER//F",
    "MEDS_BIRTH",
    "DIAGNOSIS//ICD//10//E119",
)
TEXTS += ("LAB//50912//mg/dL", "a\x1fb", "a" * 300)


def one_of(*values):
    """Mostly some values; else any text that is nasty, or made of any characters."""

    def draw(dice):
        if values and dice.random() < 0.6:
            return dice.choice(values)
        if dice.random() < 0.8:
            return dice.choice((None, *NUMBERS, *DATES, *TEXTS))
        return "".join(
            chr(dice.choice((dice.randint(1, 126), dice.randint(160, 55000)))) for _ in "abcd"
        )

    return draw


text, person = one_of(), one_of("1", "2", "3")


OWN = {"id": person, "day": text, "system": text, "code": text, "value": text, "unit": text}
OWN_TABLES = {
    "patient": ("day AS px_birth_date", "system AS px_gender", "to_date(code) AS other"),
    "procedure": (
        "CAST(day AS TIMESTAMP) AS date",
        "coalesce(nullif(system, ''), 'CPT') AS pr_procedure_code_type",
        "CAST(CAST(code AS INT) AS STRING) AS pr_procedure_code",
    ),
    "lab": (
        *("day AS date", "system AS lx_lab_code_type", "code AS lx_lab_code"),
        *("value AS lx_result_val", "unit AS lx_result_unit"),
    ),
}


def many(columns, seed):
    """Columns of values, all of one length."""
    dice = Random(seed)
    return {name: [draw(dice) for _ in range(ROWS)] for name, draw in columns.items()}


def parquet(path, columns):
    arrays = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    pq.write_table(pa.table(arrays), path)


def read_back(table):
    """The rows as Spark leaves them to DuckDB; dates as texts, for Python knows no year 0."""
    kept = handed_over(table)
    kinds = kept.schema().items()
    dates = {name: kept[name].cast("string") for name, kind in kinds if kind.is_temporal()}
    return rows(kept.mutate(dates))


def differences(read, spark):
    """The rows that only one engine reads, by table."""
    ours, theirs = read(ibis.duckdb.connect()), read(spark)
    assert any(ours.values())
    found = {name: Counter(map(repr, ours[name])) for name in ours}
    others = {name: Counter(map(repr, theirs[name])) for name in ours}
    return {
        name: (list(found[name] - others[name]), list(others[name] - found[name]))
        for name in ours
        if found[name] != others[name]
    }


@long
@seeds
def test_own_tables(seed, spark, tmp_path):
    path = tmp_path / "table.parquet"
    parquet(path, many(OWN, seed))
    options = PreprocessOptions(
        tables={
            name: {"select_expr": ("id AS person_id", *expressions)}
            for name, expressions in OWN_TABLES.items()
        },
        time_zone="Europe/Berlin",
    )

    def read(backend):
        raw = backend.read_parquet(path)
        return {name: read_back(select_rows(raw, options, name)) for name in OWN_TABLES}

    assert differences(read, spark) == {}


WHOLE = (0, 1, -1, 2, 7, 12, 31, 60, 255, 2**31 - 1, -(2**31), 2**53, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 0.5, -2.5, 1.005, 2.675, 1e-7, 1e22, 1e308, float("nan"), float("inf"))
FLOATS += (123456.789, 123456789.0, 1 / 3)
MOMENTS = ("2020-05-03 10:30:15.123456", "2020-02-29", "1969-12-31 23:59:59.999999", "0001-01-01")
MOMENTS += ("9998-12-31 23:59:59", "1582-10-10", "2021-01-31", "2016-01-03")
KINDS = {"t": pa.string(), "n": pa.float64(), "i": pa.int64(), "s": pa.timestamp("us")}
KINDS |= {"d": pa.date32()}
SECOND = {"u": "t", "m": "n", "j": "i", "k": "i", "q": "s", "e": "d"}


def values_of(name, dice):
    """Nasty values of a column of the expressions."""
    kind, of = KINDS[SECOND.get(name, name)], SECOND.get(name, name)
    draw = {"t": text, "n": lambda dice: dice.choice(FLOATS), "i": lambda dice: dice.choice(WHOLE)}
    draw |= dict.fromkeys("sd", lambda dice: datetime.fromisoformat(dice.choice(MOMENTS)))
    given = [None if dice.random() < 0.1 else draw[of](dice) for _ in range(ROWS)]
    if name == "k":
        given = [number and max(-20, min(20, number)) for number in given]
    return pa.array(given, kind)


@pytest.mark.parametrize("expression", UNLIKE)
def test_what_engines_take_differently_is_refused(expression):
    with pytest.raises(ValueError, match="engines differ on"):
        parse_expression(expression, "x")


@long
@few_seeds
def test_expressions(seed, spark, tmp_path):
    dice, path = Random(seed), tmp_path / "table.parquet"
    columns = {name: values_of(name, dice) for name in (*KINDS, *SECOND)}
    pq.write_table(pa.table(columns | {"id": pa.array(range(ROWS))}), path)
    named = {f"x{number}": expression for number, expression in enumerate(ALIKE)}
    selected = ("id", *(f"{expression} AS {name}" for name, expression in named.items()))
    renames = {name: name for name in ("id", *named)}

    def read(backend):
        source = TableSource(select_expr=selected)
        rows = select(backend.read_parquet(path), source, renames, "x", time_zone="Europe/Berlin")
        back = read_back(rows.select(renames))
        by_column = zip(*sorted(back, key=lambda row: row[0]), strict=True)
        return dict(zip((*renames.values(),), by_column, strict=True))

    ours, theirs = read(ibis.duckdb.connect()), read(spark)
    different = [
        named[name]
        for name in named
        if list(map(repr, ours[name])) != list(map(repr, theirs[name]))
    ]
    assert different == []


# Columns of a door by what their values mostly are.
DOORS = {
    "omop": {
        "_id$": one_of("1", "2", "3", "4", "0", "4171756"),
        "^person_id$": person,
        "_date": one_of(*DATES),
        "of_birth$": one_of("1950", "7", "12.0", "31"),
        "^vocabulary_id$": one_of("ICD10CM", "LOINC", "RxNorm", "UCUM"),
        "value_as_number$": one_of(*NUMBERS),
    },
    "meds": {
        "^subject_id$": lambda dice: dice.choice((1, 2, 3, -1, 2**62)),
        "^time$": lambda dice: dice.choice((None, *map(datetime.fromisoformat, MOMENTS))),
        "^numeric_value$": lambda dice: dice.choice((None, None, *FLOATS)),
    },
}
UNIQUE = {"concept": "concept_id", "location": "location_id"}


def written(folder, queries, door, dice):
    """Write every table and column that the queries of a door read."""
    columns = {}
    for query in queries:
        for table, names in _columns_by_table(parse_query(query, "x")).items():
            columns.setdefault(table, set()).update(names)
    for table, names in columns.items():
        made = {}
        for name in sorted(names):
            draw = next((one for shape, one in DOORS[door].items() if re.search(shape, name)), text)
            made[name] = [draw(dice) for _ in range(ROWS)]
        if key := UNIQUE.get(table):
            made[key] = [str(number) for number in range(ROWS)]
        pq.write_table(pa.table(made), folder / f"{table}.parquet")


def number_or_text(rows):
    """The rows with a result as the number that it is, however it is written."""
    if "value" not in rows.columns:
        return rows
    number = (
        rows.value.cast("string").re_replace("^-?(inf|nan|Inf|Nan|NaN).*", "").try_cast("float64")
    )
    return rows.mutate(
        value=ibis.ifelse(number.isnull(), rows.value.cast("string"), number.cast("string"))
    )


@pytest.mark.parametrize("door", [*DOORS])
@seeds
def test_doors(door, seed, spark, tmp_path):
    root = {f"{name}_root": str(tmp_path) for name in ("cdm", "meds")}

    def entries(engine):
        loader = CONFIG_LOADER_CLASS(
            str(ROOT / "conf"),
            env=door,
            runtime_params=root | {"engine": engine},
            **CONFIG_LOADER_ARGS,
        )
        options = PreprocessOptions(**loader["parameters"]["preprocess"])
        catalog = loader["catalog"]
        return options, {name: dict(catalog[name]) for name in options.tables}

    queries = [entry["query"] for entry in entries("duckdb")[1].values()]
    written(tmp_path, queries, door, Random(seed))

    def read(backend):
        options, found = entries(backend.name)
        read = {}
        for name, entry in found.items():
            raw = FolderQueryDataset(
                **{k: v for k, v in entry.items() if k not in ("type", "metadata")}
            )
            kept = handed_over(select_rows(raw.load(), options, name))
            read[name] = read_back(number_or_text(kept))
        return read

    assert differences(read, spark) == {}


def concept_of(system, code):
    return {"coding": [{"system": system, "code": code}]}


def patient_of(dice):
    return {
        "id": person(dice),
        "birthDate": text(dice),
        "gender": text(dice),
        "address": [{"state": text(dice)}],
    }


def coded(dice):
    code = concept_of(text(dice), text(dice))
    return {"subject": {"reference": f"Patient/{person(dice)}"}, "code": code}


def condition_of(dice):
    return coded(dice) | {"onsetDateTime": text(dice)}


def observation_of(dice):
    value = {"value": dice.choice((0.1, 1e-7, 1e22, 7, -3)), "unit": text(dice), "code": text(dice)}
    result = {"valueQuantity": value} if dice.random() < 0.5 else {"valueString": text(dice)}
    return coded(dice) | {"status": text(dice), "effectiveDateTime": text(dice)} | result


RESOURCES = {"Patient": patient_of, "Condition": condition_of, "Observation": observation_of}


@seeds
def test_fhir(seed, spark, tmp_path):
    dice = Random(seed)
    for name, draw in RESOURCES.items():
        lines = [json.dumps({"resourceType": name} | draw(dice)) for _ in range(ROWS)]
        (tmp_path / f"{name}.ndjson").write_text("\n".join(lines) + "\n")

    def read(backend):
        of = {"backend": backend.name}
        patient, condition, observation = (
            FhirDataset(folder=str(tmp_path), resource=name, connection=of).load()
            for name in RESOURCES
        )
        made = {
            "patient": fhir.patients(patient),
            "diagnosis": fhir.diagnoses(condition, patient),
            "lab": fhir.results(observation, patient),
        }
        return {
            name: read_back(table.select(sorted(table.columns))) for name, table in made.items()
        }

    assert differences(read, spark) == {}
