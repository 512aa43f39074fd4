"""FHIR resources as a site's raw tables: who, when, which code, what result.

What did not happen (entered in error, refuted, not done, planned, cancelled) has ``happened`` false, and is
counted by the filter of the parameters. Dates stay texts: ``tables/sources.py`` reads them.
"""

from typing import Any

import ibis
import ibis.expr.types as ir

from clm_ler.terminology.fhir import RESOURCES

_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
# Statuses of what did not happen, or not yet; elsewhere only an error.
_NOT_SO = {
    "Condition": ("refuted",),
    "Observation": ("registered", "cancelled"),
    "DiagnosticReport": ("registered", "cancelled"),
    "Procedure": ("not-done", "preparation"),
    "Immunization": ("not-done",),
    "MedicationAdministration": ("not-done",),
    "MedicationRequest": ("draft", "cancelled"),
    "MedicationStatement": ("not-taken",),
    "Encounter": ("planned", "cancelled"),
}
_ERROR = "entered-in-error"
_INTENDED = ("proposal", "plan")  # of a MedicationRequest: nobody has ordered it

Fields = Any  # a table or a struct: fields by name


def patients(patient: ir.Table) -> ir.Table:
    """Return one row per Patient, with the categories of US Core."""
    return patient.select(
        "id",
        birth_date=patient.birthDate,
        gender=patient.gender,
        race=_us_core(patient, "race"),
        ethnicity=_us_core(patient, "ethnicity"),
        region=patient.address[0].state,
    )


def diagnoses(condition: ir.Table | None, patient: ir.Table) -> ir.Table:
    """Return Conditions when they were recorded, and deaths."""
    rows = _resources("Condition", condition)
    status = rows.verificationStatus.coding[0].code
    conditions = _codes(
        rows,
        "Condition",
        ibis.coalesce(rows.recordedDate, rows.onsetDateTime, rows.onsetPeriod.start),
        rows.code,
        status,
    )
    dead = patient.filter(patient.deceasedDateTime.notnull())
    deaths = dead.select(
        patient=dead.id,
        date=dead.deceasedDateTime,
        system=ibis.literal("FHIR"),
        code=ibis.literal("DEATH"),
        happened=ibis.literal(True),
    )
    return conditions.union(deaths)


def prescriptions(
    request: ir.Table | None,
    statement: ir.Table | None,
    administration: ir.Table | None,
    immunization: ir.Table | None,
    medication: ir.Table | None,
) -> ir.Table:
    """Return what was ordered, stated, given and vaccinated."""
    ordered = _resources("MedicationRequest", request)
    tables = [_medications(ordered, "MedicationRequest", ordered.authoredOn, medication)]
    for name, table in (
        ("MedicationStatement", statement),
        ("MedicationAdministration", administration),
    ):
        rows = _resources(name, table)
        tables.append(_medications(rows, name, _effective(rows), medication))
    shots = _resources("Immunization", immunization).rename(subject="patient")
    time = shots.occurrenceDateTime.coalesce(shots.occurrenceString)
    return ibis.union(*tables, _codes(shots, "Immunization", time, shots.vaccineCode))


def procedures(
    procedure: ir.Table | None,
    encounter: ir.Table | None,
    report: ir.Table | None,
    observation: ir.Table | None,
) -> ir.Table:
    """Return procedures, classes of encounters, reports, and observations without a result."""
    done, met = _resources("Procedure", procedure), _resources("Encounter", encounter)
    told, seen = _resources("DiagnosticReport", report), _resources("Observation", observation)
    time = done.performedDateTime.coalesce(done.performedPeriod.start)
    visits = met.select(
        patient=_id_of(met.subject),
        date=met.period.start,
        system=met["class"].system,
        code=met["class"].code,
        happened=_happened("Encounter", met.status),
    )
    bare = seen.filter(_value(seen).isnull(), seen.dataAbsentReason.isnull())
    bare = bare.filter((bare.component.length() == 0).fill_null(True))
    return ibis.union(
        _codes(done, "Procedure", time, done.code),
        visits,
        _codes(told, "DiagnosticReport", _effective(told), told.code),
        _codes(bare, "Observation", _observed(bare), bare.code),
    )


def results(observation: ir.Table | None) -> ir.Table:
    """Return the results of Observations, and those of their components."""
    rows = _resources("Observation", observation)
    common = {
        "patient": _id_of(rows.subject),
        "date": _observed(rows),
        "happened": _happened("Observation", rows.status),
    }
    own = rows.select(**common, **_result(rows))
    parts = rows.select(**common, part=rows.component.unnest())
    parts = parts.select("patient", "date", "happened", **_result(parts.part))
    found = own.union(parts)
    return found.filter(found.value.notnull())


def _resources(name: str, table: ir.Table | None) -> ir.Table:
    return ibis.memtable([], schema=RESOURCES[name]) if table is None else table


def _codes(
    rows: ir.Table,
    resource: str,
    date: ir.StringValue,
    concept: ir.StructValue,
    status: ir.StringValue | None = None,
) -> ir.Table:
    coding = _coding(concept)
    status = rows.status if status is None else status
    return rows.select(
        patient=_id_of(rows.subject),
        date=date,
        system=coding.system,
        code=coding.code,
        happened=_happened(resource, status),
    )


def _medications(
    rows: ir.Table, resource: str, date: ir.StringValue, medication: ir.Table | None
) -> ir.Table:
    """Return codes of medications that are named, contained, or resources of their own."""
    reference = rows.medicationReference.reference
    inner = rows.contained.filter(lambda one: ibis.literal("#").concat(one.id) == reference)
    known = _resources("Medication", medication).select(medication_id="id", known_code="code")
    own = _coding(rows.medicationCodeableConcept)
    contained = _coding(inner[0].code)
    named = rows.mutate(
        date=date,
        own_system=own.system.coalesce(contained.system),
        own_code=own.code.coalesce(contained.code),
        known_id=_id_of(rows.medicationReference),
    )
    joined = named.left_join(known, named.known_id == known.medication_id)
    other = _coding(joined.known_code)
    happened = _happened(resource, joined.status)
    if "intent" in rows.columns:
        happened &= joined.intent.notin(_INTENDED).fill_null(True)
    return joined.select(
        patient=_id_of(joined.subject),
        date=joined.date,
        system=joined.own_system.coalesce(other.system),
        code=joined.own_code.coalesce(other.code),
        happened=happened,
    )


def _coding(concept: ir.StructValue) -> ir.StructValue:
    """Return the first coding that has a system and a code."""
    return concept.coding.filter(lambda one: one.system.notnull() & one.code.notnull())[0]


def _id_of(reference: ir.StructValue) -> ir.StringValue:
    """Return the id that a reference names: ``Patient/1``, an address, ``urn:uuid:``, a version."""
    text = reference.reference.re_replace("/_history/.*$", "").re_replace("^urn:(uuid|oid):", "")
    return text.re_replace("^.*/", "").nullif("")


def _happened(resource: str, status: ir.StringValue) -> ir.BooleanValue:
    return status.notin((_ERROR, *_NOT_SO[resource])).fill_null(True)


def _effective(rows: ir.Table) -> ir.StringValue:
    return rows.effectiveDateTime.coalesce(rows.effectivePeriod.start)


def _observed(rows: ir.Table) -> ir.StringValue:
    return _effective(rows).coalesce(rows.issued)


def _result(fields: Fields) -> dict[str, ir.Value]:
    coding, quantity = _coding(fields["code"]), fields["valueQuantity"]
    low = fields["valueRange"].low
    return {
        "system": coding.system,
        "code": coding.code,
        "value": _value(fields),
        "unit": ibis.coalesce(quantity.code, quantity.unit, low.code, low.unit),
    }


def _value(fields: Fields) -> ir.StringValue:
    """Return a result of any kind as text: ``<5``, ``1-3``, a word."""
    quantity, concept = fields["valueQuantity"], fields["valueCodeableConcept"]
    span, ratio = fields["valueRange"], fields["valueRatio"]
    return ibis.coalesce(
        quantity.comparator.fill_null("").concat(quantity.value),
        concept.coding[0].display,
        concept.text,
        concept.coding[0].code,
        fields["valueString"],
        fields["valueBoolean"],
        fields["valueInteger"],
        span.low.value.concat("-", span.high.value),
        ratio.numerator.value.concat("/", ratio.denominator.value),
        fields["valueTime"],
        fields["valueDateTime"],
    )


def _us_core(patient: ir.Table, name: str) -> ir.StringValue:
    """Return the category of an extension of US Core, else its text."""
    parts = patient.extension.filter(lambda one: one.url == _CORE + name)[0].extension
    category = parts.filter(lambda one: one.url == "ombCategory")[0].valueCoding.display
    return category.coalesce(parts.filter(lambda one: one.url == "text")[0].valueString)
