"""Hostile SQL in every place of the configuration that takes an expression: none of it may run."""

from pathlib import Path

import pytest
import yaml
from kedro.io import DatasetError
from sqlglot import exp

from clm_ler.datasets.folder_query import FolderQueryDataset
from clm_ler.engines import engine_of
from clm_ler.engines.expressions import parse_expression
from clm_ler.tables.labels import LabelOptions, select_labels
from clm_ler.tables.sources import TableSource, select
from tests.attack.hostile import EXPRESSIONS, variants
from tests.attack.portion import portion
from tests.engines import both_engines

ROOT = Path(__file__).parents[2]
LABELS = ("inclusion_criteria", "positive_class_criteria", "prediction_time", "task")
PORTION = portion(5)
SAFE = ("id AS person_id", "source AS code")
RENAMES = {"person_id": "person_id", "code": "code"}


def places(table, folder):
    """Each place by its name; a function that reads with an expression there, on the engine of the table."""
    of = {"backend": table.op().source.name}

    def raw(expressions=SAFE, filter_expr=None, event_date_filter=None):
        source = TableSource(select_expr=expressions, filter_expr=filter_expr)
        return select(table, source, RENAMES, "visits", event_date_filter)

    def labels(parameter):
        return lambda text: select_labels(table, LabelOptions(**{parameter: text}))

    return {
        "select_expr": lambda text: raw((SAFE[0], f"{text} AS code")),
        "select_expr, by an earlier name": lambda text: raw((SAFE[0], f"{text} AS a", "a AS code")),
        "filter_expr": lambda text: raw(filter_expr=text),
        "event_date_filter": lambda text: raw(event_date_filter=text),
        "query": lambda text: FolderQueryDataset(
            folder=str(folder), query=text, connection=of
        ).load(),
        **{f"labels.{parameter}": labels(parameter) for parameter in LABELS},
    }


@pytest.fixture
def table(as_table):
    return as_table([(1, "a b")], {"id": "int64", "source": "string"})


def refusal(read, text):
    """What is said where the expression is refused; nothing where it runs."""
    try:
        read(text).execute()
    except (ValueError, DatasetError) as error:
        return str(error)
    return None


@both_engines
def test_nothing_hostile_runs_anywhere(backend, table, tmp_path):
    ran, chosen = [], EXPRESSIONS
    if engine_of(backend).distributed:  # each that is refused is refused before an engine sees it
        chosen = EXPRESSIONS[PORTION]
    for place, read in places(table, tmp_path).items():
        given = chosen
        if (
            place == "query"
        ):  # a query is what stands there; its own tables are tests/datasets' matter
            given = [text for text in given if not text.startswith(("SELECT", "(WITH", "id"))]
        said = {text: refusal(read, text) for text in given}
        ran += [(place, text) for text, words in said.items() if words is None]
    assert ran == []


def test_no_other_way_of_writing_runs():
    ran = []
    for text in (text for expression in EXPRESSIONS for text in variants(expression)[PORTION]):
        try:
            columns = {each.name for each in parse_expression(text, "p").find_all(exp.Column)}
        except ValueError:
            continue
        if columns <= {"id", "source"}:  # else there is no such column
            ran.append(text)
    assert ran == []


@both_engines
def test_a_refusal_names_the_function_and_the_place(table, tmp_path):
    said = {
        place: refusal(read, "read_text('/etc/hosts')")
        for place, read in places(table, tmp_path).items()
        if place != "query"
    }
    assert all("the function read_text()" in words for words in said.values())
    assert said["filter_expr"].startswith("visits: filter_expr: ")
    assert said["labels.task"].startswith("raw_labels: labels.task: ")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT p.id FROM read_csv('/etc/passwd') AS p",
        "SELECT p.id FROM csv.`/etc/passwd` AS p",
        "SELECT p.id FROM '/etc/passwd' AS p",
        "SELECT p.id FROM information_schema.tables AS p",
        "SELECT p.id FROM person AS p, LATERAL explode(array(1)) AS e",
        "SELECT p.id FROM person AS p WHERE p.id IN (SELECT current_setting('threads'))",
        "SELECT p.id, (SELECT content FROM read_text('x')) AS x FROM person AS p",
        "SELECT p.id FROM person AS p TABLESAMPLE (10 PERCENT)",
        "SELECT p.id FROM person AS p UNION ALL SELECT q.id FROM glob('/*') AS q",
        "WITH a AS (SELECT * FROM read_text('x')) SELECT a.content FROM a",
        "SELECT p.id FROM person AS p; DROP TABLE person",
        "SELECT p.id FROM VALUES (1) AS p(id)",
    ],
)
def test_queries_read_the_tables_of_their_folder_only(tmp_path, query):
    (tmp_path / "person.csv").write_text("id\n1\n")
    with pytest.raises(DatasetError, match=str(tmp_path)):
        FolderQueryDataset(folder=str(tmp_path), query=query).load()


def expressions_of(block):
    """Every expression below the keys that hold some."""
    if isinstance(block, dict):
        for key, value in block.items():
            if key in ("select_expr", "filter_expr", "event_date_filter", *LABELS):
                yield from [value] if isinstance(value, str) else (value or [])
            else:
                yield from expressions_of(value)
    elif isinstance(block, list):
        for value in block:
            yield from expressions_of(value)


PUBLISHED = """
split(concept_source_value, ' ')[0] AS system
CASE WHEN system = 'ICD-9-CM' THEN 'ICD9CM' WHEN system = 'CPT4' THEN 'CPT' ELSE system END AS code_type
to_timestamp(start_datetime, 'yyyy-MM-dd HH:mm:SS') AS date
substring(regexp_replace(ndc, '-', ''), 1, 9) AS code
IF(system = 'RxNorm', 'RXNORM', upper(trim(system))) AS system
coalesce(nullif(unit, ''), 'unknown') AS unit
date_add(to_date(day), 1) AS next
cast(value as double) * 10 AS value
lpad(cast(code as string), 11, '0') AS code
year(date) >= 2010 AND code NOT LIKE 'Z%' AND code IS NOT NULL AND person_id % 10 <> 3
concat_ws('-', a, b) AS code
date_format(date, 'yyyy-MM') AS month
datediff(a, b) BETWEEN 0 AND 365
get_json_object(payload, '$.code') AS code
struct_column.code AS code
""".strip().splitlines()


def test_what_configurations_use_may_run():
    files = [*(ROOT / "conf").rglob("parameters*.yml")]
    found = [text for file in files for text in expressions_of(yaml.safe_load(file.read_text()))]
    assert len(found) > 40
    for text in (*found, *PUBLISHED):
        parse_expression(text, "place")
