from types import SimpleNamespace

import ibis
import pyarrow as pa
import pytest
from kedro.io import DataCatalog, MemoryDataset

from clm_ler import estimate
from tests.pipelines.preprocess.site import options as site_options

SETTINGS = {"engine": "duckdb", "threads": 2, "memory_limit": "2GB", "storage": "data"}


def counted(**tables):
    catalog = DataCatalog(
        {name: MemoryDataset(table, copy_mode="assign") for name, table in tables.items()}
    )
    selected = {name: {"select_expr": ["id AS person_id"]} for name in tables}
    return estimate.count_rows(catalog, site_options(tables=selected))


def rows(number):
    return ibis.memtable({"id": list(range(number))})


def test_rows_are_counted_of_one_table_or_several_of_a_kind():
    found = counted(patient=rows(3), lab={"chart": rows(4), "items": rows(2)}, procedure=rows(0))
    assert found == {"patient": 3, "lab": 6, "procedure": 0}
    assert estimate.describe_rows(found).text == "9: patient 3, lab 6, procedure 0"
    some = estimate.describe_rows({"patient": 3, "lab": None})
    assert some.text == "3: patient 3, lab is not there yet"
    assert estimate.describe_rows({"patient": None}).text.startswith("none yet: kedro doctor")


def test_time_grows_with_the_rows_and_is_shared_by_the_cores(tmp_path):
    few, many = (dict(estimate.estimate_tables(n, SETTINGS, tmp_path)) for n in (10**6, 10**9))
    alone = dict(estimate.estimate_tables(10**9, SETTINGS | {"threads": 1}, tmp_path))
    assert "on 2 cores" in few["tables"] and "on 1 cores" in alone["tables"]
    assert clock(few["tables"]) < clock(many["tables"]) < clock(alone["tables"])
    assert "GB are free" in few["disk"]
    remote = dict(estimate.estimate_tables(10**6, SETTINGS | {"storage": "s3://b/p"}, tmp_path))
    assert "free" not in remote["disk"]


def test_a_cluster_has_its_own_cores_and_costs(tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "session_cores", lambda: 320)
    there = dict(estimate.estimate_tables(10**9, SETTINGS | {"engine": "pyspark"}, tmp_path))
    here = dict(estimate.estimate_tables(10**9, SETTINGS, tmp_path))
    assert "on 320 cores" in there["tables"] and clock(there["tables"]) < clock(here["tables"])
    assert "for each core of an executor" in there["memory"]


def clock(text):
    return tuple(map(int, text.split()[0].split(":")))


def test_memory_stays_below_the_engines_limit():
    assert estimate.memory_gb(10**6, 2e9) < estimate.memory_gb(10**7, 2e9)
    assert estimate.memory_gb(10**10, 2e9) == pytest.approx(estimate.MEMORY_GB.fixed + 2)


def test_what_memory_has_no_room_for_lies_on_disk_for_a_while():
    roomy, narrow = (estimate.disk_gb(10**8, limit) for limit in (16e9, 2e9))
    assert roomy == pytest.approx(estimate.DISK_GB.at(10**8))
    assert narrow > 1.5 * roomy


def test_training_is_not_known_before_there_are_sequences():
    told = estimate.estimate_training(DataCatalog({}), {})
    assert told.text.startswith("not known before split, preprocess and vocab")


def test_of_two_probes_the_faster_one_counts(monkeypatch):
    speeds = iter([{"seconds_per_step": 0.09}, {"seconds_per_step": 0.06}])
    monkeypatch.setattr(estimate, "_train_a_little", lambda *_: next(speeds))
    splits = pa.table({"split": ["train"] * 4 + ["valid"] * 3 + ["test"]})
    catalog = DataCatalog({"encoded_sequences": MemoryDataset(splits)})
    told = estimate.probe(catalog, {"pretrain": SimpleNamespace(eval_persons=2)})
    assert told == {"seconds_per_step": 0.06, "valid_share": 0.5}
