"""Say of each pipeline that it is done, and how long it took."""

import logging
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from kedro.framework.hooks import hook_impl
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from clm_ler.hooks.current import current_run

logger = logging.getLogger(__name__)


@dataclass
class Steps:
    """How far the pipelines of a run are.

    Attributes:
        left: How many nodes each has still to run.
        seconds: That each took so far.
        nodes: Seconds of each node that has ended, by its name.
        running: The node that runs, and since when.
    """

    left: Counter[str]
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    nodes: dict[str, float] = field(default_factory=dict)
    running: tuple[Node, float] | None = None


class StepHooks:
    """A line for each pipeline. A node lasts until the next one begins: its tables are written last."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline) -> None:
        """Count the nodes."""
        if run := current_run():
            run.steps = Steps(Counter(map(pipeline_of, pipeline.nodes)))
            names = ", ".join(dict.fromkeys(map(pipeline_of, pipeline.nodes)))
            logger.info("%d steps of %s", len(pipeline.nodes), names)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Turn to the node."""
        _turn_to(node)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End the last node."""
        _turn_to(None)


def _turn_to(node: Node | None) -> None:
    """End the node that runs, and begin this one."""
    if (run := current_run()) is None or (steps := run.steps) is None:
        return
    now = time.monotonic()
    if steps.running is not None:
        last, began = steps.running
        ended = pipeline_of(last)
        steps.nodes[last.name] = now - began
        steps.seconds[ended] += now - began
        steps.left[ended] -= 1
        if not steps.left[ended]:
            logger.info("%s: done in %s", ended, _duration(steps.seconds[ended]))
    steps.running = None if node is None else (node, now)


def pipeline_of(node: Node) -> str:
    """Return the name of the pipeline that a node is part of."""
    return node.namespace or node.name


def _duration(seconds: float) -> str:
    """Return seconds as a reader counts them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
