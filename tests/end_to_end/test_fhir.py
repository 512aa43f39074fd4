"""A FHIR bulk export, through its door on both engines."""

import gzip
import json
from functools import partial

import pytest
from kedro.io import DatasetError

from clm_ler.datasets.fhir import FhirDataset
from clm_ler.datasets.fhir_resources import RESOURCES
from clm_ler.engines import engine_of
from clm_ler.tables import fhir
from tests.engines import both_engines
from tests.pipelines.preprocess.site import rows

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"


def concept(code, system=LOINC, display=None):
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [{"userSelected": True}, coding], "text": "words"}


def to(reference):
    return {"reference": reference}


def category(name, text):
    value = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": "x", "display": text}
    parts = [{"url": "ombCategory", "valueCoding": value}, {"url": "text", "valueString": "long"}]
    return {"url": CORE + name, "extension": parts}


def observation(code, subject="Patient/a-1", time="2020-01-03T08:00:00+01:00", **fields):
    # Lists and objects that nobody reads, as real exports have them.
    rest = {"category": [{"coding": []}], "meta": {"versionId": "1"}, "status": "final"}
    moment = {"effectiveDateTime": time}
    return rest | moment | {"code": concept(code), "subject": to(subject)} | fields


def quantity(value, **more):
    return {"valueQuantity": {"value": value, "unit": "mg/dl", "code": "mg/dL"} | more}


EXPORT = {
    "Patient": [
        {
            "id": "a-1",
            "birthDate": "1980-05",
            "gender": "female",
            "extension": [{"url": "x"}, category("race", "White"), category("ethnicity", "Not")],
            "address": [{"state": "NJ"}],
            "deceasedDateTime": "2021-02-03",
        },
        {"id": "b-2", "birthDate": "1990", "gender": "male"},
    ],
    "Condition": [
        {
            "code": concept("J45901", ICD),
            "subject": to("Patient/a-1"),
            "recordedDate": "2020-01-01",
        },
        {
            "code": concept("195967001", SNOMED),
            "subject": to("https://fhir.example/r4/Patient/a-1/_history/3"),
            "onsetDateTime": "2020-01",
        },
        {
            "code": concept("I10", ICD),
            "subject": to("urn:uuid:b-2"),
            "onsetPeriod": {"start": "2020-01-01"},
            "verificationStatus": {"coding": [{"code": "confirmed"}]},
        },
        {
            "code": concept("E119", ICD),
            "subject": to("Patient/a-1"),
            "recordedDate": "2020-01-01",
            "verificationStatus": {"coding": [{"code": "refuted"}]},
        },
        {
            "code": concept("E119", ICD),
            "subject": to("Patient/a-1"),
            "recordedDate": "2020-01-01",
            "verificationStatus": {"coding": [{"code": "local"}, {"code": "entered-in-error"}]},
        },
        {"code": concept("E119", ICD), "subject": {"identifier": {"value": "7"}}},
        {"code": concept("E119", ICD), "subject": to("Group/a-1"), "recordedDate": "2020-01-01"},
        {"code": {"text": "words only"}, "subject": to("Patient/a-1"), "recordedDate": "2020"},
        # Not of the file's type: counted.
        observation("2345-7", **quantity(1)) | {"resourceType": "Observation"},
    ],
    "MedicationRequest": [
        {
            "status": "active",
            "intent": "order",
            "authoredOn": "2020-01-02",
            "subject": to("Patient/a-1"),
            "medicationCodeableConcept": concept("314076", RXNORM),
        },
        {
            "status": "active",
            "intent": "plan",
            "authoredOn": "2020-01-02",
            "subject": to("Patient/a-1"),
            "medicationCodeableConcept": concept("1", RXNORM),
        },
        {
            "status": "active",
            "intent": "order",
            "doNotPerform": True,
            "authoredOn": "2020-01-02",
            "subject": to("Patient/a-1"),
            "medicationCodeableConcept": concept("1", RXNORM),
        },
        {
            "status": "completed",
            "intent": "order",
            "authoredOn": "2020-01-02",
            "subject": to("Patient/a-1"),
            "medicationReference": to("#m"),
            "contained": [{"resourceType": "Medication", "id": "m", "code": concept("2", RXNORM)}],
        },
    ],
    "MedicationAdministration": [
        {
            "status": "completed",
            "effectivePeriod": {"start": "2020-01-02T10:00:00Z"},
            "subject": to("Patient/a-1"),
            "medicationReference": to("Medication/m3"),
        },
        {
            "status": "not-done",
            "effectiveDateTime": "2020-01-02",
            "subject": to("Patient/a-1"),
            "medicationReference": to("Medication/m3"),
        },
    ],
    "Medication": [{"id": "m3", "code": concept("3", RXNORM)}] * 2,  # as an export has it again
    "Immunization": [
        {
            "status": "completed",
            "patient": to("Patient/b-2"),
            "vaccineCode": concept("140", "http://hl7.org/fhir/sid/cvx"),
            "occurrenceDateTime": "2020-02-01",
        }
    ],
    "Procedure": [
        {
            "status": "completed",
            "code": concept("83036", "http://www.ama-assn.org/go/cpt"),
            "subject": to("Patient/a-1"),
            "performedPeriod": {"start": "2020-01-02"},
        }
    ],
    "Encounter": [
        {
            "status": "finished",
            "class": {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "code": "AMB",
            },
            "subject": to("Patient/b-2"),
            "period": {"start": "2020-02-01T23:30:00-02:00"},
        }
    ],
    "Observation": [
        observation("2345-7", **quantity(90)),
        observation("2345-7", **quantity(100.5, comparator="<")),
        observation("2345-7", **quantity(110)),
        observation("2345-7", status="entered-in-error", **quantity(1)),
        observation("5802-4", valueCodeableConcept=concept("260385009", SNOMED, "Negative")),
        observation("5802-4", "Patient/b-2", valueString="not detected"),
        observation("9999-1", valueBoolean=True),
        observation("72166-2"),
        observation("72166-2", dataAbsentReason=concept("unknown")),
        observation(
            "85354-9",
            component=[
                {"code": concept("8480-6"), **quantity(120, unit="mmHg", code="mm[Hg]")},
                {"code": concept("8462-4"), **quantity(80, unit="mmHg", code="mm[Hg]")},
                {"code": concept("8888-8")},
                {"code": concept("2345-7"), "dataAbsentReason": concept("unknown")},
            ],
        ),
        observation("2345-7", "Device/a-1", **quantity(5)),
        observation("2345-7", "#contained", **quantity(7)),
    ],
}


@pytest.fixture
def export(tmp_path):
    """The export: names say nothing, one file is packed, a type has two files."""
    root = tmp_path / "export"
    root.mkdir()
    for number, (kind, resources) in enumerate(EXPORT.items()):
        lines = [json.dumps({"resourceType": kind} | one) + "\r\n\r\n" for one in resources]
        lines[0] = f"\n{lines[0]}"
        half = len(lines) // 2
        (root / f"{number}.ndjson").write_text("".join(lines[half:]))
        if half:
            packed = gzip.compress("".join(lines[:half]).encode())
            (root / f"{number}.b.ndjson.gz").write_bytes(packed)
    return root


TOKENS = {
    "a-1": [
        "AGE:39",
        "ETHNICITY:Not",
        "GENDER:female",
        "RACE:White",
        "REGION:NJ",
        "ICD10CM:J45.901",
        "SNOMED:195967001",
        "CPT:83036",
        "RXNORM:2",
        "RXNORM:314076",
        "RXNORM:3",
        "LOINC:2345-7:0-10",
        "LOINC:2345-7:40-50",
        "LOINC:2345-7:90-100",
        "LOINC:5802-4:NEGATIVE",
        "LOINC:72166-2",
        "LOINC:8462-4:90-100",
        "LOINC:8480-6:90-100",
        "LOINC:8888-8",
        "LOINC:9999-1:TRUE",
        "FHIR:DEATH",
    ],
    "b-2": [
        "AGE:30",
        "GENDER:male",
        "ICD10CM:I10",
        "ActCode:AMB",
        "CVX:140",
        "LOINC:5802-4:NEGATIVE",
    ],
}


def check(catalog):
    ids = catalog.load("person_ids").to_pyarrow().to_pylist()
    names = {row["person_id"]: row["own_id"] for row in ids}
    rows = catalog.load("sequences").to_pyarrow().to_pylist()
    found = {names[row["person_id"]]: sorted(row["sorted_event_tokens"]) for row in rows}
    assert found == {name: sorted(tokens) for name, tokens in TOKENS.items()}
    losses = catalog.load("loss_ledger").to_pyarrow().to_pylist()
    assert sorted((row["table"], row["reason"], row["rows"]) for row in losses) == [
        ("diagnosis", "filter_expr", 3),
        ("diagnosis", "no code", 1),
        ("diagnosis", "no person_id", 2),
        *[("lab", "filter_expr", 1)] * 3,
        ("lab", "no person_id", 1),
        ("lab", "person not in patient", 1),
        ("prescription", "filter_expr", 3),
    ]


def options(root, engine):
    return {
        "fhir_root": str(root),
        "engine": engine,
        "preprocess": {
            "number_of_days_threshold": 0,
            "min_history_size": 1,
            "min_loinc_counts": 1,
            "fit_on": "all",
            "results": {"text_min_persons": 1},
            "max_loss": {"read": 1.0},
        },
    }


def test_an_export_becomes_sequences(export, kedro_run, tmp_path):
    pipelines = ["fhir_read", "split", "preprocess"]
    check(kedro_run(tmp_path / "out", pipelines, "fhir", **options(export, "duckdb")))


@both_engines
@pytest.mark.parametrize("resource", RESOURCES)
def test_every_field_is_read_as_text_or_not_at_all(export, backend, resource):
    dataset = FhirDataset(
        folder=str(export), resource=resource, connection={"backend": backend.name}
    )
    if resource in EXPORT:
        table = dataset.load()
        assert table.schema() == RESOURCES[resource]
        assert table.count().to_pyarrow().as_py() == len(EXPORT[resource])
    else:
        assert not dataset.exists()


@both_engines
def test_results_of_every_kind_are_texts(export, backend):
    dataset = FhirDataset(
        folder=str(export), resource="Observation", connection={"backend": backend.name}
    )
    patient = FhirDataset(
        folder=str(export), resource="Patient", connection={"backend": backend.name}
    )
    found = fhir.results(dataset.load(), patient.load())
    assert engine_of(found).name == backend.name
    given = found.filter(found.value.notnull())
    assert sorted(given.value.to_pyarrow().to_pylist()) == sorted(
        ["90", "<100.5", "110", "1", "Negative", "not detected", "true", "120", "80", "7", "5"]
    )
    absent = found.filter(found.value.isnull()).happened.to_pyarrow().to_pylist()
    assert absent == [False, False]


@both_engines
@pytest.mark.parametrize(
    ("fields", "value", "unit"),
    [
        ({"valueRange": {"low": {"value": 1}, "high": {"value": 3, "unit": "g"}}}, "1-3", "g"),
        ({"valueRange": {"low": {"value": 5, "unit": "g"}}}, ">=5", "g"),
        ({"valueRange": {"high": {"value": 5, "unit": "g"}}}, "<=5", "g"),
        (
            {
                "valueRatio": {
                    "numerator": {"value": 1, "comparator": "<"},
                    "denominator": {"value": 128},
                }
            },
            "<1/128",
            None,
        ),
        ({"valuePeriod": {"start": "2020-01-01"}}, "2020-01-01/", None),
        ({"valueSampledData": {"data": "1 2 3"}}, "sampled data", None),
        (quantity(1, code="mg/dL", system="http://unitsofmeasure.org", unit="mg"), "1", "mg/dL"),
        (quantity(1, code="258797006", system=SNOMED, unit="mg/dL"), "1", "mg/dL"),
    ],
)
def test_a_result_of_each_form_and_its_unit(fields, value, unit, backend, tmp_path):
    one = {"resourceType": "Observation"} | observation("2345-7", **fields)
    one["effectiveInstant"] = one.pop("effectiveDateTime")
    (tmp_path / "o.ndjson").write_text(json.dumps(one) + "\n")
    connection = {"backend": backend.name}
    seen = FhirDataset(folder=str(tmp_path), resource="Observation", connection=connection).load()
    (row,) = fhir.results(seen, seen).to_pyarrow().to_pylist()
    assert (row["value"], row["unit"], row["date"]) == (value, unit, one["effectiveInstant"])


@pytest.mark.spark
def test_both_engines_make_the_same_tables(export, spark):
    made = []
    for backend in ("duckdb", spark.name):
        load = partial(_load, export, backend)
        patient, seen = load("Patient"), load("Observation")
        drugs = [load(f"Medication{kind}") for kind in ("Request", "Statement", "Administration")]
        tables = [
            fhir.patients(patient),
            fhir.diagnoses(load("Condition"), patient),
            fhir.prescriptions(*drugs, load("Immunization"), load("Medication"), patient),
            fhir.procedures(load("Procedure"), load("Encounter"), None, seen, patient),
            fhir.results(seen, patient),
            fhir.results(None, patient),
        ]
        made.append([rows(table.select(sorted(table.columns))) for table in tables])
    assert made[0] == made[1]
    assert [len(table) for table in made[0]] == [2, 10, 7, 4, 13, 0]


def _load(export, backend, resource):
    dataset = FhirDataset(folder=str(export), resource=resource, connection={"backend": backend})
    return dataset.load() if dataset.exists() else None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json}", "line 1: this is no FHIR resource"),
        ('{"a": 1}', "line 1: this is no FHIR resource"),
        ('\n\n{"a": 1}', "line 3: this is no FHIR resource"),
        ('\ufeff{"resourceType": "Patient"}', "x.ndjson begins with a byte order mark"),
        ('{"resourceType": "Bundle", "entry": []}', "x.ndjson is a Bundle: export"),
        ('{"resourceType": "MedicationOrder"}', "as in FHIR DSTU2; R4 is read"),
        ('{"resourceType": "MedicationRequest", "medication": {}}', "as in FHIR R5; R4 is read"),
    ],
)
def test_another_version_and_no_json_are_named(tmp_path, line, message):
    (tmp_path / "x.ndjson").write_text(line + "\n")
    with pytest.raises(DatasetError, match=message):
        FhirDataset(folder=str(tmp_path), resource="Patient").load()


@both_engines
def test_a_line_that_is_no_json_is_an_error_without_its_content(tmp_path, backend):
    text = '{"resourceType": "Patient", "id": "1"}\n{"secret\n'
    (tmp_path / "x.ndjson").write_text(text)
    dataset = FhirDataset(
        folder=str(tmp_path), resource="Patient", connection={"backend": backend.name}
    )
    engine_of(dataset.connection).configure("1GB", 1, str(tmp_path))
    with pytest.raises(Exception, match=r"x\.ndjson.*line 2|line 2.*x\.ndjson") as error:
        dataset.load().to_pyarrow()
    assert "secret" not in str(error.value)


def test_gzip_of_a_name_that_engines_do_not_know_is_refused(tmp_path):
    (tmp_path / "X.NDJSON.GZ").write_bytes(gzip.compress(b'{"resourceType": "Patient"}\n'))
    with pytest.raises(DatasetError, match=r"X.NDJSON.GZ: .* rename it"):
        FhirDataset(folder=str(tmp_path), resource="Patient").load()
