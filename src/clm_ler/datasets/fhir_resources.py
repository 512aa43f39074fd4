"""The fields of FHIR R4 that are read, as one schema for every engine.

Everything is text, as it is written: no engine guesses a type from the first rows, numbers keep their
digits and partial dates their precision. See https://hl7.org/fhir/R4 and US Core.
"""

import ibis
import ibis.expr.datatypes as dt

TEXT = dt.string


def _struct(**fields: dt.DataType) -> dt.Struct:
    return dt.Struct(fields)


def _texts(*names: str) -> dict[str, dt.DataType]:
    return dict.fromkeys(names, TEXT)


CODING = _struct(**_texts("system", "code", "display"))
CONCEPT = _struct(coding=dt.Array(CODING), text=TEXT)
REFERENCE = _struct(**_texts("reference"))
PERIOD = _struct(**_texts("start", "end"))
QUANTITY = _struct(**_texts("value", "comparator", "unit", "system", "code"))
RATIO = _struct(numerator=QUANTITY, denominator=QUANTITY)
RANGE = _struct(low=QUANTITY, high=QUANTITY)
CONTAINED = dt.Array(_struct(resourceType=TEXT, id=TEXT, code=CONCEPT))
EXTENSION = _struct(
    url=TEXT,
    extension=dt.Array(_struct(url=TEXT, valueString=TEXT, valueCoding=CODING)),
)
VALUE = {
    "valueQuantity": QUANTITY,
    "valueCodeableConcept": CONCEPT,
    "valueRange": RANGE,
    "valueRatio": RATIO,
    "valuePeriod": PERIOD,
    "valueSampledData": _struct(data=TEXT),
    "dataAbsentReason": CONCEPT,
    **_texts("valueString", "valueBoolean", "valueInteger", "valueTime", "valueDateTime"),
}
EFFECTIVE = {**_texts("effectiveDateTime", "effectiveInstant"), "effectivePeriod": PERIOD}
MEDICATION = {
    "medicationCodeableConcept": CONCEPT,
    "medicationReference": REFERENCE,
    "contained": CONTAINED,
}
_COMMON = _texts("resourceType", "id", "status")

RESOURCES: dict[str, ibis.Schema] = {
    name: ibis.schema(_COMMON | fields)
    for name, fields in {
        "Patient": {
            **_texts("birthDate", "gender", "deceasedDateTime", "deceasedBoolean"),
            "address": dt.Array(_struct(**_texts("state", "country"))),
            "extension": dt.Array(EXTENSION),
        },
        "Condition": {
            "subject": REFERENCE,
            "code": CONCEPT,
            "verificationStatus": CONCEPT,
            "onsetPeriod": PERIOD,
            **_texts("onsetDateTime", "recordedDate"),
        },
        "MedicationRequest": {
            "subject": REFERENCE,
            **_texts("intent", "authoredOn", "doNotPerform"),
            **MEDICATION,
        },
        "MedicationStatement": {
            "subject": REFERENCE,
            "dateAsserted": TEXT,
            **MEDICATION,
            **EFFECTIVE,
        },
        "MedicationAdministration": {"subject": REFERENCE, **MEDICATION, **EFFECTIVE},
        "Medication": {"code": CONCEPT},
        "Immunization": {
            "patient": REFERENCE,
            "vaccineCode": CONCEPT,
            **_texts("occurrenceDateTime", "occurrenceString", "recorded"),
        },
        "Procedure": {
            "subject": REFERENCE,
            "code": CONCEPT,
            "performedDateTime": TEXT,
            "performedPeriod": PERIOD,
        },
        "Encounter": {"subject": REFERENCE, "class": CODING, "period": PERIOD},
        "DiagnosticReport": {"subject": REFERENCE, "code": CONCEPT, "issued": TEXT, **EFFECTIVE},
        "Observation": {
            "subject": REFERENCE,
            "code": CONCEPT,
            "issued": TEXT,
            **EFFECTIVE,
            **VALUE,
            "component": dt.Array(_struct(code=CONCEPT, **VALUE)),
        },
    }.items()
}
# Resources that other versions of FHIR have.
ELSEWHERE = {
    "MedicationOrder": "DSTU2",
    "DiagnosticOrder": "DSTU2",
    "ProcedureRequest": "STU3",
    "Sequence": "STU3",
}
