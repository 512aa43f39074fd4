"""What the figures of the test split show of several classes."""

import numpy as np
import pandas as pd

from clm_ler.pipelines.finetune.figures import plot_decision_curve, plot_precision_recall


def test_each_class_has_a_chance_of_its_own(as_table):
    labels = np.repeat([0, 1, 2], [5, 3, 2])
    rows = [(f"{n}", "t", int(label), "test", [0.2, 0.3, 0.5]) for n, label in enumerate(labels)]
    schema = {"sample_id": "string", "task": "string", "label": "int64", "split": "string"}
    predictions = as_table(rows, schema | {"probabilities": "array<float64>"})
    others = {name: kind for name, kind in schema.items() if name not in ("label", "split")}
    baselines = as_table([], others | {"model": "string", "probabilities": "array<float64>"})
    counts = {str(name): int(n) for name, n in pd.Series(labels).value_counts().items()}
    metrics = {"tasks": {"t": {"samples": {"test": {"classes": counts}}, "metrics": {}}}}
    figure = plot_precision_recall(predictions, baselines, metrics)
    chances = {note.text for note in figure.layout.annotations if "chance" in note.text}
    assert chances == {
        "chance, class 1: prevalence 30%",
        "chance, class 2: prevalence 20%",
    }


def test_the_gain_that_is_told_is_one_without_gaps():
    curve = {"threshold": [0.1, 0.2, 0.3, 0.4, 0.9], "treat_all": [0.1, 0.0, -0.1, -0.2, -5.0]}
    curve["model"] = [0.1, 0.05, 0.02, 0.0, 0.01]
    figure = plot_decision_curve({"tasks": {"t": {"decision_curve": curve}}})
    assert "gains between thresholds of 20% and 30%" in figure.layout.title.text
    one = curve | {"model": [0.1, 0.05, 0.0, 0.0, 0.0]}
    figure = plot_decision_curve({"tasks": {"t": {"decision_curve": one}}})
    assert "gains at a threshold of 20%" in figure.layout.title.text
    none = curve | {"model": [0.1, 0.0, 0.0, 0.0, 0.0]}
    figure = plot_decision_curve({"tasks": {"t": {"decision_curve": none}}})
    assert "gains at no threshold" in figure.layout.title.text
