"""Errors to provoke in MEDS, an OMOP CDM, a FHIR export and EHRSHOT: see provoked.py."""

import json
import shutil
from typing import Any

from tests.attack.planted import CANARY, DAY, Site
from tests.attack.provoked import ERRORS, START, Provoked, bytes_of, cut, every, without

MEDS = [
    {
        "subject_id": 9000 + number,
        "time": None if code.startswith("GENDER") else DAY,
        "code": code,
        "numeric_value": None,
        "text_value": f"{CANARY}t",
    }
    for number in range(30)
    for code in ("GENDER//F", "ICD10CM//I10", f"{CANARY}//{CANARY}C")
]


def meds(
    what: str, edit=lambda found: found, labels=None, splits=None, pipelines=START, damage=None
) -> None:
    def how(site: Site) -> None:
        for name, found in (
            ("MEDS/data/0", edit(MEDS)),
            ("MEDS/labels/0", labels),
            ("MEDS/metadata/subject_splits", splits),
        ):
            (site.folder / name).parent.mkdir(parents=True, exist_ok=True)
            if found is not None:
                site.write(name, found)
        if damage:
            damage(site)

    given = {"labels_root": "MEDS/labels"} if labels else {}
    ERRORS[f"MEDS: {what}"] = Provoked(pipelines, how, {"meds_root": "MEDS", **given}, "meds")


meds("no codes", without("code"))
meds("codes null", every(code=None))
meds("times are texts", every(time=CANARY))
meds("subjects are texts", every(subject_id=lambda row: {"of": f"{CANARY}{row['subject_id']}"}))
meds("cut", damage=bytes_of("MEDS/data/0.parquet", cut))
meds("unknown split", splits=[{"subject_id": row["subject_id"], "split": CANARY} for row in MEDS])
meds("two splits", splits=[{"subject_id": 9000, "split": split} for split in ("train", "tuning")])
meds("nothing", damage=lambda site: shutil.rmtree(site.folder / "MEDS" / "data"))

PERSON = "person_id,year_of_birth,month_of_birth,day_of_birth,gender_concept_id,race_concept_id,ethnicity_concept_id,gender_source_value,race_source_value,ethnicity_source_value\n"
PERSON += f"1,1950,1,1,0,0,0,F,A,B\n2,1931,7,19,0,0,0,{CANARY}F,{CANARY}A,{CANARY}B\n"
CONCEPT = f"concept_id,vocabulary_id,concept_code,concept_name\n1,ICD10CM,I10,x\n2,{CANARY},{CANARY}C,{CANARY}N\n"


def omop(what: str, **files: str) -> None:
    def how(site: Site) -> None:
        (site.folder / "cdm").mkdir()
        for name, content in ({"person": PERSON, "concept": CONCEPT} | files).items():
            (site.folder / "cdm" / f"{name}.csv").write_text(content)

    ERRORS[f"OMOP: {what}"] = Provoked(START, how, {"cdm_root": "cdm"}, "omop")


omop("persons without a header", person=PERSON.partition("\n")[2])
omop("a concept twice", concept=CONCEPT + CONCEPT.splitlines()[-1] + "\n")
omop("a person's line too long", person=PERSON + f"3,1950,1,1,0,0,0,{CANARY},a,b,{CANARY}\n")
omop("births are words", person=PERSON.replace("1950", CANARY).replace("1931", CANARY))
omop("no events")


def fhir(what: str, **files: str) -> None:
    def how(site: Site) -> None:
        patient = {"resourceType": "Patient", "id": f"{CANARY}p", "birthDate": "1931-07-19"}
        (site.folder / "fhir").mkdir()
        for name, content in ({"Patient": json.dumps(patient) + "\n"} | files).items():
            (site.folder / "fhir" / f"{name}.ndjson").write_text(content)

    ERRORS[f"FHIR: {what}"] = Provoked(
        "fhir_read,split,preprocess", how, {"fhir_root": "fhir"}, "fhir"
    )


def resource(**parts: Any) -> str:
    of = {"resourceType": "Condition", "subject": {"reference": f"Patient/{CANARY}p"}}
    return json.dumps(of | parts) + "\n"


fhir("no patients", Patient="")
fhir("no JSON", Condition=f"{CANARY} {{\n")
fhir("a later line is no JSON", Condition=resource(code={"text": "x"}) * 3 + f'{{"id": {CANARY}\n')
fhir(
    "a line that is cut",
    Condition=resource(code={"text": CANARY}) + resource(code={"text": CANARY})[:40],
)
fhir("a Bundle", Condition=resource(resourceType="Bundle", id=CANARY))
fhir("of R5", Condition=resource(resourceType="MedicationRequest", medication={"text": CANARY}))
fhir("lists for objects", Condition=resource(code=[{"text": CANARY}], onsetDateTime={"a": CANARY}))
fhir(
    "a number for a list",
    Patient=json.dumps({"resourceType": "Patient", "id": f"{CANARY}p", "address": 7351}) + "\n",
)


def ehrshot(what: str, **files: str) -> None:
    events = "patient_id,start,end,code,value,unit,visit_id,omop_table\n"
    events += f"1,2019-08-23 04:17:39,,{CANARY}/X,{CANARY}v,{CANARY}u,,measurement\n"
    plain = {"data/ehrshot": events, "splits/person_id_map": "omop_person_id,split\n1,train\n"}
    of = "benchmark/guo_los/labeled_patients"
    plain[of] = "patient_id,prediction_time,value,label_type\n1,2019-09-01T00:00:00,True,boolean\n"
    given = {name.replace("__", "/"): content for name, content in files.items()}

    def how(site: Site) -> None:
        for name, content in (plain | given).items():
            path = site.folder / "EHRSHOT" / (name if name.endswith(".json") else f"{name}.csv")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    ERRORS[f"EHRSHOT: {what}"] = Provoked(
        "ehrshot_read", how, {"ehrshot_root": "EHRSHOT"}, "ehrshot"
    )


TOLD = "patient_id,prediction_time,value,label_type\n"
ehrshot(
    "events without a header",
    data__ehrshot=f"1,2019-08-23,,{CANARY}/X,{CANARY}v,{CANARY}u,,m\n" * 2,
)
ehrshot(
    "a line too long",
    data__ehrshot=f"patient_id,start,end,code,value,unit,visit_id,omop_table\n1,a,b,{CANARY},d,e,f,g,{CANARY}\n",
)
ehrshot(
    "a label that is a word",
    benchmark__guo_los__labeled_patients=TOLD + f"1,2019-09-01,{CANARY},boolean\n",
)
ehrshot(
    "a time that is a word",
    benchmark__guo_los__labeled_patients=TOLD + f"1,{CANARY},True,boolean\n",
)
ehrshot(
    "a person that is a word",
    benchmark__guo_los__labeled_patients=TOLD + f"{CANARY},2019-09-01,True,boolean\n",
)
ehrshot(
    "labels without a header",
    benchmark__guo_los__labeled_patients=TOLD.partition("\n")[2]
    + f"{CANARY},2019-09-01,True,boolean\n" * 2,
)
ehrshot("a person of two splits", splits__person_id_map="omop_person_id,split\n1,train\n1,test\n")
ehrshot(
    "a person that is a word in the splits",
    splits__person_id_map=f"omop_person_id,split\n{CANARY},train\n",
)
ehrshot("a person of no split", splits__person_id_map="omop_person_id,split\n2,train\n")
ehrshot("splits without a header", splits__person_id_map=f"{CANARY},train\n{CANARY},train\n")
