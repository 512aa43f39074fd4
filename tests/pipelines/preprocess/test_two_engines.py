from datetime import datetime

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.pipelines.preprocess.site import options, preprocess, rows

COMPARED = (
    "demographics",
    "person_splits",
    "unit_conversions",
    "lab_percentiles",
    "sequences",
    "cutflow",
    "loss_ledger",
)
LAST = datetime(2250, 1, 1)  # to compare, results go through pandas, which ends in 2262
persons = st.sampled_from([*range(1, 9), 2**40 + 1, -5, None])
dates = st.one_of(
    st.datetimes(max_value=LAST).map(
        lambda time: time.strftime("%Y-%m-%d %H:%M:%S").rjust(19, "0")
    ),
    st.sampled_from(
        [
            *(
                f"2020-0{month}-1{day} 0{hour}:00:00"
                for month in (1, 2, 7)
                for day in (1, 2)
                for hour in (7, 8)
            )
        ]
        * 4
        + ["1800-01-01 00:00:00", "2020-02-30 00:00:00", "2020-01-01", "", " ", "junk", None]
    ),
)
sources = st.one_of(
    st.sampled_from(
        [
            "ICD-10-CM J45.901",
            "ICD-10-CM j45901",
            "ICD-9-CM 4939",
            "ICD9Proc 36.01",
            "CPT4 83036",
            "ignored x",
            "ICD-10-CM",
            " ",
            "é ü",
            None,
        ]
        * 2
    ),
    st.text(max_size=8).map(lambda text: f"ICD-10-CM {text}".replace("\x00", "")),
)
drugs = st.sampled_from(
    ["RxNorm_drug:860975", "NDC:00093-7214-01", "NDC:00093721410", "NDC:x", ":"]
)
values = st.sampled_from(["1", "2.5", "1e3", "-4", "7.2", "0", "nan", "inf", "high", "", None])
units = st.sampled_from(["mg/dL", "MG/DL", "mmol/L", "g/L", "furlong", "", None])
codes = st.sampled_from(["2345-7", "2345-7", "2160-0", "0000-0", "x", None])
birth = st.sampled_from(["1980-01-01", "2020-02-11", "1800-01-01", "2300-12-31", "x", None])


def many(least, *columns):
    return st.lists(st.tuples(*columns), min_size=least, max_size=2 * least)


sites = st.fixed_dictionaries(
    {
        "patient": many(
            8, persons, birth, st.sampled_from([" F ", "M", "", None]), st.text(max_size=3)
        ),
        "diagnosis": many(30, persons, dates, sources),
        "prescription": many(10, persons, dates, drugs),
        "lab": many(40, persons, dates, codes, values, units),
    }
)


# Somebody with a long history: a run that leaves nobody stops.
SOMEBODY = {
    "patient": [(99, "1980-01-01", "F", "NJ")],
    "diagnosis": [(99, f"2020-0{n}-01 00:00:00", "ICD-10-CM J45.901") for n in range(1, 8)],
    "prescription": [],
    "lab": [],
}


def clean(raw):
    """Drop what a Parquet file cannot hold."""

    def text(value):
        return value.encode("utf-8", "ignore").decode() if isinstance(value, str) else value

    return {
        name: [tuple(map(text, row)) for row in table] + SOMEBODY[name]
        for name, table in raw.items()
    }


@pytest.mark.spark
@settings(
    max_examples=2,
    phases=[Phase.generate],  # on Spark, a smaller example would take minutes to find
    suppress_health_check=list(HealthCheck),
)
@given(raw=sites.map(clean))
def test_both_engines_make_the_same_of_messy_tables(raw, spark, tmp_path_factory):
    made = {}
    for backend in (ibis.duckdb.connect(), spark):
        folder = tmp_path_factory.mktemp(backend.name)

        def as_table(table, schema, backend=backend, folder=folder):
            schema = ibis.schema(schema).to_pyarrow()
            if isinstance(table, list):
                records = [dict(zip(schema.names, row, strict=True)) for row in table]
                table = pa.Table.from_pylist(records, schema=schema)
            path = folder / f"{len(list(folder.iterdir()))}.parquet"
            pq.write_table(table.cast(schema), path)
            return backend.read_parquet(path)

        made[backend.name] = preprocess(as_table, raw, options())
    for name in COMPARED:
        assert rows(made["duckdb"][name]) == rows(made["pyspark"][name]), name
