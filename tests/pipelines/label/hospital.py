"""The simulated hospital as the tables that ``label`` reads, and the ready tasks."""

from pathlib import Path
from typing import Any

import ibis
import yaml

from clm_ler.corridor import nodes as corridor
from clm_ler.corridor.options import PreprocessOptions
from clm_ler.corridor.selection import select_rows
from clm_ler.pipelines.label import nodes
from clm_ler.simulation import deaths, hospital
from clm_ler.simulation.options import CohortOptions
from clm_ler.tables.sources import CODED_TABLES
from clm_ler.tables.tasks.candidates import record_spans
from clm_ler.tables.tasks.definition import LabelPipelineOptions, TaskOptions, Tasks

CONF = Path(__file__).parents[3] / "conf"
TASKS = sorted(path.stem for path in (CONF / "tasks").glob("*.yml"))
RAW = {
    "patient": hospital.patient_table,
    "diagnosis": hospital.diagnosis_table,
    "prescription": hospital.prescription_table,
    "procedure": hospital.procedure_table,
    "lab": hospital.lab_table,
    "visit": deaths.visit_table,
    "death": deaths.death_table,
}


def parameters(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / "base" / f"parameters_{name}.yml").read_text())


READING = PreprocessOptions(**parameters("preprocess")["preprocess"])
OPTIONS = LabelPipelineOptions(**parameters("label")["label"])


def definition(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / "tasks" / f"{name}.yml").read_text())


def read_hospital(persons: int) -> dict[str, ibis.Table]:
    """The corridor's tables, visits and deaths of a small hospital."""
    backend, options = ibis.duckdb.connect(), CohortOptions(persons=persons, chunk_persons=persons)
    raw = {
        name: backend.create_table(f"raw_{name}", table(options, 42, 0))
        for name, table in RAW.items()
    }

    def held(name, table):
        return backend.create_table(name, table)

    selected = {name: select_rows(raw[name], READING, name) for name in READING.tables}
    persons = corridor.select_demographics(selected["patient"], READING)
    made = {"demographics": held("demographics", persons)}
    born = made["demographics"]
    rows_of_codes = (selected[name] for name in CODED_TABLES)
    coded = corridor.screen_coded_events(born, READING, *rows_of_codes)
    labs = corridor.screen_lab_events(selected["lab"], born, READING)
    for name, rows, columns in (
        ("coded_events", coded, ()),
        ("lab_events", labs, ("value", "unit")),
    ):
        named = corridor.name_events(rows, READING).filter(lambda rows: rows.reason.isnull())
        made[name] = held(name, named.select("person_id", "time", "system", "code", *columns))
    return made | {"visit": raw["visit"], "death": raw["death"]}


def label(
    tables: dict[str, ibis.Table],
    *given: TaskOptions,
    vocabulary: Any = None,
    concept_sets: Any = None,
) -> dict[str, ibis.Table]:
    """What the pipeline makes of the tables, stage by stage."""
    backend, tasks = tables["demographics"].get_backend(), Tasks(given)

    def held(name, table):
        return backend.create_table(f"{given[0].name}_{name}", table.to_pyarrow(), overwrite=True)

    events = [tables["coded_events"], tables["lab_events"]]
    select, read = (tasks, OPTIONS, READING), (tables["demographics"], READING)
    visit_rows = nodes.select_visit_rows(tables.get("visit"), *select)
    death_rows = nodes.select_death_rows(tables.get("death"), *select)
    made = {
        "visits": held("visits", nodes.read_visits(visit_rows, *read)),
        "deaths": held("deaths", nodes.read_deaths(death_rows, *read)),
    }
    codes, days = nodes.count_records(*events)
    made["record_codes"], made["record_days"] = held("codes", codes), held("days", days)
    found = nodes.find_task_codes(
        made["record_codes"],
        made["record_days"],
        *(vocabulary or (None, None, None)),
        concept_sets,
        tasks,
        READING,
    )
    made["task_codes"] = held("task_codes", found)
    stays = [made["visits"], made["deaths"]]
    made["task_events"] = held(
        "events", nodes.find_task_events(*events, *stays, made["task_codes"], tasks)
    )
    made["record_spans"] = held("spans", record_spans(*events, made["visits"]))
    made["task_candidates"] = held(
        "candidates",
        nodes.label_index_dates(
            made["task_events"],
            *stays,
            tables["demographics"],
            made["record_spans"],
            made["record_days"],
            None,
            tasks,
            42,
        ),
    )
    return made
