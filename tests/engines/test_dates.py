"""Every way to read a date, of every type, on both engines and in three time zones."""

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clm_ler.tables.sources import TableSource, select
from tests.engines import both_engines

ZONES = ["UTC", "Europe/Berlin", "America/New_York"]
UTC = ZoneInfo("UTC")


def times(as_table, values, kind, expression="x", zone="UTC", target="time"):
    table = as_table(list(enumerate(values)), {"n": "int64", "x": kind})
    source = TableSource(select_expr=("n", f"{expression} AS date"))
    rows = select(table, source, {"n": "n", "date": target}, "visits", time_zone=zone)
    texts = rows.select("n", text=rows[target].cast("timestamp").strftime("%Y-%m-%d %H:%M:%S"))
    return texts.order_by("n").to_pyarrow()["text"].to_pylist()


LOCAL = {  # the same in every zone
    "2020-05-03": "2020-05-03 00:00:00",
    "2020-5-3": "2020-05-03 00:00:00",
    " 2020-05-03\t": "2020-05-03 00:00:00",
    "2020-05": "2020-05-01 00:00:00",
    "2020": "2020-01-01 00:00:00",
    "2020.0": "2020-01-01 00:00:00",  # as a column of numbers with gaps is written
    "2020.0-05": None,
    "2020-05-03 10:00": "2020-05-03 10:00:00",
    "2020-05-03T10:00:30": "2020-05-03 10:00:30",
    "2020-05-03 10:00:30.123456789": "2020-05-03 10:00:30",
    "2020-02-30": None,
    "2020-13": None,
    "2020-05-03 24:00:00": None,
    "2020-05-03 10": None,
    "20200503": None,
    "05/03/2020": None,
    "never": None,
    "": None,
    None: None,
}
OFFSETS = {  # in Berlin
    "2020-01-01T00:30:00+02:00": "2019-12-31 23:30:00",
    "2020-01-01 00:30:00+0200": "2019-12-31 23:30:00",
    "2020-01-01 00:30 +02": "2019-12-31 23:30:00",
    "2020-07-01T00:30:00.5Z": "2020-07-01 02:30:00",
    "2020-01-01T10:00:00-05:30": "2020-01-01 16:30:00",
}


@both_engines
@pytest.mark.parametrize("expression", ["x", "CAST(x AS TIMESTAMP)", "to_timestamp(x)"])
def test_texts(as_table, expression):
    assert times(as_table, LOCAL, "string", expression) == list(LOCAL.values())
    found = times(as_table, OFFSETS, "string", expression, "Europe/Berlin")
    assert found == list(OFFSETS.values())


@both_engines
def test_texts_as_dates(as_table):
    days = [text and f"{text[:10]} 00:00:00" for text in OFFSETS.values()]
    for expression in ("x", "to_date(x)", "CAST(x AS DATE)"):
        found = times(as_table, OFFSETS, "string", expression, "Europe/Berlin", "birth_date")
        assert found == days


TYPED = {
    "date": (date(2020, 5, 3), "2020-05-03 00:00:00"),
    "timestamp": (datetime(2020, 5, 3, 10, 30), "2020-05-03 10:30:00"),
    "timestamp('UTC')": (datetime(2020, 5, 3, 23, 30, tzinfo=UTC), "2020-05-04 01:30:00"),
    "int32": (2020, "2020-01-01 00:00:00"),
}
READ = ["x", "CAST(x AS TIMESTAMP)", "to_timestamp(x)"]
WITH_A_PATTERN = ["to_timestamp(x, 'dd.MM.yyyy')", "CAST(to_timestamp(x, 'dd') AS TIMESTAMP)"]


@both_engines
@pytest.mark.parametrize("kind", TYPED)
def test_a_column_that_is_a_date_passes_through_whatever_is_written(as_table, kind):
    value, expected = TYPED[kind]
    expressions = READ if kind == "int32" else [*READ, *WITH_A_PATTERN]
    for expression in expressions:
        found = times(as_table, [value, None], kind, expression, "Europe/Berlin")
        assert found == [expected, None], expression
    days = [f"{expected[:10]} 00:00:00", None]
    for expression in ("x", "to_date(x)", "CAST(x AS DATE)", "date(x)"):
        found = times(as_table, [value, None], kind, expression, "Europe/Berlin", "birth_date")
        assert found == days, expression


@both_engines
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd HH:mm:SS", "2020-05-03 10:30:45"),  # a published typo
        ("yyyy-MM-dd\\'T\\'HH:mm:ss", "2020-05-03T10:30:45"),
        ("yyyy-MM-dd\\'T\\'HH:mm:ssXXX", "2020-05-03T08:30:45Z"),
        ("dd.MM.yyyy HH:mm:ss", "03.05.2020 10:30:45"),
    ],
)
def test_patterns(as_table, pattern, text):
    found = times(as_table, [text, "x"], "string", f"to_timestamp(x, '{pattern}')", "Europe/Berlin")
    assert found == ["2020-05-03 10:30:45", None]


@both_engines
@pytest.mark.parametrize("kind", ["float64", "decimal(8, 2)"])
def test_years_in_a_column_with_gaps(as_table, kind):
    numbers = (
        [2019, 2019.5, None] if kind == "float64" else [*map(Decimal, ("2019", "2019.5")), None]
    )
    for expression in READ:
        assert times(as_table, numbers, kind, expression) == ["2019-01-01 00:00:00", None, None]
    by_pattern = times(as_table, [20190502.0, None], "float64", "to_date(x, 'yyyyMMdd')")
    assert by_pattern == ["2019-05-02 00:00:00", None]


@both_engines
def test_seconds_since_1970(as_table):
    for expression in ("from_unixtime(x)", "to_timestamp(from_unixtime(x))"):
        found = times(as_table, [1577750400, 10**17, None], "int64", expression)
        assert found == ["2019-12-31 00:00:00", None, None], expression


@settings(suppress_health_check=list(HealthCheck), max_examples=30)
@given(
    moments=st.lists(
        st.datetimes(datetime(1902, 1, 1), datetime(2200, 1, 1)).map(
            lambda time: time.replace(microsecond=0, tzinfo=UTC)
        ),
        min_size=1,
    ),
    zone=st.sampled_from(ZONES),
    minutes=st.integers(-14 * 60, 14 * 60),
)
def test_a_moment_is_one_local_time_however_it_is_written(as_table, moments, zone, minutes):
    from datetime import timedelta, timezone

    there = timezone(timedelta(minutes=minutes))
    texts = [moment.astimezone(there).isoformat() for moment in moments]
    expected = [f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}" for moment in moments]
    assert times(as_table, texts, "string", zone=zone) == expected
    assert times(as_table, moments, "timestamp('UTC')", zone=zone) == expected
