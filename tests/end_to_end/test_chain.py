"""The whole chain on a small simulated hospital, as `kedro run` does it."""

import hashlib
import re
import subprocess
import sys

import ibis
import pyarrow as pa
import pytest
from kedro.framework.session import KedroSession

from clm_ler import estimate
from tests.end_to_end.conftest import ROOT, SMALL

PERSON_TABLES = ["demographics", "coded_events", "lab_events", "person_splits", "sequences"]
SMALL_TABLES = ["unit_conversions", "lab_percentiles", "token_counts", "code_translations"]
DATA_PIPELINES = ["cohort", "split", "preprocess", "vocab", "ehrshot_read", "umls_mapping"]


def content(data):
    """A digest of a table's rows, whatever their order."""
    table = data.to_pyarrow() if isinstance(data, ibis.Table) else data
    rows = sorted(repr(row) for row in table.to_pylist())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


@pytest.mark.parametrize("name", [*PERSON_TABLES, *SMALL_TABLES, "ehrshot_results", "cutflow"])
def test_tables_are_in_the_catalog_and_not_empty(chain, name):
    assert chain.load(name).count().execute() > 0


def test_the_record_has_each_pipeline_with_what_went_in_and_came_out(chain):
    record = chain.load("run_record")
    assert {*DATA_PIPELINES, "pretrain", "finetune", "ehrshot_eval"} <= {*record}
    assert {part["state"] for part in record.values()} == {"done"}
    assert record["vocab"]["inputs"]["sequences"] == record["preprocess"]["outputs"]["sequences"]
    assert record["pretrain"]["parameters"]["pretrain"]["preset"]


def test_the_estimate_counts_rows_and_knows_the_steps(chain, storage):
    parameters = SMALL | {"storage": str(storage)}
    with KedroSession.create(ROOT, runtime_params=parameters) as session:
        told = dict(estimate.estimate_run(session.load_context()))
    assert "patient 300, " in told["rows"]
    steps = int(re.search(r"at most, ([\d,]+) steps of", told["training"])[1].replace(",", ""))
    # Epochs differ in their batches, and twenty steps see few of them.
    assert steps == pytest.approx(chain.load("pretrain_metrics")["training"]["steps"], rel=0.15)


def test_encoded_sequences_are_read_in_place(chain):
    encoded = chain.load("encoded_sequences")
    sequences = chain.load("sequences")
    assert isinstance(encoded, pa.Table)
    assert encoded.num_rows == sequences.count().execute()


def test_pretraining_beats_the_unigram_baseline(chain):
    metrics = chain.load("pretrain_metrics")["valid"]
    unigram = metrics["baselines"]["unigram"]["accuracy"]["top1"]
    assert metrics["accuracy"]["top1"] > unigram


def test_the_models_load_by_the_auto_classes(chain):
    assert chain.load("pretrained_model").config.model_type == "clm_ler"
    assert chain.load("finetuned_model").config.num_labels >= 1


def test_both_models_have_a_card_and_their_tokenizer(storage, chain):
    for name, told in (("pretrained_model", "masked language"), ("finetuned_model", "diabetes_1y")):
        folder = storage / "06_models" / name
        assert told in (folder / "README.md").read_text()
        assert (folder / "tokenizer.json").exists()


def test_the_same_input_gives_the_same_content(chain, kedro_run, tmp_path):
    again = kedro_run(tmp_path / "data", DATA_PIPELINES)
    for name in [*PERSON_TABLES, *SMALL_TABLES, "encoded_sequences"]:
        assert content(again.load(name)) == content(chain.load(name)), name
    assert again.load("vocabulary_report") == chain.load("vocabulary_report")
    assert again.load("tokenizer").get_vocab() == chain.load("tokenizer").get_vocab()


WITHOUT_TORCH = """
import sys
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
bootstrap_project(sys.argv[1])
parameters = {"storage": sys.argv[2], "cohort": {"persons": 60, "ehrshot": {"persons": 30}}}
with KedroSession.create(sys.argv[1], runtime_params=parameters) as session:
    session.run(pipeline_names=["cohort", "split", "preprocess", "vocab"])
assert "torch" not in sys.modules
"""


def test_raw_tables_become_ids_without_torch(tmp_path):
    """It takes seconds to import, and a machine for tables need not have it."""
    arguments = [sys.executable, "-c", WITHOUT_TORCH, str(ROOT), str(tmp_path / "data")]
    subprocess.run(arguments, check=True, cwd=ROOT)
