import ibis
import pytest

from clm_ler.tables.sources import TableSource, select
from tests.engines import both_engines
from tests.pipelines.preprocess.site import rows

RAW = {"id": "int64", "start": "string", "source": "string"}
TABLE = [
    (1, "2020-01-02 03:04:05", "CPT4 83036"),
    (2, "31.12.2020", "ICD-10-CM J45.901"),
    (3, None, None),
]


def read(table, *expressions, renames=None, filter_expr=None, event_date_filter=None):
    source = TableSource(select_expr=expressions, filter_expr=filter_expr)
    renames = renames or {"x": "x"}
    return select(table, source, renames, "visits", event_date_filter)


@both_engines
def test_a_later_expression_uses_an_earlier_name(as_table):
    table = as_table(TABLE, RAW)
    chosen = read(
        table,
        "id AS person_id",
        "split(source, ' ') AS parts",
        "parts[0] AS system",
        "concat(system, '/', parts[1]) AS x",
        renames={"person_id": "person_id", "x": "code"},
        filter_expr="system = 'CPT4' OR id = 3",
    )
    assert rows(chosen) == [
        (1, "CPT4/83036", True, True),
        (2, "ICD-10-CM/J45.901", False, True),
        (3, None, True, True),
    ]


@both_engines
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("to_timestamp(start, 'yyyy-MM-dd HH:mm:ss')", ["2020-01-02 03:04:05", None, None]),
        ("to_date(start, 'dd.MM.yyyy')", [None, "2020-12-31", None]),
        ("CAST(start AS TIMESTAMP)", ["2020-01-02 03:04:05", None, None]),
        ("CAST(split(source, ' ')[1] AS INT)", ["83036", None, None]),
        ("split(source, ' ')[2]", [None, None, None]),
        ("CASE WHEN source LIKE 'CPT4%' THEN upper(source) END", ["CPT4 83036", None, None]),
    ],
)
def test_what_cannot_be_read_is_null(as_table, expression, expected):
    chosen = read(as_table(TABLE, RAW), "id", f"{expression} AS x", renames={"id": "id", "x": "x"})
    values = [value for _id, value in rows(chosen.select("id", chosen.x.cast("string")))]
    assert [value and value.removesuffix(".0") for value in values] == expected


@both_engines
def test_a_column_of_the_table_comes_before_an_earlier_name(as_table):
    chosen = read(as_table(TABLE[:1], RAW), "upper(id) AS start", "start AS x")
    assert rows(chosen, "x") == [("2020-01-02 03:04:05",)]


@both_engines
def test_a_column_may_be_called_as_a_word_of_sql(as_table):
    names = ["at", "order", "end", "user"]
    table = as_table([tuple("abcd")], dict.fromkeys(names, "string"))
    chosen = read(table, "concat(at, order, end, user) AS x")
    assert rows(chosen) == [("abcd", True, True)]


@both_engines
@pytest.mark.parametrize("column", ["px_gender", "PX_GENDER"])
def test_a_filter_may_look_at_a_demographic_of_the_tables_own(as_table, column):
    table = as_table([(1, "F"), (2, "M"), (3, None)], {"id": "int64", column: "string"})
    renames = {"id": "person_id", "px_gender": "gender"}
    chosen = read(table, "id", renames=renames, filter_expr="px_gender = 'F'")
    assert rows(chosen, "person_id", "gender", "passes_filter") == [
        (1, None, True),
        (2, None, False),
        (3, None, False),
    ]
    chosen = read(table, "id", "'F' AS px_gender", renames=renames, filter_expr="px_gender = 'F'")
    assert rows(chosen, "passes_filter") == [(True,)] * 3


def test_a_star_selects_every_column(as_table):
    chosen = read(as_table(TABLE, RAW), "*", renames={"id": "person_id", "source": "code"})
    assert rows(chosen, "person_id", "code") == [
        (1, "CPT4 83036"),
        (2, "ICD-10-CM J45.901"),
        (3, None),
    ]


@both_engines
def test_an_event_has_its_place_when_it_came_to_be_known(as_table):
    table = [
        ("2020-01-02 03:00:00", "2020-01-04"),
        ("2020-01-02 03:00:00", None),
        ("2020-01-02 03:00:00", "2020-01-01"),
        (None, "2020-01-04"),
        (None, None),
    ]
    chosen = read(
        as_table(table, {"collected": "string", "result": "string"}),
        "CAST(collected AS TIMESTAMP) AS date",
        "CAST(result AS DATE) AS available_date",
        renames={"date": "time"},
    )
    texts = [chosen[name].cast("string").substr(0, 10) for name in ("time", "happened")]
    assert rows(chosen.select(time=texts[0], happened=texts[1])) == [
        ("2020-01-02", "2020-01-02"),
        ("2020-01-02", "2020-01-02"),
        ("2020-01-04", "2020-01-02"),
        ("2020-01-04", None),
        (None, None),
    ]


def test_the_date_filter_sees_the_selected_date(as_table):
    chosen = read(
        as_table(TABLE, RAW),
        "CAST(start AS TIMESTAMP) AS date",
        renames={"date": "time"},
        event_date_filter="date >= '2020-01-01'",
    )
    assert sorted(rows(chosen, "passes_date_filter")) == [(False,), (False,), (True,)]


@pytest.mark.parametrize(
    ("expressions", "changes", "message"),
    [
        (
            ["missing AS x"],
            {"filter_expr": "id > 1"},
            "visits: there is no column 'missing' in the table; its columns are id",
        ),
        (
            ["missing AS x"],
            {},
            r"nor is any other that is asked for\. Does its file begin with a header\?$",
        ),
        (["id AS y"], {}, "visits: select_expr gives no column 'x'"),
        (["id AS x"], {"filter_expr": "missing > 1"}, "there is no column 'missing'"),
        (["split(id AS x"], {}, "visits: select_expr: cannot read the expression"),
    ],
)
def test_one_clear_error(as_table, expressions, changes, message):
    with pytest.raises(ValueError, match=message):
        read(as_table(TABLE, RAW), *expressions, **changes)


def test_a_field_of_a_nested_column_is_refused():
    table = ibis.memtable({"id": [1], "visit": [{"day": "2020-01-01"}]})
    source = TableSource(select_expr=("id AS x", "visit.day AS y"))
    with pytest.raises(ValueError, match=r"visits: visit\.day: nested fields are not read"):
        select(table, source, {"x": "x", "y": "y"}, "visits")
