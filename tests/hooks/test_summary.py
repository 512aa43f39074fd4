"""What a run says of itself at its end."""

import ibis
import pandas as pd

from clm_ler.hooks.summary import describe_ehrshot, describe_finetuning, describe_verdict


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
        "EHRSHOT macro AUROC at 8, all labels a class: clm_ler 0.600 0.700; "
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
        "EHRSHOT verdict: clm_ler beats counting at 8, 32 labels a class: "
        "+0.030 [+0.010, +0.050] to windowed, +0.020 [+0.010, +0.030] to windowed; "
        "is beaten by counting at all labels a class: -0.020 [-0.030, -0.010] to count"
    )


def test_nothing_to_compare_is_said():
    nothing = ibis.memtable(verdict_rows().assign(scope="guo_los"))
    assert describe_verdict(nothing).endswith("there is nothing to compare")


def test_a_hybrid_is_told_beside_the_model():
    interval = {"value": 0.8, "lower": 0.7, "upper": 0.9}
    task = {"auroc": interval, "hybrid": {"auroc": interval | {"value": 0.85}}}
    told = describe_finetuning({"tasks": {"t": task}})
    assert told == "t: fine-tuned AUROC 0.800 [0.700, 0.900], hybrid 0.850 [0.700, 0.900]"
