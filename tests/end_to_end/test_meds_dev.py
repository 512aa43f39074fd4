"""The entry for MEDS-DEV: its commands formatted and run as MEDS-DEV does it."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from meds_evaluation.evaluate import evaluate_binary_classification

from tests.end_to_end.conftest import ROOT

ENTRY = ROOT / "integrations" / "meds_dev" / "clm_ler"
PATHS = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT / "src"),
    "CLM_LER": str(ROOT),
}
ACES = """
predicates: {visit: {code: {regex: "^CPT//99"}}, hypertension: {code: {regex: "^ICD10CM//I10"}}}
trigger: visit
windows:
  input: {start: null, end: trigger, start_inclusive: true, end_inclusive: true, index_timestamp: end}
  target: {start: input.end, end: start + 365d, start_inclusive: false, end_inclusive: true,
           label: hypertension}
"""
LABEL = ["subject_id", "prediction_time", "boolean_value"]


@pytest.fixture(scope="module")
def stages(place, tmp_path_factory):
    """The folder of each stage after its command has run."""
    root = tmp_path_factory.mktemp("meds_dev")
    commands = yaml.safe_load((ENTRY / "model.yaml").read_text())["commands"]
    given = {
        "dataset_dir": place / "05_model_input" / "meds_sequences",
        "labels_dir": place / "03_primary" / "meds_labels",
        "model_dir": ENTRY,
        "demo": True,
    }

    def run(kind, mode, **more):
        out = root / kind / mode
        out.mkdir(parents=True)
        command = commands[kind][mode].format(**given, **more, output_dir=out)
        (out / "cmd.sh").write_text(f"#!/bin/bash\nset -e\n{command}")
        done = subprocess.run(
            ["bash", str(out / "cmd.sh")],
            cwd=root,
            env=os.environ | PATHS,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return out

    pretrained = run("unsupervised", "train")
    trained = run("supervised", "train", model_initialization_dir=pretrained)
    predicted = run("supervised", "predict", model_initialization_dir=trained, split="held_out")
    return given | {"pretrained": pretrained, "trained": trained, "predicted": predicted}


@pytest.fixture(scope="module")
def splits(stages):
    table = pl.read_parquet(stages["dataset_dir"] / "metadata" / "subject_splits.parquet")
    return dict(table.select("subject_id", "split").iter_rows())


@pytest.mark.slow
def test_meds_evaluation_takes_a_prediction_for_each_label_held_out(stages, splits):
    found = pl.read_parquet(stages["predicted"] / "**" / "*.parquet")  # as MEDS-DEV evaluates
    labels = pl.read_parquet(stages["labels_dir"] / "**" / "*.parquet")
    wanted = [row for row in labels.select(LABEL).iter_rows() if splits.get(row[0]) == "held_out"]
    assert sorted(found.select(LABEL).iter_rows()) == sorted(wanted)
    measured = evaluate_binary_classification(found)["samples_equally_weighted"]
    assert 0 < measured["roc_auc_score"] < 1
    assert found["predicted_boolean_probability"].n_unique() > 1
    assert not stages["predicted"].with_name("predict.work").exists()


@pytest.mark.slow
def test_the_splits_are_those_of_the_data(stages, splits):
    """Whom the data hold out is in no training: `split` is what pre-training and fine-tuning go by."""
    names = {"train": "train", "valid": "tuning", "test": "held_out"}
    for place in ("03_primary/person_splits", "05_model_input/samples"):
        files = stages["trained"] / "clm_ler" / place / "**" / "*.parquet"
        rows = pl.read_parquet(files, glob=True).select("person_id", "split").unique()
        assert {
            person: names[split] for person, split in rows.iter_rows()
        }.items() <= splits.items()
        assert set(rows["split"]) == set(names)


@pytest.mark.slow
def test_labels_of_aces_are_those_of_the_pipeline(stages, kedro_run, tmp_path):
    file = tmp_path / "task.yaml"
    file.write_text(ACES)
    storage, root = stages["pretrained"] / "clm_ler", str(stages["dataset_dir"])
    task = {"name": "hypertension", "aces": str(file)}
    catalog = kedro_run(storage, ["label"], "meds", meds_root=root, task=task)
    labels = catalog.load("labels").to_pyarrow()
    assert set(labels["label"].to_pylist()) == {0, 1}
    steps = catalog.load("task_attrition").to_pyarrow().to_pylist()
    assert [(step["reason"], step["rows_left"]) for step in steps] == [
        ("index dates", labels.num_rows),
        ("labels", labels.num_rows),
    ]
