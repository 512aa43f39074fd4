"""Units and percentiles of one run, used as they are by another."""

import pyarrow.parquet as pq

FITTED = ("unit_conversions", "lab_percentiles")
NOT_SEEN = "lab or unit not seen in fitting"
KEY = ("system", "code", "unit")


def test_fitted_tables_of_another_run_are_used_as_they_are(kedro_run, tmp_path):
    site, given = tmp_path / "site", tmp_path / "other" / "04_feature"
    small = {"persons": 60, "ehrshot": {"persons": 30}}
    first = kedro_run(site, ["cohort", "split", "preprocess"], cohort=small)
    tables = {name: first.load(name).to_pyarrow() for name in FITTED}
    units = tables["unit_conversions"].sort_by([("n", "descending")])
    lacking, tables["unit_conversions"] = units.slice(0, 1).to_pylist()[0], units.slice(1)
    given.mkdir(parents=True)
    for name, table in tables.items():
        pq.write_table(table, given / f"{name}.parquet")

    catalog = kedro_run(site, ["preprocess"], cohort=small, fitted_from=str(given.parent))
    for name, table in tables.items():
        used = catalog.load(name).to_pyarrow().select(table.column_names).to_pylist()
        assert sorted(map(repr, used)) == sorted(map(repr, table.to_pylist()))
    # Results in a unit that the given table lacks are not fitted, and are all accounted for.
    key = {name: lacking[name] for name in KEY}
    ledger = catalog.load("loss_ledger").to_pyarrow().to_pylist()
    lost = {
        row["reason"]: row["rows"] for row in ledger if {name: row[name] for name in KEY} == key
    }
    labs = catalog.load("lab_events").select(*KEY).to_pyarrow().to_pylist()
    assert sum(lost.values()) == labs.count(key)
    assert lost[NOT_SEEN] > 0
