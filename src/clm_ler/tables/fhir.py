"""FHIR resources as a site's raw tables: who, when, which code, what result.

What did not happen (entered in error, refuted, not done, planned, cancelled) has ``happened`` false, and is
counted by the filter of the parameters. ``available`` is when it came to be known, where a resource says so. Dates
stay texts: ``tables/sources.py`` reads them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import ibis
import ibis.expr.types as ir

_UCUM = "http://unitsofmeasure.org"
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
    "MedicationStatement": ("not-taken", "intended"),
    "Encounter": ("planned", "cancelled"),
}
_ERROR = "entered-in-error"
_INTENDED = ("proposal", "plan", "option")  # of a MedicationRequest: nobody has ordered it

Fields = Any  # a table or a struct: fields by name


def patients(patient: ir.Table) -> ir.Table:
    """Return one row per Patient, with the categories of US Core."""
    patient = patient.filter(patient.resourceType == "Patient")
    return patient.select(
        "id",
        birth_date=patient.birthDate,
        gender=patient.gender,
        race=_us_core(patient, "race"),
        ethnicity=_us_core(patient, "ethnicity"),
        region=patient.address[0].state,
    )


def diagnoses(condition: ir.Table | None, patient: ir.Table) -> ir.Table:
    """Return Conditions, known when they were recorded, and deaths."""
    return _united(patient, (_deaths, patient), (_conditions, condition))


def prescriptions(
    request: ir.Table | None,
    statement: ir.Table | None,
    administration: ir.Table | None,
    immunization: ir.Table | None,
    medication: ir.Table | None,
    patient: ir.Table,
) -> ir.Table:
    """Return what was ordered, stated, given and vaccinated."""
    medications = partial(_medications, medication)
    return _united(
        patient,
        (partial(medications, "MedicationRequest"), request),
        (partial(medications, "MedicationStatement"), statement),
        (partial(medications, "MedicationAdministration"), administration),
        (_immunizations, immunization),
    )


def procedures(
    procedure: ir.Table | None,
    encounter: ir.Table | None,
    report: ir.Table | None,
    observation: ir.Table | None,
    patient: ir.Table,
) -> ir.Table:
    """Return procedures, classes of encounters, reports, and observations without a result."""
    return _united(
        patient,
        (_procedures, procedure),
        (_encounters, encounter),
        (_reports, report),
        (_bare_observations, observation),
    )


def results(observation: ir.Table | None, patient: ir.Table) -> ir.Table:
    """Return the results of Observations and of their components, also those that are absent for a reason."""
    if observation is None:
        nothing = ibis.null("string")
        return _united(patient).mutate(value=nothing, unit=nothing)
    found = _measured(observation, observation)
    # What was asked for and has no result for a reason is counted as what did not happen.
    found = found.filter(found.value.notnull() | found.absent)
    return found.mutate(happened=found.happened & found.value.notnull()).drop("absent")


def _united(
    patient: ir.Table, *parts: tuple[Callable[[ir.Table], ir.Table], ir.Table | None]
) -> ir.Table:
    """Return what is read of the resources that there are; without any, no rows."""
    if found := [read(rows) for read, rows in parts if rows is not None]:
        return ibis.union(*found)
    none = patient.filter(ibis.literal(False))
    texts = dict.fromkeys(("date", "available", "system", "code"), ibis.null("string"))
    return none.select(patient=none.id, **texts, happened=ibis.literal(True))


def _deaths(patient: ir.Table) -> ir.Table:
    dead = patient.filter(patient.resourceType == "Patient", patient.deceasedDateTime.notnull())
    return dead.select(
        patient=dead.id,
        date=dead.deceasedDateTime,
        available=ibis.null("string"),
        system=ibis.literal("FHIR"),
        code=ibis.literal("DEATH"),
        happened=ibis.literal(True),
    )


def _conditions(rows: ir.Table) -> ir.Table:
    time = ibis.coalesce(rows.onsetDateTime, rows.onsetPeriod.start, rows.recordedDate)
    statuses = rows.verificationStatus.coding
    wrong = statuses.filter(lambda one: one.code.isin(_not_so("Condition"))).length() > 0
    happened = _happened("Condition", rows) & ~wrong.fill_null(False)
    return _codes(rows, "Condition", time, rows.code, rows.recordedDate, happened)


def _immunizations(rows: ir.Table) -> ir.Table:
    time = rows.occurrenceDateTime.coalesce(rows.occurrenceString)
    named = rows.rename(subject="patient")
    return _codes(named, "Immunization", time, rows.vaccineCode, rows.recorded)


def _procedures(rows: ir.Table) -> ir.Table:
    time = rows.performedDateTime.coalesce(rows.performedPeriod.start)
    return _codes(rows, "Procedure", time, rows.code)


def _encounters(rows: ir.Table) -> ir.Table:
    return rows.select(
        patient=_id_of(rows.subject),
        date=rows.period.start,
        available=ibis.null("string"),
        system=rows["class"].system,
        code=rows["class"].code,
        happened=_happened("Encounter", rows),
    )


def _reports(rows: ir.Table) -> ir.Table:
    return _codes(rows, "DiagnosticReport", _effective(rows), rows.code, rows.issued)


def _bare_observations(observation: ir.Table) -> ir.Table:
    """Return Observations without components, and components, that have neither a value nor a reason for that."""
    whole = observation.component.isnull() | (observation.component.length() == 0)
    found = _measured(observation, observation.filter(whole))
    found = found.filter(found.value.isnull(), ~found.absent)
    return found.select("patient", "date", "available", "system", "code", "happened")


def _measured(observation: ir.Table, own: ir.Table) -> ir.Table:
    """Return what some Observations, ``own``, say themselves, and what the components of all say."""
    common = {
        "patient": _id_of(observation.subject),
        "date": _observed(observation),
        "available": observation.issued,
        "happened": _happened("Observation", observation),
    }
    parts = observation.select(**common, part=observation.component.unnest())
    whole = own.select(**common, **_result(observation))
    return whole.union(parts.select(*common, **_result(parts.part)))


def _codes(
    rows: ir.Table,
    resource: str,
    date: ir.StringValue,
    concept: ir.StructValue,
    available: ir.StringValue | None = None,
    happened: ir.BooleanValue | None = None,
) -> ir.Table:
    coding = _coding(concept)
    available = ibis.null("string") if available is None else available
    return rows.select(
        patient=_id_of(rows.subject),
        date=date,
        available=available,
        system=coding.system,
        code=coding.code,
        happened=_happened(resource, rows) if happened is None else happened,
    )


def _medications(medication: ir.Table | None, resource: str, rows: ir.Table) -> ir.Table:
    """Return codes of medications that are named, contained, or resources of their own."""
    reference = rows.medicationReference.reference
    inner = rows.contained.filter(lambda one: ibis.literal("#").concat(one.id) == reference)
    own, contained = _coding(rows.medicationCodeableConcept), _coding(inner[0].code)
    happened = _happened(resource, rows)
    if "intent" in rows.columns:
        happened &= rows.intent.notin(_INTENDED).fill_null(True)
        happened &= (rows.doNotPerform != "true").fill_null(True)
    codes = rows.select(
        patient=_id_of(rows.subject),
        date=rows.authoredOn if "authoredOn" in rows.columns else _effective(rows),
        available=rows.dateAsserted if "dateAsserted" in rows.columns else ibis.null("string"),
        system=own.system.coalesce(contained.system),
        code=own.code.coalesce(contained.code),
        happened=happened,
        reference=_id_of(rows.medicationReference, "Medication"),
    )
    if medication is not None:
        other = _coding(medication.code)
        known = medication.select(known_id="id", known_system=other.system, known_code=other.code)
        known = _one_each(known)
        joined = codes.left_join(known, codes.reference == known.known_id)
        codes = joined.mutate(
            system=joined.system.coalesce(joined.known_system),
            code=joined.code.coalesce(joined.known_code),
        )
    return codes.select("patient", "date", "available", "system", "code", "happened")


def _one_each(medication: ir.Table) -> ir.Table:
    """Return one row for each id: an export may hold a resource twice, or two versions of it."""
    rank = ibis.row_number().over(
        ibis.window(group_by="known_id", order_by=["known_system", "known_code"])
    )
    return medication.mutate(rank=rank).filter(ibis._.rank == 0).drop("rank")


def _coding(concept: ir.StructValue) -> ir.StructValue:
    """Return the first coding that has a system and a code."""
    return concept.coding.filter(lambda one: one.system.notnull() & one.code.notnull())[0]


def _id_of(reference: ir.StructValue, of: str = "Patient") -> ir.StringValue:
    """Return the id that a reference to a kind of resource names; null for one to another kind.

    It is written as ``Patient/1``, an address, ``urn:uuid:``, or either with a version.
    """
    text = reference.reference.re_replace("/_history/.*$", "").re_replace("^urn:(uuid|oid):", "")
    kind = text.re_extract("([^/]*)/[^/]*$", 1).fill_null("")
    return ibis.ifelse(kind.isin(["", of]), text.re_replace("^.*/", ""), "").nullif("")


def _happened(resource: str, rows: ir.Table) -> ir.BooleanValue:
    """Return whether a row is of the resource at all, and tells of something that happened."""
    of_it = rows.resourceType == resource  # a file may hold others, whatever its first line says
    return of_it & rows.status.notin(_not_so(resource)).fill_null(True)


def _not_so(resource: str) -> tuple[str, ...]:
    return (_ERROR, *_NOT_SO[resource])


def _effective(rows: ir.Table) -> ir.StringValue:
    return rows.effectiveDateTime.coalesce(rows.effectivePeriod.start, rows.effectiveInstant)


def _observed(rows: ir.Table) -> ir.StringValue:
    return _effective(rows).coalesce(rows.issued)


def _result(fields: Fields) -> dict[str, ir.Value]:
    coding, quantity = _coding(fields["code"]), fields["valueQuantity"]
    low, high = fields["valueRange"].low, fields["valueRange"].high
    return {
        "system": coding.system,
        "code": coding.code,
        "value": _value(fields),
        "unit": ibis.coalesce(_unit(quantity), _unit(low), _unit(high)),
        "absent": fields["dataAbsentReason"].notnull(),
    }


def _value(fields: Fields) -> ir.StringValue:
    """Return a result of any kind as text: ``<5``, ``1-3``, a word."""
    quantity, concept = fields["valueQuantity"], fields["valueCodeableConcept"]
    low, high = fields["valueRange"].low.value, fields["valueRange"].high.value
    over, under = fields["valueRatio"].numerator, fields["valueRatio"].denominator
    period = fields["valuePeriod"]
    return ibis.coalesce(
        _number(quantity),
        _coding(concept).display,
        concept.text,
        _coding(concept).code,
        fields["valueString"],
        fields["valueBoolean"],
        fields["valueInteger"],
        low.concat("-", high),
        ibis.literal(">=").concat(low),
        ibis.literal("<=").concat(high),
        _number(over).concat("/", under.value),
        fields["valueTime"],
        fields["valueDateTime"],
        period.start.fill_null("").concat("/", period.end.fill_null("")).nullif("/"),
        ibis.ifelse(fields["valueSampledData"].data.notnull(), "sampled data", None),
    )


def _number(quantity: ir.StructValue) -> ir.StringValue:
    return quantity.comparator.fill_null("").concat(quantity.value)


def _unit(quantity: ir.StructValue) -> ir.StringValue:
    """Return the UCUM code, or the unit as people write it where the code is of another system."""
    ucum = quantity.system.isnull() | (quantity.system == _UCUM)
    return ibis.ifelse(ucum, quantity.code, None).coalesce(quantity.unit)


def _us_core(patient: ir.Table, name: str) -> ir.StringValue:
    """Return the category of an extension of US Core, else its text."""
    parts = patient.extension.filter(lambda one: one.url == _CORE + name)[0].extension
    category = parts.filter(lambda one: one.url == "ombCategory")[0].valueCoding.display
    return category.coalesce(parts.filter(lambda one: one.url == "text")[0].valueString)
