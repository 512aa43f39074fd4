"""The run in progress: what its hooks share.

Kedro makes the hooks once for all runs of a process, one after the other or in several threads. So
none of them keeps anything itself: what belongs to a run is here, and each thread sees its own.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from clm_ler.config import ConfigLoader

if TYPE_CHECKING:
    from filelock import FileLock

    from clm_ler.hooks.simulation import Simulation
    from clm_ler.hooks.steps import Steps
    from clm_ler.hooks.wandb import Tracking


@dataclass
class Run:
    """One run, from its configuration to its last node.

    Attributes:
        context: Kedro's context, with the configuration loader.
        settings: The globals, values of the command line on top.
        parameters: Those of the files and the command line, not yet checked.
        catalog: The datasets; there when the pipeline starts.
        simulation: What the simulated hospital writes, where it does.
        tracking: The W&B run, where there is one.
        lock: That of a local storage, while the pipeline runs.
        steps: How far the pipelines are.
    """

    context: KedroContext
    settings: dict[str, Any]
    parameters: dict[str, Any]
    catalog: CatalogProtocol = field(init=False)
    simulation: Simulation | None = None
    tracking: Tracking | None = None
    lock: FileLock | None = None
    steps: Steps | None = None


_RUN: ContextVar[Run | None] = ContextVar("run", default=None)


def current_run() -> Run | None:
    """Return the run of this thread; None where there is none, as in a thread that a runner starts."""
    return _RUN.get()


class RunHooks:
    """Begin a run before every other hook and end it after them."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Begin: read what several hooks ask for."""
        loader = cast(ConfigLoader, context.config_loader)
        _RUN.set(Run(context, loader.settings, loader["parameters"]))

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, catalog: CatalogProtocol) -> None:
        """Take the catalog: hooks of single datasets are given none."""
        if run := current_run():
            run.catalog = catalog

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """End."""
        _RUN.set(None)

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """End."""
        _RUN.set(None)
