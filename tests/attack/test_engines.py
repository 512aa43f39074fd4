"""Nasty values in every column of every door: both engines read the same rows.

Spark only reads; what follows is DuckDB's on both. `make attack` draws more tables, as many as the time allows.
"""

import json
import os

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from clm_ler.corridor.nodes import select_rows
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.datasets.fhir import FhirDataset
from clm_ler.datasets.folder_query import FolderQueryDataset
from clm_ler.tables import fhir
from tests.attack.crash import ROOT
from tests.pipelines.preprocess.site import rows

pytestmark = [pytest.mark.spark, pytest.mark.slow]

SECONDS_PER_DRAW = 40
SECONDS = int(os.environ.get("ATTACK_SECONDS", "0"))
DRAWS = max(1, SECONDS // SECONDS_PER_DRAW // 3)
long = pytest.mark.skipif(not SECONDS, reason="Spark takes a minute for its queries")
ROWS = 40
NUMBERS = ("7", "007", "-7.50", "7.0", "+.5", "1e3", "1e999", "1_000", "1,5", "0x10", "1d", "NaN")
NUMBERS += ("<0.02", "1-3", "٣", "9" * 25, "-0", "2147483648", "Infinity", "true")
DATES = ("2020-1-1", "2020-01", "1980", " 2020-05-03 ", "2020-02-30", "2020-05-03T10:00:00Z")
DATES += ("2020-05-03 10:00:00+02:00", "2020-05-03 24:00:00", "0001-01-01", "9999-12-31", "now")
DATES += ("2020-05-03 10:00:00.123456789", "20200503", "03.05.2020", "1582-10-10", "12:00")
TEXTS = (
    "",
    " ",
    "\t a\n",
    "ß",
    "ﬁ",
    "İ",
    "é",
    "e\u0301",
    "😀",
    "a//b",
    "LOINC//2345-7",
    "\\",
    "'",
    '"',
)
TEXTS += ("%", "_", "null", "NULL", "ICD-10-CM J45.901", "RxNorm:860975", "GENDER//F", "MEDS_BIRTH")
TEXTS += (
    "DIAGNOSIS//ICD//10//E119",
    "LAB//50912//mg/dL",
    "a\x00b".replace("\x00", "\x1f"),
    "a" * 300,
)
text = st.one_of(
    st.sampled_from((None, *NUMBERS, *DATES, *TEXTS)),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
)
person = st.one_of(st.sampled_from(("1", "2", "3")), text)
concept = st.one_of(st.sampled_from(("11", "12", "13")), text)
number = st.one_of(
    st.none(), st.floats(width=32, allow_subnormal=False), st.integers(-9, 9).map(float)
)
moment = st.one_of(st.none(), st.datetimes(min_value=pa.scalar(0, pa.timestamp("us")).as_py()))

OWN = {"id": person, "day": text, "system": text, "code": text, "value": text, "unit": text}
OWN_TABLES = {
    "patient": ("day AS px_birth_date", "system AS px_gender", "to_date(code) AS other"),
    "diagnosis": (
        "TO_TIMESTAMP(day, 'yyyy-MM-dd HH:mm:ss') AS date",
        "upper(trim(split(system, ' ')[0])) AS dx_diagnosis_code_type",
        "regexp_replace(code, '[^A-Za-z0-9.]', '') AS dx_diagnosis_code",
    ),
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
OCCURRENCE = ("{}_concept_id", "{}_start_date", "{}_start_datetime", "{}_source_concept_id")
CDM = {
    "person": {
        "person_id": person,
        **dict.fromkeys(("year_of_birth", "month_of_birth", "day_of_birth"), text),
        **dict.fromkeys(("gender", "race", "ethnicity"), text),
        "birth_datetime": text,
        "location_id": concept,
    },
    "location": {"location_id": st.uuids().map(str), "state": text},
    "concept": {
        "concept_id": st.one_of(st.sampled_from(("11", "12", "13")), text),
        **dict.fromkeys(("concept_name", "vocabulary_id", "concept_code"), text),
    },
    "condition_occurrence": dict.fromkeys((part.format("condition") for part in OCCURRENCE), text),
    "death": {"death_date": text},
    "measurement": {
        **dict.fromkeys(("measurement_concept_id", "measurement_source_concept_id"), concept),
        **dict.fromkeys(("value_as_concept_id", "unit_concept_id"), concept),
        **dict.fromkeys(("measurement_date", "value_as_number", "value_source_value"), text),
        "unit_source_value": text,
    },
}
for kind in ("gender", "race", "ethnicity"):
    CDM["person"] |= {
        f"{kind}_concept_id": concept,
        f"{kind}_source_value": CDM["person"].pop(kind),
    }
for name in ("condition_occurrence", "death", "measurement"):
    CDM[name] = {"person_id": person} | CDM[name]
for name in ("condition_concept_id", "condition_source_concept_id"):
    CDM["condition_occurrence"][name] = concept
MEDS = {"subject_id": st.integers(-2, 3), "time": moment, "code": text, "numeric_value": number}
MEDS |= {"text_value": text, "unit": text}
MEDS_KINDS = {"subject_id": pa.int64(), "time": pa.timestamp("us"), "numeric_value": pa.float32()}


def many(columns):
    """Columns of values, all of one length."""
    row = st.tuples(*columns.values())
    made = st.lists(row, min_size=ROWS, max_size=ROWS)
    return made.map(lambda found: dict(zip(columns, zip(*found, strict=True), strict=True)))


def parquet(path, columns, kinds=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: pa.array(list(values), (kinds or {}).get(name, pa.string()))
        for name, values in columns.items()
    }
    pq.write_table(pa.table(arrays), path)


def nasty(**drawn):
    """A test on some draws, which a smaller draw would not make quicker to understand."""
    chosen = settings(
        max_examples=DRAWS,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: chosen(given(**drawn)(test))


def differences(read, spark):
    """The rows that only one engine reads, by table."""
    ours, theirs = read(ibis.duckdb.connect()), read(spark)
    assert all(ours.values())
    return {
        name: (only, others)
        for name in ours
        if (only := [row for row in ours[name] if row not in theirs[name]])
        + (others := [row for row in theirs[name] if row not in ours[name]])
        or len(ours[name]) != len(theirs[name])
    }


@long
@nasty(table=many(OWN))
def test_own_tables(table, spark, tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "table.parquet"
    parquet(path, table)
    options = PreprocessOptions(
        tables={
            name: {"select_expr": ("id AS person_id", *expressions)}
            for name, expressions in OWN_TABLES.items()
        },
        time_zone="Europe/Berlin",
    )

    def read(backend):
        raw = backend.read_parquet(path)
        return {name: rows(select_rows(raw, options, name)) for name in OWN_TABLES}

    assert differences(read, spark) == {}


@pytest.fixture(scope="module")
def entries():
    """The queries of an environment's catalog."""
    bootstrap_project(ROOT)

    def of(env, **parameters):
        with KedroSession.create(ROOT, env=env, runtime_params=parameters) as session:
            found = session.load_context().config_loader["catalog"]
        return {
            name: found[name]
            for name in ("patient", "diagnosis", "procedure", "lab")
            if name in found
        }

    return of


def queries(catalog, folder, backend):
    """What the queries read of a folder, by name."""
    made = {}
    for name, entry in catalog.items():
        if not entry["type"].endswith("FolderQueryDataset"):
            continue
        given = {key: entry[key] for key in ("query", "optional", "time_zone") if key in entry}
        of = FolderQueryDataset(folder=str(folder), connection={"backend": backend.name}, **given)
        made[name] = rows(of.load())
    return made


@long
@nasty(tables=st.fixed_dictionaries({name: many(columns) for name, columns in CDM.items()}))
def test_omop(tables, spark, entries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cdm")
    for name, columns in tables.items():
        parquet(folder / f"{name}.parquet", columns)
    catalog = entries("omop", cdm_root=str(folder))
    assert differences(lambda backend: queries(catalog, folder, backend), spark) == {}


@nasty(table=many(MEDS))
def test_meds(table, spark, entries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("meds")
    parquet(folder / "data" / "0.parquet", table, MEDS_KINDS)
    catalog = entries("meds", meds_root=str(folder))
    assert differences(lambda backend: queries(catalog, folder, backend), spark) == {}


def concept_of(system, code):
    return {"coding": [{"system": system, "code": code}]}


RESOURCES = {
    "Patient": st.fixed_dictionaries(
        {
            "id": person,
            "birthDate": text,
            "gender": text,
            "address": st.tuples(st.fixed_dictionaries({"state": text})),
        }
    ),
    "Condition": st.fixed_dictionaries(
        {
            "subject": person.map(lambda own: {"reference": f"Patient/{own}"}),
            "code": st.builds(concept_of, text, text),
            "onsetDateTime": text,
        }
    ),
    "Observation": st.fixed_dictionaries(
        {
            "status": text,
            "subject": person.map(lambda own: {"reference": f"Patient/{own}"}),
            "code": st.builds(concept_of, text, text),
            "effectiveDateTime": text,
            "valueQuantity": st.fixed_dictionaries(
                {
                    "value": st.integers(-9, 9) | st.sampled_from((0.1, 1e-7, 1e22, 7.25)),
                    "unit": text,
                    "code": text,
                }
            ),
            "valueString": text,
        }
    ),
}


@nasty(
    export=st.fixed_dictionaries(
        {name: st.lists(one, min_size=ROWS, max_size=ROWS) for name, one in RESOURCES.items()}
    )
)
def test_fhir(export, spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fhir")
    for name, resources in export.items():
        lines = [json.dumps({"resourceType": name} | resource) for resource in resources]
        (folder / f"{name}.ndjson").write_text("\n".join(lines) + "\n")

    def read(backend):
        of = {"backend": backend.name}
        patient, condition, observation = (
            FhirDataset(folder=str(folder), resource=name, connection=of).load()
            for name in RESOURCES
        )
        made = {
            "patient": fhir.patients(patient),
            "diagnosis": fhir.diagnoses(condition, patient),
            "lab": fhir.results(observation, patient),
        }
        return {name: rows(table.select(sorted(table.columns))) for name, table in made.items()}

    assert differences(read, spark) == {}
