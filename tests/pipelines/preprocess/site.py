"""A small site with the published keys, and `split` and `preprocess` on it, stage by stage."""

import uuid
from functools import cache
from tempfile import mkdtemp

import ibis
import yaml

from clm_ler.corridor import nodes as corridor
from clm_ler.corridor.options import PreprocessOptions, VocabOptions
from clm_ler.corridor.selection import select_rows
from clm_ler.engines import engine_of
from clm_ler.pipelines.preprocess import nodes
from clm_ler.pipelines.split.nodes import assign_splits
from clm_ler.pipelines.split.options import SplitOptions
from clm_ler.storage.buckets import BucketFolder
from clm_ler.storage.evaluate import partition
from clm_ler.tables.labs.results import count_lab_values
from clm_ler.tables.sources import CODED_TABLES, RAW_TABLES

# As in an existing CLM-LER configuration.
PUBLISHED = yaml.safe_load("""
tables:
  patient:
    select_expr:
      - person_id
      - to_date(birth) AS px_birth_date
      - gender AS px_gender
      - CAST(NULL AS STRING) AS px_race
      - CAST(NULL AS STRING) AS px_ethnicity
      - region AS px_region
  diagnosis:
    select_expr:
      - person_id
      - TO_TIMESTAMP(start, 'yyyy-MM-dd HH:mm:ss') AS date
      - SPLIT(source, ' ') AS parts
      - parts[0] AS dx_diagnosis_code_type
      - parts[1] AS dx_diagnosis_code
    filter_expr: dx_diagnosis_code_type != 'ignored'
  prescription:
    select_expr:
      - person_id
      - TO_TIMESTAMP(start, 'yyyy-MM-dd HH:mm:ss') AS date
      - SPLIT(source, ':')[0] AS rx_prescription_code_type
      - SPLIT(source, ':')[1] AS rx_prescription_code
  lab:
    select_expr:
      - person_id
      - TO_TIMESTAMP(start, 'yyyy-MM-dd HH:mm:ss') AS date
      - "'LOINC' AS lx_lab_code_type"
      - source AS lx_lab_code
      - value AS lx_result_val
      - unit AS lx_result_unit
event_date_filter: date < '2024-01-01'
number_of_days_threshold: 30
min_history_size: 5
min_loinc_counts: 4
min_loinc_value_counts: 3
percentile_count: 4
fit_on: all
max_loss: {}
""")

PATIENT = {"person_id": "int64", "birth": "string", "gender": "string", "region": "string"}
EVENT = {"person_id": "int64", "start": "string", "source": "string"}
LAB = EVENT | {"value": "string", "unit": "string"}


SCHEMAS = {"patient": PATIENT, "diagnosis": EVENT, "prescription": EVENT, "lab": LAB}


def options(**changes):
    return PreprocessOptions(**(PUBLISHED | changes))


def listed(*names):
    """The part of the published ``tables`` that a site has."""
    return {name: PUBLISHED["tables"][name] for name in names}


def handed_over(rows):
    """Rows of a cluster's as it leaves them to DuckDB: written to Parquet."""
    if not (engine := engine_of(rows)).distributed:
        return rows
    folder = BucketFolder(mkdtemp())
    of_nobody = rows.mutate(nobody=ibis.null("int64"))  # some tables have no persons
    files = partition(of_nobody, engine, folder, "nobody", [])
    paths = [f"{folder.path}/{name}" for part in files for name in part]
    return engine_of(embedded()).read_parquet(paths).drop("nobody")


@cache
def embedded():
    """The connection on which tables of several engines meet."""
    return ibis.duckdb.connect()


def selected_rows(tables, options, names=tuple(RAW_TABLES)):
    """The selected rows of raw tables, as they reach the nodes."""
    return {name: handed_over(select_rows(tables.get(name), options, name)) for name in names}


def preprocess(as_table, raw, options):
    """Return every table of the two pipelines; each stage is computed once."""
    selected = selected_rows(
        {name: as_table(rows, SCHEMAS[name]) for name, rows in raw.items()}, options
    )
    engine = engine_of(selected["patient"])

    def stored(table):
        path = f"{mkdtemp()}/table.parquet"
        engine.backend.to_parquet(table, path)
        return engine.backend.read_parquet(path)

    def held(table):
        """As ``MaterializedDataset`` does."""
        return engine.materialize(f"held_{uuid.uuid4().hex}", table)

    made = {"demographics": stored(corridor.select_demographics(selected["patient"], options))}
    births = made["demographics"]
    coded = corridor.screen_coded_events(
        births, options, *(selected[name] for name in CODED_TABLES)
    )
    labs = corridor.screen_lab_events(selected["lab"], births, options)
    coded, labs = (held(corridor.name_events(rows, options)) for rows in (coded, labs))
    made["raw_row_counts"] = stored(
        corridor.count_raw_rows(selected["patient"], coded, labs, options)
    )
    made["person_ids"] = stored(corridor.list_person_ids(selected["patient"]))
    made["person_splits"] = stored(
        assign_splits(births, None, None, made["person_ids"], SplitOptions())
    )
    made["coded_events"] = stored(
        corridor.keep_coded_events(coded, made["raw_row_counts"], options)
    )
    made["lab_events"] = stored(corridor.keep_lab_events(labs, made["raw_row_counts"], options))
    counts = stored(count_lab_values(made["lab_events"], made["person_splits"], options))
    made["unit_conversions"] = stored(nodes.provide_unit_conversions(counts, None, options))
    made["lab_percentiles"] = stored(
        nodes.provide_lab_percentiles(
            counts,
            made["unit_conversions"],
            made["lab_events"],
            made["person_splits"],
            None,
            options,
        )
    )
    fitted = [made["unit_conversions"], made["lab_percentiles"]]
    events = [made["coded_events"], made["lab_events"]]
    made["lab_token_counts"] = stored(corridor.count_lab_tokens(made["lab_events"], *fitted))
    made["person_spans"] = stored(
        corridor.measure_persons(
            *events, *fitted, made["lab_token_counts"], made["person_splits"], options
        )
    )
    made["sequences"] = stored(
        nodes.build_pretraining_sequences(
            births, *events, *fitted, made["person_splits"], made["person_spans"], options
        )
    )
    made["loss_ledger"], made["cutflow"], made["loss_figure"] = nodes.account_for_rows(
        made["raw_row_counts"],
        made["lab_token_counts"],
        made["person_spans"],
        made["sequences"],
        options,
        VocabOptions(min_persons=1),
    )
    return made


def rows(table, *columns):
    """Return the rows as sorted tuples."""
    chosen = table.select(columns) if columns else table
    return sorted((tuple(row.values()) for row in chosen.to_pyarrow().to_pylist()), key=repr)
