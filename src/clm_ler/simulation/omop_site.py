"""The simulated hospital as an OMOP CDM: its raw tables, and the vocabulary that they point into.

The concepts of genders, races, ethnicities, visits and two diseases have their real ids, all others made-up
ones from two thousand million on, where OMOP leaves room for local concepts. What a source text does not tell
(a result without a number, a unit that is not spelt as UCUM has it) stays in the source columns.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from clm_ler.simulation import codes, deaths, hospital
from clm_ler.simulation.disease_tables import LABS
from clm_ler.simulation.options import CohortOptions
from clm_ler.simulation.texts import ndc11, ndc_digits
from clm_ler.simulation.umls_site import parents

FIRST_LOCAL = 2_000_000_000
GENDERS = {"F": 8532, "M": 8507}
RACES = {
    "American Indian": 8657,
    "Asian": 8515,
    "Black": 8516,
    "Pacific Islander": 8557,
    "White": 8527,
}
ETHNICITIES = {"Hispanic": 38003563, "Not Hispanic": 38003564}
# Type 2 diabetes and heart failure, by SNOMED code.
DISEASES = {"44054006": 201826, "84114007": 316139}
VISITS = {"IP": 9201, "OP": 9202, "ER": 9203}
VISIT_NAMES = {"IP": "Inpatient Visit", "OP": "Outpatient Visit", "ER": "Emergency Room Visit"}

ChunkTable = Callable[[CohortOptions, int, int], pa.Table]


class Concept(NamedTuple):
    """A row of ``concept``."""

    concept_id: int
    concept_name: str
    domain_id: str
    vocabulary_id: str
    standard_concept: str | None
    concept_code: str


class Vocabulary(NamedTuple):
    """The concepts, what maps to what, and what is broader; ids of concepts throughout."""

    concepts: tuple[Concept, ...]
    standard: dict[int, int]
    broader: dict[int, int]

    def number(self, vocabulary: str) -> dict[str, int]:
        """Return the ids of a vocabulary by code."""
        return {
            c.concept_code: c.concept_id for c in self.concepts if c.vocabulary_id == vocabulary
        }


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """Return the vocabulary of the hospital's codes."""
    known = [
        *(Concept(i, name, "Gender", "Gender", "S", name) for name, i in GENDERS.items()),
        *(Concept(i, name, "Race", "Race", "S", name) for name, i in RACES.items()),
        *(Concept(i, name, "Ethnicity", "Ethnicity", "S", name) for name, i in ETHNICITIES.items()),
        *(Concept(i, VISIT_NAMES[kind], "Visit", "Visit", "S", kind) for kind, i in VISITS.items()),
    ]
    rows = list(dict.fromkeys(_codes()))
    local = [Concept(DISEASES.get(row[-1], FIRST_LOCAL + n), *row) for n, row in enumerate(rows)]
    ids = {(c.vocabulary_id, c.concept_code): c.concept_id for c in local}
    standard = {ids[source]: ids[target] for source, target in _maps()}
    snomed = [ids["SNOMED", item.snomed] for item in codes.DIAGNOSES.codes]
    broader = {snomed[child]: snomed[parent] for child, parent in parents().items()}
    return Vocabulary((*known, *local), standard, broader)


def _codes() -> Iterator[tuple[str, str, str, str | None, str]]:
    """Yield name, domain, vocabulary, whether it is standard, and code; a code's first name counts."""
    seen: set[str] = set()
    for item in codes.DIAGNOSES.codes:
        yield item.name, "Condition", "ICD10CM", None, item.icd10cm
        yield item.name, "Condition", "SNOMED", "S", item.snomed
        if item.icd9cm not in seen:
            yield item.name, "Condition", "ICD9CM", None, item.icd9cm
        seen.add(item.icd9cm)
    for drug in codes.DRUGS.codes:
        yield drug.name, "Drug", "RxNorm", "S", drug.rxnorm
        yield drug.name, "Drug", "NDC", None, ndc_digits(drug.ndc)
    for procedure in codes.PROCEDURES.codes:
        yield procedure.name, "Procedure", _vocabulary(procedure), "S", procedure.code
    for lab in LABS:
        yield lab.name, "Measurement", "LOINC", "S", lab.loinc


def _maps() -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yield source and standard code; an ICD-9-CM code maps to the first that it stands for."""
    seen: set[str] = set()
    for item in codes.DIAGNOSES.codes:
        yield ("ICD10CM", item.icd10cm), ("SNOMED", item.snomed)
        if item.icd9cm not in seen:
            yield ("ICD9CM", item.icd9cm), ("SNOMED", item.snomed)
        seen.add(item.icd9cm)
    for drug in codes.DRUGS.codes:
        yield ("NDC", ndc_digits(drug.ndc)), ("RxNorm", drug.rxnorm)


def _vocabulary(procedure: codes.Procedure) -> str:
    return "CPT4" if procedure.system == "CPT" else procedure.system


def concept_table() -> pa.Table:
    """Return ``concept``: every concept is valid."""
    table = pa.Table.from_pylist([concept._asdict() for concept in vocabulary().concepts])
    return table.append_column("invalid_reason", pa.nulls(table.num_rows, pa.string()))


def relationship_table() -> pa.Table:
    """Return ``concept_relationship``: a standard concept maps to itself."""
    words = vocabulary()
    own = {c.concept_id: c.concept_id for c in words.concepts if c.standard_concept}
    maps = own | words.standard
    return pa.table(
        {
            "concept_id_1": pa.array(maps.keys(), pa.int64()),
            "concept_id_2": pa.array(maps.values(), pa.int64()),
            "relationship_id": ["Maps to"] * len(maps),
            "invalid_reason": pa.nulls(len(maps), pa.string()),
        }
    )


def ancestor_table() -> pa.Table:
    """Return ``concept_ancestor``: each standard concept and all that are broader."""
    words = vocabulary()
    pairs = [
        (broader, c.concept_id, steps)
        for c in words.concepts
        if c.standard_concept
        for steps, broader in enumerate(_upwards(c.concept_id, words.broader))
    ]
    names = ("ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation")
    return pa.table(dict(zip(names, map(list, zip(*pairs, strict=True)), strict=True)))


def _upwards(concept: int | None, broader: Mapping[int, int]) -> Iterator[int]:
    while concept is not None:
        yield concept
        concept = broader.get(concept)


def person_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return ``person`` of a chunk."""
    raw = hospital.patient_table(options, seed, chunk)
    born = _time(raw["birth_datetime"])
    return pa.table(
        {
            "person_id": raw["person_id"],
            "gender_concept_id": _looked_up(raw["gender_source_value"], GENDERS),
            "year_of_birth": pc.year(born),
            "month_of_birth": pc.month(born),
            "day_of_birth": pc.day(born),
            "birth_datetime": born,
            "race_concept_id": _looked_up(raw["race_source_value"], RACES),
            "ethnicity_concept_id": _looked_up(raw["ethnicity_source_value"], ETHNICITIES),
            "location_id": pc.index_in(raw["location_state"], value_set=pa.array(hospital.REGIONS)),
            "gender_source_value": raw["gender_source_value"],
            "race_source_value": raw["race_source_value"],
            "ethnicity_source_value": raw["ethnicity_source_value"],
        }
    )


def location_table() -> pa.Table:
    """Return ``location``: the states."""
    return pa.table({"location_id": range(len(hospital.REGIONS)), "state": hospital.REGIONS})


def condition_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return ``condition_occurrence`` of a chunk."""
    raw = hospital.diagnosis_table(options, seed, chunk)
    coded = _coded(raw, "condition", _by_text()["condition"])
    return _with_day(coded, "condition_start", raw["condition_start_datetime"])


def drug_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return ``drug_exposure`` of a chunk."""
    raw = hospital.prescription_table(options, seed, chunk)
    coded = _coded(raw, "drug", _by_text()["drug"])
    return _with_day(coded, "drug_exposure_start", raw["drug_exposure_start_datetime"])


def procedure_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return ``procedure_occurrence`` of a chunk."""
    raw = hospital.procedure_table(options, seed, chunk)
    coded = _coded(raw, "procedure", _by_text()["procedure"])
    return _with_day(coded, "procedure", raw["procedure_datetime"])


def measurement_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return ``measurement`` of a chunk: a number where the result is one."""
    raw = hospital.lab_table(options, seed, chunk)
    text = raw["value_source_value"]
    number = pc.match_substring_regex(text, r"^-?\d+(\.\d+)?$")
    coded = _coded(raw, "measurement", _by_text()["measurement"])
    for name, column in (
        ("value_as_number", pc.if_else(number, text, None).cast(pa.float64())),
        ("value_as_concept_id", pa.array([0] * raw.num_rows, pa.int64())),
        ("unit_concept_id", pa.array([0] * raw.num_rows, pa.int64())),
        ("value_source_value", text),
        ("unit_source_value", raw["unit_source_value"]),
    ):
        coded = coded.append_column(name, column)
    return _with_day(coded, "measurement", raw["measurement_datetime"])


def visit_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return ``visit_occurrence`` of a chunk."""
    raw = deaths.visit_table(options, seed, chunk)
    table = pa.table(
        {
            "person_id": raw["person_id"],
            "visit_concept_id": _looked_up(raw["visit_source_value"], VISITS),
            "visit_source_value": raw["visit_source_value"],
        }
    )
    started = _with_day(table, "visit_start", raw["visit_start_datetime"])
    return _with_day(started, "visit_end", raw["visit_end_datetime"])


def death_table(options: CohortOptions, seed: int, chunk: int) -> pa.Table:
    """Return ``death`` of a chunk."""
    raw = deaths.death_table(options, seed, chunk)
    return _with_day(raw.select(["person_id"]), "death", raw["death_datetime"])


@lru_cache(maxsize=1)
def _by_text() -> dict[str, dict[str, int]]:
    """Return the source concept of every text that the hospital writes, by kind of event."""
    number = vocabulary().number
    icd = {
        f"{name} {code}": concept
        for name, of in (("ICD-10-CM", "ICD10CM"), ("ICD-9-CM", "ICD9CM"))
        for code, concept in number(of).items()
    }
    ndc = {ndc11(drug.ndc): number("NDC")[ndc_digits(drug.ndc)] for drug in codes.DRUGS.codes}
    drugs = {f"RxNorm_drug:{code}": concept for code, concept in number("RxNorm").items()}
    drugs |= {f"NDC:{code}": concept for code, concept in (ndc | number("NDC")).items()}
    return {
        "condition": {text.replace(".", ""): concept for text, concept in icd.items()} | icd,
        "drug": drugs,
        "procedure": {
            f"{name} {code}": concept
            for name in ("CPT4", "HCPCS")
            for code, concept in number(name).items()
        },
        "measurement": {f"LOINC {code}": concept for code, concept in number("LOINC").items()},
    }


def _coded(raw: pa.Table, kind: str, concepts: Mapping[str, int]) -> pa.Table:
    """Return person, standard and source concept, and the text of events."""
    text = raw[f"{kind}_source_value"]
    standard = {name: vocabulary().standard.get(one, one) for name, one in concepts.items()}
    return pa.table(
        {
            "person_id": raw["person_id"],
            f"{kind}_concept_id": _looked_up(text, standard),
            f"{kind}_source_concept_id": _looked_up(text, concepts),
            f"{kind}_source_value": text,
        }
    )


def _looked_up(texts: pa.ChunkedArray, ids: Mapping[str, int]) -> pa.ChunkedArray:
    """Return the concept of each text, 0 where none is known."""
    place = pc.index_in(texts, value_set=pa.array(list(ids)))
    return pc.fill_null(pc.take(pa.array(list(ids.values()), pa.int64()), place), 0)


def _with_day(table: pa.Table, name: str, text: pa.ChunkedArray) -> pa.Table:
    """Return a table with ``NAME_date`` and ``NAME_datetime``."""
    time = _time(text)
    dated = table.append_column(f"{name}_date", time.cast(pa.date32()))
    return dated.append_column(f"{name}_datetime", time)


def _time(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.strptime(text, format="%Y-%m-%d %H:%M:%S", unit="us")


EVENTS: dict[str, ChunkTable] = {
    "person": person_table,
    "condition_occurrence": condition_table,
    "drug_exposure": drug_table,
    "procedure_occurrence": procedure_table,
    "measurement": measurement_table,
    "visit_occurrence": visit_table,
    "death": death_table,
}
VOCABULARY: dict[str, Callable[[], pa.Table]] = {
    "concept": concept_table,
    "concept_relationship": relationship_table,
    "concept_ancestor": ancestor_table,
    "location": location_table,
}
