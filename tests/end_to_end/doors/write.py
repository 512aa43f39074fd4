"""The facts of the invented hospital as four kinds of databases have them.

Each function writes a folder and returns what can be read from it: persons and facts in the spelling of that door.
"""

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fhir.resources.R4B import get_fhir_model_class

from tests.end_to_end.doors.derive import local
from tests.end_to_end.doors.facts import LOCAL, POTASSIUM, ZONES, Fact, Person

View = tuple[list[Person], list[Fact]]
BOUNDS = {"<": 4171756, "<=": 4171754, ">": 4172704}
LATE = timedelta(days=2)
ADDRESSES = {
    "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "ICD9CM": "http://hl7.org/fhir/sid/icd-9-cm",
    "SNOMED": "http://snomed.info/sct",
    "RxNorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "NDC": "http://hl7.org/fhir/sid/ndc",
    "CPT": "http://www.ama-assn.org/go/cpt",
    "LOINC": "http://loinc.org",
}


def is_number(text: str | None) -> bool:
    return bool(text) and text.replace(".", "", 1).isdigit()


def bound(text: str | None) -> tuple[str, str] | None:
    """The comparator and the number of a result that is a bound."""
    sign = next((sign for sign in ("<=", "<", ">") if (text or "").startswith(sign)), None)
    return sign and (sign, text.removeprefix(sign))


def written(time: datetime | str | None) -> str | None:
    return time.isoformat(" ") if isinstance(time, datetime) else time


def deaths(facts: Iterable[Fact], system: str, code: str) -> list[Fact]:
    """The facts with deaths under the code that a door gives them."""
    return [
        one._replace(table="diagnosis", system=system, code=code) if one.table == "death" else one
        for one in facts
    ]


def write_omop(folder: Path, persons: list[Person], facts: list[Fact]) -> View:
    """A CDM: persons in Parquet, times in CSV as they are written; each code is a concept."""
    concepts: dict[tuple, int] = {}

    def concept(vocabulary: str | None, code: str | None, name: str | None = None) -> int:
        key = vocabulary, code, name or code
        return concepts.setdefault(key, 1000 + len(concepts)) if code else 0

    def event(prefix: str, day: str, one: Fact) -> dict:
        return {
            "person_id": one.person,
            f"{prefix}_concept_id": 0,
            f"{day}_date": str(written(one.time))[:10],
            f"{day}_datetime": written(one.time),
            f"{prefix}_source_concept_id": concept(one.system, one.code),
        }

    def result(one: Fact) -> dict:
        sign, number = bound(one.value) or (None, one.value)
        word = one.value if one.code == "5802-4" else None  # a concept, as its name is
        return event("measurement", "measurement", one) | {
            "value_as_number": number if is_number(number) else None,
            "operator_concept_id": BOUNDS.get(sign, 0),
            "value_as_concept_id": concept("SNOMED", word and f"w-{word}", word) if word else 0,
            "value_source_value": None if word else one.value,
            "unit_concept_id": concept("UCUM", one.unit) if one.unit == "mmol/L" else 0,
            "unit_source_value": one.unit,
        }

    def observed(one: Fact) -> dict:
        number = one.value if is_number(one.value) else None
        return event("observation", "observation", one) | {
            "value_as_number": number,
            "value_as_string": None if number else one.value,
            "value_as_concept_id": 0,
            "unit_source_value": one.unit,
        }

    def of(*tables: str, loinc: bool = False) -> list[Fact]:
        return [one for one in facts if one.table in tables and (one.system == "LOINC") == loinc]

    seen = [one for one in facts if one.table == "lab" and one.code in ("72514-3", "5778-6")]
    measured = [one for one in facts if one.table == "lab" and one not in seen]
    tables = {
        "PERSON.parquet": [
            {
                "person_id": one.id,
                "gender_concept_id": concept("Gender", one.gender),
                "year_of_birth": one.birth and one.birth[:4],
                "month_of_birth": one.birth and one.birth[5:7],
                "day_of_birth": one.birth and one.birth[8:10],
                "race_concept_id": concept("Race", one.race, one.race),
                "ethnicity_concept_id": concept("Ethnicity", one.ethnicity),
                "location_id": 1 if one.region else None,
                "gender_source_value": 1,  # a number, as a hospital codes it
                **dict.fromkeys(["race_source_value", "ethnicity_source_value"]),
            }
            for one in persons
        ],
        "location.csv": [{"location_id": 1, "state": "NJ"}],
        "condition_occurrence.csv": [
            event("condition", "condition_start", one) for one in of("diagnosis")
        ],
        "drug_exposure.csv.gz": [
            event("drug", "drug_exposure_start", one) for one in of("prescription")
        ],
        "procedure_occurrence.csv": [
            event("procedure", "procedure", one) for one in of("procedure")
        ],
        "measurement.csv": [result(one) for one in (*measured, *of("procedure", loinc=True))],
        "observation.csv.gz": [observed(one) for one in seen],
        "death.csv": [
            {"person_id": one.person, "death_date": one.time}
            for one in facts
            if one.table == "death"
        ],
    }
    tables["concept.csv"] = [
        {
            "concept_id": number,
            "concept_name": name,
            "vocabulary_id": vocabulary,
            "concept_code": code,
        }
        for (vocabulary, code, name), number in concepts.items()
    ]
    pd.DataFrame(tables.pop("PERSON.parquet")).to_parquet(folder / "PERSON.parquet")
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / name, index=False)
    return persons, deaths(facts, "OMOP", "DEATH")


def write_meds(folder: Path, persons: list[Person], facts: list[Fact]) -> View:
    """A MEDS dataset: a shard of each kind of time, local ones and those of three zones."""
    told: list[Fact] = []
    shards: dict = {zone: [] for zone in ZONES}
    for person in persons:
        words = {"GENDER": person.gender, "RACE": person.race, "ETHNICITY": person.ethnicity}
        shards[None] += [
            (person.id, None, f"{name}//{word}") for name, word in words.items() if word
        ]
        if person.birth:
            born = datetime.fromisoformat(f"{person.birth}-07-01"[:10])
            shards[None].append((person.id, born, "MEDS_BIRTH"))
    for one in deaths(facts, "MEDS", "MEDS_DEATH"):
        parts = [*map(int, one.time.split("-")), 1, 1] if isinstance(one.time, str) else None
        time = datetime(*parts[:3]) if parts else one.time  # null: a static event
        names = {"MEDS": one.code, None: None, "LAB": f"LAB//{one.code}//{one.unit}"}
        code = names.get(one.system, f"{one.system}//{one.code}")
        number = float(one.value) if is_number(one.value) else None
        text = None if is_number(one.value) else one.value
        unit = None if one.system == "LAB" else one.unit
        shards[time and time.tzinfo].append((one.person, time, code, number, text, unit))
        told.append(one._replace(time=time))
    for number, (zone, rows) in enumerate(shards.items()):
        columns = ["subject_id", "time", "code", "numeric_value", "text_value", "unit"]
        rows = [dict(zip(columns, row, strict=False)) for row in rows]
        kinds = dict.fromkeys(columns, pa.string())
        kinds |= {"time": pa.timestamp("us", zone and zone.key), "numeric_value": pa.float32()}
        shard = folder / "data" / "train" / f"{number}.parquet"
        shard.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, pa.schema(kinds)), shard)
    first = {one.person: one.time for one in sorted(told, key=_when, reverse=True) if one.time}
    told = [one if one.time else one._replace(time=first[one.person]) for one in told]
    # Who is in the data is a person.
    known = [*persons, Person("nobody-knows", *[None] * 5)]
    return [p._replace(birth=p.birth and f"{p.birth}-07-01"[:10], region=None) for p in known], told


def _when(one: Fact) -> datetime:
    return local(one.time, LOCAL) or datetime.max


def write_fhir(folder: Path, persons: list[Person], facts: list[Fact]) -> View:
    """A bulk export, valid by the model classes of `fhir.resources`: a moment has a zone there."""
    makers: dict[str, Callable[[Fact], dict]] = {
        "diagnosis": _condition,
        "prescription": _request,
        "procedure": _procedure,
        "lab": _observation,
    }
    resources = [_patient(one, facts) for one in persons]
    for number, one in enumerate(one for one in facts if one.table != "death"):
        bare = one.table == "procedure" and one.system == "LOINC"
        made = makers["lab" if bare else one.table](_zoned(one)) | {"id": f"r{number}"}
        kind = made["resourceType"]
        # A patient that nobody can name: the element is mandatory, its reference is not.
        who = {"reference": f"Patient/{one.person}"} if one.person else {"display": "unknown"}
        resources.append(
            made | ({} if kind == "Observation" and not one.person else {"subject": who})
        )
    for one in resources:
        get_fhir_model_class(one["resourceType"]).model_validate(one)
        with (folder / f"{one['resourceType']}.ndjson").open("a") as file:
            file.write(json.dumps(one) + "\n")
    told = [one._replace(time=one.time + LATE) if _is_late(one) else one for one in facts]
    return persons, deaths(told, "FHIR", "DEATH")


def _is_late(one: Fact) -> bool:
    """Whether a result was issued days after the sample was taken."""
    return one.code == POTASSIUM


def _zoned(one: Fact) -> Fact:
    naive = isinstance(one.time, datetime) and not one.time.tzinfo
    return one._replace(time=one.time.replace(tzinfo=LOCAL)) if naive else one


def _moment(one: Fact) -> str | None:
    return one.time.isoformat() if isinstance(one.time, datetime) else one.time


def _concept(one: Fact) -> dict:
    if not one.code:
        return {"text": "words"}
    system = ADDRESSES.get(one.system, one.system)
    return {"coding": [{"system": system, "code": one.code.strip()}]}


def _patient(one: Person, facts: list[Fact]) -> dict:
    made = {"resourceType": "Patient", "id": one.id, "gender": one.gender, "birthDate": one.birth}
    core = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
    made["extension"] = [
        {
            "url": core + name,
            "extension": [
                {"url": "ombCategory", "valueCoding": {"code": "x", "display": word}},
                {"url": "text", "valueString": "in words"},
            ],
        }
        for name, word in (("race", one.race), ("ethnicity", one.ethnicity))
        if word
    ]
    made["address"] = [{"state": one.region}] if one.region else None
    died = [fact.time for fact in facts if fact.table == "death" and fact.person == one.id]
    made["deceasedDateTime"] = died[0] if died else None
    return {name: value for name, value in made.items() if value}


def _condition(one: Fact) -> dict:
    made = {"resourceType": "Condition", "code": _concept(one)}
    if not one.time:
        return made
    onset = {"onsetDateTime": "2011"} if one.system == "ICD9CM" else {}
    return made | onset | {"recordedDate": _moment(one)}


def _request(one: Fact) -> dict:
    made = {"resourceType": "MedicationRequest", "status": "active", "intent": "order"}
    return made | {"authoredOn": _moment(one), "medicationCodeableConcept": _concept(one)}


def _procedure(one: Fact) -> dict:
    made = {"resourceType": "Procedure", "status": "completed", "code": _concept(one)}
    return made | {"performedDateTime": _moment(one)}


def _observation(one: Fact) -> dict:
    made = {"resourceType": "Observation", "status": "final", "code": _concept(one)}
    made["effectiveDateTime"] = _moment(one)
    if _is_late(one):
        made["issued"] = _moment(one._replace(time=one.time + LATE))
    sign, number = bound(one.value) or (None, one.value)
    ends = (one.value or "").split("-")
    unit = {"unit": one.unit.strip(), "code": one.unit.strip()} if one.unit else {}
    if is_number(number):
        quantity = {"value": float(number)} | unit | ({"comparator": sign} if sign else {})
        return made | {"valueQuantity": quantity}
    if len(ends) == 2 and all(is_number(end.strip()) for end in ends):
        low, high = ({"value": float(end)} | unit for end in ends)
        return made | {"valueRange": {"low": low, "high": high}}
    if one.code == "5802-4":
        coding = {"system": ADDRESSES["SNOMED"], "code": "1", "display": one.value}
        return made | {"valueCodeableConcept": {"coding": [coding]}}
    return made | ({"valueString": one.value} if one.value else {})


def write_own(folder: Path, persons: list[Person], facts: list[Fact]) -> View:
    """Tables of a site's own design: semicolons, German dates, labs in two tables, a lookup."""
    told, tables = [], {"patient": [one._asdict() for one in persons]}
    items = {code: number for number, code in enumerate(sorted({str(one.code) for one in facts}))}
    for one in facts:
        if one.table == "death":
            continue
        drug, local_lab = one.table == "prescription", one.system == "LAB"
        if drug or local_lab:  # written in local time, however the clock went
            one = one._replace(time=local(one.time, LOCAL))
        told.append(one)
        row = {"pid": one.person, "at": written(one.time), "system": one.system, "code": one.code}
        if drug:
            row["at"] = f"{one.time:%d.%m.%Y %H:%M}"
        if one.table == "lab":
            row |= {"value": one.value, "unit": one.unit}
            row |= {} if local_lab else {"item": items[str(row.pop("code"))]}
        name = {"lab": "chartevents" if local_lab else "labevents"}.get(one.table, one.table)
        tables.setdefault(name, []).append(row)
    tables["d_items"] = [{"item": number, "code": code} for code, number in items.items()]
    charted = pd.DataFrame(tables.pop("chartevents"))
    charted.assign(at=pd.to_datetime(charted["at"])).to_parquet(folder / "chartevents.parquet")
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv.gz", index=False, sep=";")
    return persons, told
