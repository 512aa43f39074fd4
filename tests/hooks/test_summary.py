"""What a run says of itself at its end."""

import logging

import ibis
import pandas as pd
import pytest

from clm_ler.hooks.summary import (
    describe_ehrshot,
    describe_finetuning,
    describe_kit,
    describe_losses,
    describe_predictions,
    describe_pretraining,
    describe_sequences,
    describe_site,
    describe_verdict,
    describe_vocabulary,
    report_command,
    warn_of_early_ends,
)
from clm_ler.tables.cutflow import check_anyone_left, number_steps


def summary_rows():
    rows = [
        ("clm_ler", "lr_lbfgs", 8, 0.1),
        ("clm_ler", "best", 8, 0.6),
        ("clm_ler", "best", -1, 0.7),
        ("windowed", "gbm", 8, 0.55),
        ("truth", "none", -1, 0.9),
    ]
    frame = pd.DataFrame(rows, columns=["model", "head", "k", "value"])
    return frame.assign(scope="macro", score="auroc", source="this run")


def test_each_model_has_its_values_by_number_of_labels():
    told = describe_ehrshot(ibis.memtable(summary_rows()))
    assert told == (
        "EHRSHOT macro AUROC at 8, all labels per class: clm_ler 0.600 0.700; "
        "hidden state (not reachable) - 0.900; windowed 0.550 -"
    )


def verdict_rows():
    columns = [
        "model",
        "k",
        "other_model",
        "other_auroc",
        "difference",
        "lower",
        "upper",
        "verdict",
    ]
    rows = [
        ("clm_ler", 8, "windowed", 0.60, 0.03, 0.01, 0.05, "beats"),
        ("clm_ler", 8, "count", 0.50, 0.13, 0.11, 0.15, "beats"),
        ("clm_ler", 8, "untrained", 0.99, -0.4, -0.5, -0.3, "is beaten by"),
        ("clm_ler", 32, "windowed", 0.60, 0.02, 0.01, 0.03, "beats"),
        ("clm_ler", -1, "count", 0.80, -0.02, -0.03, -0.01, "is beaten by"),
        ("clm_ler", -1, "windowed", 0.70, 0.08, 0.07, 0.09, "beats"),
    ]
    return pd.DataFrame(rows, columns=columns).assign(scope="macro")


def test_the_verdict_is_against_the_strongest_that_counts():
    assert describe_verdict(ibis.memtable(verdict_rows())) == (
        "EHRSHOT verdict: clm_ler beats counts at 8, 32 labels per class: "
        "+0.030 (+0.010 to +0.050) against windowed, +0.020 (+0.010 to +0.030) against windowed; "
        "is beaten by counts at all labels per class: -0.020 (-0.030 to -0.010) against count"
    )


def test_nothing_to_compare_is_said():
    nothing = ibis.memtable(verdict_rows().assign(scope="guo_los"))
    assert describe_verdict(nothing).endswith("there is nothing to compare")


def test_a_hybrid_is_told_beside_the_model():
    interval = {"value": 0.8, "lower": 0.7, "upper": 0.9}
    task = {"auroc": interval, "hybrid": {"auroc": interval | {"value": 0.85}}}
    told = describe_finetuning({"tasks": {"t": task}})
    assert told == "t: fine-tuned AUROC 0.800 (0.700 to 0.900), hybrid 0.850 (0.700 to 0.900)"


def test_the_best_baseline_and_the_verdict_stand_beside_the_model():
    interval = {"value": 0.8, "lower": 0.7, "upper": 0.9}
    baselines = {name: {"auroc": interval | {"value": v}} for name, v in (("a", 0.6), ("b", 0.82))}
    task = {"auroc": interval, "baselines": baselines, "verdict": "It does NOT clearly beat b."}
    told = describe_finetuning({"tasks": {"t": task}})
    assert told.endswith(", best baseline b 0.820 (0.700 to 0.900). It does NOT clearly beat b.")


LEDGER = {"step": "string", "table": "string", "reason": "string", "rows": "int64"}


def flow(*rows):
    return [
        {"step": step, "table": table, "rows": n, "persons": persons}
        for step, table, n, persons in rows
    ]


def ledger(*rows):
    return ibis.memtable([dict(zip(LEDGER, row, strict=True)) for row in rows], schema=LEDGER)


def test_the_last_lines_say_what_got_a_token_and_why_the_rest_did_not():
    cutflow = number_steps(
        flow(
            ("raw", "diagnosis", 90, 5),
            ("raw", "prescription", 10, 5),
            ("read", "diagnosis", 88, 5),
            ("read", "prescription", 10, 5),
            ("raw", "lab", 2000, 5),
            ("read", "lab", 1900, 5),
            ("lab_tokens", "lab", 920, 4),
        )
    )
    losses = ledger(
        ("read", "patient", "no person_id", 3),
        ("read", "diagnosis", "no code", 2),
        ("read", "lab", "before birth", 100),
        ("lab_tokens", "lab", "no unit", 600),
        ("lab_tokens", "lab", "no unit", 300),
        ("lab_tokens", "lab", "not a number", 80),
    )
    assert describe_losses(cutflow, losses) == [
        "patient: 3 rows without an id are lost",
        "codes: 98.0% of 100 rows have a token; lost: 'no code' 2",
        "labs: 46.0% of 2,000 rows have a token; lost: 'no unit' 900, 'before birth' 100, "
        "'not a number' 80",
        "  'no unit': see preprocess.results.without_unit, which helps where a lab has one unit or none",
    ]


def test_a_table_that_ends_years_before_the_others_is_named(caplog):
    rows = [("lab", 2018, 990), ("lab", 2022, 1), ("diagnosis", 2021, 50), ("procedure", 2020, 9)]
    schema = {"table": "string", "year": "int64", "rows": "int64"}
    table = ibis.memtable([dict(zip(schema, row, strict=True)) for row in rows], schema=schema)
    with caplog.at_level(logging.WARNING, "clm_ler"):
        warn_of_early_ends(table)
    assert caplog.messages == [
        "lab ends in 2018, diagnosis in 2021: is all of it there? See rows_by_year."
    ]


def test_a_run_that_leaves_nobody_says_why():
    steps = flow(("read", "patient", 9, 9), ("events", "events", 20, 9))
    check_anyone_left([], steps)
    losses = [
        {"table": "lab", "reason": "no unit", "rows": 50},
        {"table": "events", "reason": "history spans too few days", "rows": 1020},
    ]
    message = (
        r"^No person is left after the step 'number_of_days_threshold'. Rows were lost in lab: "
        r"'no unit' 50; events: 'history spans too few days' 1,020. .* set preprocess.number_of_days"
    )
    with pytest.raises(ValueError, match=message):
        check_anyone_left(losses, [*steps, *flow(("number_of_days_threshold", "events", 0, 0))])
    with pytest.raises(ValueError, match="no table of events has a row"):
        check_anyone_left([], flow(("number_of_days_threshold", "events", 0, 0)))


def test_persons_and_tokens_are_told_without_loading_any():
    split = {"all": {"persons": 700, "tokens": 5000}, "RXNORM": {"persons": 9, "tokens": 40}}
    report = {"coverage": {"train": split, "valid": {}, "test": split}}
    assert describe_sequences(report) == "1,400 persons, 10,000 tokens"


def test_predictions_are_counted():
    assert describe_predictions(ibis.memtable({"person_id": [1, 1, 2]})) == "3 predictions"


def test_a_kit_and_a_site_are_told_in_a_line():
    files = [{"bytes": 1_500_000}, {"bytes": 200_000}]
    assert describe_kit({"files": files, "tasks": ["t"]}) == "kit of t: 2 files, 1.7 MB"
    assert describe_kit({"files": [], "tasks": []}).startswith("kit of a pre-trained model")
    told = {"suppressed": False, "events": 12, "expected": 9.94}
    told |= {"auroc": {"value": 0.75, "se": 0.02}}
    summary = {
        "understood": [{"table": "lab", "share": 0.95}],
        "tasks": {"t": told, "u": {"suppressed": True}},
    }
    assert describe_site(summary) == (
        "understood: lab 95%; t: AUROC 0.750 (standard error 0.020), 12 outcomes, 9.9 expected; "
        "u: too few persons to tell"
    )


def test_the_vocabulary_is_told_by_the_share_of_all_tokens():
    systems = {"all": (30, 0.5), "ICD": (10, 0.9), "LOINC": (20, 0.3)}
    test = {name: {"tokens": n, "tokens_covered": share} for name, (n, share) in systems.items()}
    told = describe_vocabulary({"size": 7, "coverage": {"test": test}})
    assert told == "vocabulary of 7 tokens, 50.0% of the test split's tokens"
    assert describe_vocabulary({"size": 7, "coverage": {}}).endswith("no test split")


def test_pre_training_is_told_by_masked_codes_or_by_its_loss():
    masked = {
        "accuracy": {"top1": 0.4},
        "baselines": {"unigram": {"accuracy": {"top1": 0.1}}},
    }
    assert (
        describe_pretraining({"test": masked})
        == "masked codes: 40.0% right, unigram baseline 10.0%"
    )
    events = {"loss": 3.0, "baselines": {"base rates": {"loss": 4.0}}}
    assert describe_pretraining({"valid": events}) == "valid loss 3.000, base rates 4.000"


def test_what_cannot_be_told_of_few_samples_is_left_out():
    known, unknown = (
        {"value": 0.7, "lower": None, "upper": None},
        dict.fromkeys(("value", "lower", "upper")),
    )
    task = {"auroc": known, "baselines": {"age": {"auroc": unknown}, "counts": {"auroc": known}}}
    told = describe_finetuning({"tasks": {"death": task}})
    assert told == "death: fine-tuned AUROC 0.700, best baseline counts 0.700"
    site = {
        "suppressed": False,
        "events": 20,
        "expected": 19.5,
        "auroc": {"value": 0.7, "se": None},
    }
    assert "AUROC 0.700 (standard error unknown)" in describe_site(
        {"understood": [], "tasks": {"death": site}}
    )


@pytest.mark.parametrize(
    ("env", "given", "command"),
    [
        (None, None, "kedro run --pipelines=report"),
        ("mine", {"seed": 3}, "kedro run --env=mine --pipelines=report"),
        (
            "omop",
            {"cdm_root": "/cdm", "storage": "data/risk", "pretrain": {"max_steps": 3}},
            "kedro run --env=omop --pipelines=report --params=cdm_root=/cdm,storage=data/risk",
        ),
        (None, {"storage": "my data"}, "kedro run --pipelines=report '--params=storage=my data'"),
    ],
)
def test_the_report_is_of_the_environment_and_storage_of_the_run(env, given, command):
    assert report_command({"env": env, "runtime_params": given}) == command
