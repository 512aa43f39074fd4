"""One hospital behind four doors: the tokens of each person are those of an independent derivation.

Ids are texts, times of three zones beside local ones, results of every kind: tests/end_to_end/doors. Limits are the
environments' own, so that what is lost is compared, too.
"""

from collections import Counter

import pandas as pd
import pytest

from tests.end_to_end.doors import write
from tests.end_to_end.doors.derive import derive
from tests.end_to_end.doors.facts import LOCAL, facts, persons
from tests.end_to_end.doors.own import write_environment

DOORS = {
    "omop": (write.write_omop, "cdm_root"),
    "meds": (write.write_meds, "meds_root"),
    "fhir": (write.write_fhir, "fhir_root"),
    "own": (write.write_own, "tables"),
}
SELECTION = ("number_of_days_threshold", "min_history_size", "once_a_day", "split")


def check(catalog, seen):
    """Compare sequences, token by token, and the rows that are lost, reason by reason."""
    listed = catalog.load("person_splits").to_pyarrow().to_pylist()
    splits = {row["own_id"]: row["split"] for row in listed}
    names = {row["person_id"]: row["own_id"] for row in listed}
    expected, lost = derive(*map(pd.DataFrame, seen), LOCAL.key, splits)
    found = {
        names[row["person_id"]]: list(
            zip(row["sorted_event_tokens"], row["day_position_tokens"], row["date"], strict=True)
        )
        for row in catalog.load("sequences").to_pyarrow().to_pylist()
    }
    assert found.keys() == expected.keys()
    for person, tokens in expected.items():
        assert found[person] == tokens
    ledger = Counter()
    for row in catalog.load("loss_ledger").to_pyarrow().to_pylist():
        if row["step"] not in SELECTION and row["table"] != "patient":
            ledger["lab" if row["table"] == "lab" else "codes", row["reason"]] += row["rows"]
    assert ledger == lost
    assert len(expected) > 30


def through(door, kedro_run, folder, engine):
    """Write the hospital's data, and run `split` and `preprocess` on them: the catalog, what there is to see."""
    writes, root = DOORS[door]
    (folder / "in").mkdir()
    seen = writes(folder / "in", persons(), facts())
    given = {root: str(folder / "in"), "engine": engine, "preprocess": {"time_zone": LOCAL.key}}
    read = ["fhir_read"] if door == "fhir" else []
    conf = write_environment(folder) if door == "own" else None
    pipelines = [*read, "split", "preprocess"]
    return kedro_run(folder / "out", pipelines, door, conf_source=conf, **given), seen


@pytest.mark.parametrize("door", DOORS)
def test_a_door_gives_the_tokens_of_the_derivation(door, kedro_run, tmp_path):
    catalog, seen = through(door, kedro_run, tmp_path, "duckdb")
    check(catalog, seen)


@pytest.mark.spark
@pytest.mark.parametrize("door", DOORS)
def test_so_it_does_on_spark(door, kedro_run, tmp_path, spark):
    catalog, seen = through(door, kedro_run, tmp_path, spark.name)
    check(catalog, seen)
