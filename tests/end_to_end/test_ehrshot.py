"""The benchmark's own folders, through the environment that reads them."""

import shutil

import ibis
import pytest
from ibis import _

from tests.end_to_end.conftest import BASELINES

TASKS = ("guo_los", "lab_anemia", "new_hypertension", "chexpert")
PROBE_ONLY = {
    "tasks": list(TASKS),
    "shots": [8],
    "replicates": 2,
    "max_length": 64,
    "models": {
        **dict.fromkeys(BASELINES, ()),
        "clm_ler": ["lr_lbfgs"],
        "clm_ler_finetuned": [],
        "demographics": ["lr_standardised"],
        "windowed": ["lr_standardised"],
    },
}


@pytest.fixture
def assets(chain, storage):
    """The simulated site, in the layout of the first release."""
    return storage / "01_raw" / "EHRSHOT_ASSETS"


@pytest.fixture
def meds(assets, tmp_path):
    """The same site in the layout of the MEDS release."""
    root = tmp_path / "EHRSHOT_MEDS"
    con = ibis.duckdb.connect()

    def save(table, path):
        path.parent.mkdir(parents=True)
        table.to_parquet(path)

    events = con.read_csv(str(assets / "data" / "ehrshot.csv"), all_varchar=True)
    number = events.value.try_cast("float32")
    save(
        events.select(
            "code",
            "unit",
            "omop_table",
            subject_id=_.patient_id.cast("int64"),
            time=_.start.cast("timestamp"),
            numeric_value=number,
            text_value=ibis.ifelse(number.isnull(), events.value, None),
        ),
        root / "data" / "data_0.parquet",
    )
    splits = con.read_csv(str(assets / "splits" / "person_id_map.csv"))
    names = {"val": "tuning", "test": "held_out"}
    save(
        splits.select(subject_id="omop_person_id", split=_.split.substitute(names)),
        root / "metadata" / "subject_splits.parquet",
    )
    for task in TASKS:
        labels = con.read_csv(str(assets / "benchmark" / task / "labeled_patients.csv"))
        column = "boolean_value" if labels.value.type().is_boolean() else "integer_value"
        found = labels.select("prediction_time", subject_id="patient_id", **{column: "value"})
        save(found, root / "labels" / task / "labels.parquet")
    return root


def test_both_releases_give_the_same_predictions(kedro_run, storage, assets, meds, tmp_path):
    shutil.copytree(storage, tmp_path / "out", ignore=shutil.ignore_patterns("*ehrshot*"))
    root = {"ehrshot_root": str(assets), "ehrshot_eval": PROBE_ONLY}
    found = []
    for layout in ({}, {"ehrshot_layout": "meds", "meds_root": str(meds)}):
        pipelines = ["ehrshot_read", "ehrshot_eval"]
        catalog = kedro_run(tmp_path / "out", pipelines, "ehrshot", **root, **layout)
        rows = catalog.load("ehrshot_predictions").to_pandas()
        found.append(rows.sort_values([*rows.columns], ignore_index=True))
    assert len(found[0]) > 100
    assert set(found[0]["labeling_function"]) == set(TASKS)
    assert found[0].equals(found[1])
