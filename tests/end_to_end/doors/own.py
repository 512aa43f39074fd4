"""An environment of a site's own over the tables of :func:`tests.end_to_end.doors.write.write_own`."""

import shutil
from pathlib import Path

from tests.end_to_end.conftest import ROOT

GLOBALS = "chain: [split, preprocess]\n"
CATALOG = """
_connection: ${connection:${runtime_params:engine, ${globals:engine}}}
_table: &table
  type: clm_ler.datasets.folder_query.FolderQueryDataset
  folder: ${runtime_params:tables}
  connection: ${_connection}

patient:
  <<: *table
  query: SELECT p.id, p.birth, p.gender, p.race, p.ethnicity, p.region FROM patient AS p
diagnosis: {<<: *table, query: "SELECT d.pid, d.at, d.system, d.code FROM diagnosis AS d"}
prescription: {<<: *table, query: "SELECT d.pid, d.at, d.system, d.code FROM prescription AS d"}
procedure: {<<: *table, query: "SELECT d.pid, d.at, d.system, d.code FROM procedure AS d"}
lab:
  type: clm_ler.datasets.tables.TablesDataset
  tables:
    labevents:
      <<: *table
      query: SELECT l.pid, l.at, l.system, l.item, l.value, l.unit FROM labevents AS l
    chartevents:
      type: ibis.FileDataset
      filepath: ${runtime_params:tables}/chartevents.parquet
      connection: ${_connection}
    d_items: {<<: *table, query: "SELECT i.item, i.code FROM d_items AS i"}
"""
PARAMETERS = """
_results: &results [pid AS person_id, at AS date, system AS lx_lab_code_type, code AS lx_lab_code,
                    value AS lx_result_val, unit AS lx_result_unit]
preprocess:
  tables:
    patient:
      select_expr: [id AS person_id, birth AS px_birth_date, gender AS px_gender, race AS px_race,
                    ethnicity AS px_ethnicity, region AS px_region]
    diagnosis:
      select_expr: [pid AS person_id, CAST(at AS TIMESTAMP) AS date,
                    system AS dx_diagnosis_code_type, code AS dx_diagnosis_code]
    prescription:
      select_expr:
        - pid AS person_id
        - to_timestamp(at, 'dd.MM.yyyy HH:mm') AS date
        - system AS rx_prescription_code_type
        - code AS rx_prescription_code
    procedure:
      select_expr: [pid AS person_id, at AS date, system AS pr_procedure_code_type,
                    code AS pr_procedure_code]
    lab:
      labevents: {lookups: {d_items: item}, select_expr: *results}
      chartevents: {select_expr: *results}
  min_loinc_counts: 10
  min_loinc_value_counts: 10
  results: {bounds: true, without_unit: true, few_values: 10, text_min_persons: 10}
"""


def write_environment(folder: Path) -> Path:
    """Write the project's configuration with an environment `own`, and return where."""
    conf = folder / "conf"
    shutil.copytree(ROOT / "conf", conf, ignore=shutil.ignore_patterns("local"))
    files = {"globals": GLOBALS, "catalog": CATALOG, "parameters_preprocess": PARAMETERS}
    for name, text in files.items():
        path = conf / "own" / f"{name}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (conf / "local").mkdir()
    return conf
