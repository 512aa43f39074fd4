"""The figures of docs/simulation.md are counted as they say."""

import importlib.util
from pathlib import Path

import pandas as pd

SCRIPT = Path(__file__).parents[2] / "docs" / "make_realism.py"


def test_the_table_counts_what_the_files_hold(chain, storage):
    spec = importlib.util.spec_from_file_location("make_realism", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = script.measured(storage)
    assert set(rows) == set(script.PUBLISHED)
    site = storage / "01_raw" / "EHRSHOT_ASSETS"
    events = pd.read_csv(site / "data" / "ehrshot.csv", dtype=str)
    of_each = events.groupby("patient_id").size()
    assert rows["patients"] == f"{len(of_each)}"
    assert rows["events a patient, median"] == f"{of_each.median():,.0f}"
    uses = events[events.omop_table == "condition_occurrence"].code.value_counts()
    most = (uses.cumsum() - uses < 0.8 * uses.sum()).mean()
    assert rows["diagnosis codes that make up 80 % of the diagnoses"] == f"{100 * most:.1f} %"
    labels = pd.read_csv(site / "benchmark" / "guo_los" / "labeled_patients.csv")
    assert rows["guo_los"] == f"{100 * labels.value.mean():.1f} %"
    report = chain.load("translation_report")["all"]["share_of_events"]
    share = rows["events that get a token of the hospital's vocabulary"]
    assert abs(float(share.split()[0]) - 100 * report) < 0.06
