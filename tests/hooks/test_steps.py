import logging
from collections import Counter

import pytest
from kedro.pipeline import Node, Pipeline

from clm_ler.hooks import current, steps
from clm_ler.hooks.steps import StepHooks


@pytest.fixture
def clock(monkeypatch):
    """Each look at the clock is a minute after the last."""
    minutes = iter(range(100))
    monkeypatch.setattr(steps.time, "monotonic", lambda: 60 * next(minutes))


def test_a_pipeline_is_done_with_the_last_of_its_nodes(clock, caplog):
    caplog.set_level(logging.INFO)
    run = current.Run(None, {}, {})
    token = current._RUN.set(run)
    nodes = [
        Node(len, name, f"{name}_", name=name, namespace=space)
        for name, space in (("a", "split"), ("b", "vocab"), ("c", "split"))
    ]
    hooks = StepHooks()
    hooks.before_pipeline_run(Pipeline(nodes))
    for node in nodes:
        hooks.before_node_run(node)
    assert caplog.messages[0].startswith("3 steps of ")
    hooks.after_pipeline_run()
    current._RUN.reset(token)
    assert caplog.messages[1:] == ["vocab: done in 1 min 0 s", "split: done in 2 min 0 s"]
    assert run.steps.left == Counter({"split": 0, "vocab": 0})
    hooks.after_pipeline_run()  # outside a run nothing is told


@pytest.mark.parametrize(
    ("seconds", "told"), [(4.24, "4.2 s"), (95.4, "1 min 35 s"), (7290, "2 h 1 min")]
)
def test_seconds_are_told_as_a_reader_counts_them(seconds, told):
    assert steps._duration(seconds) == told
