"""Track Kedro runs in Weights & Biases, as the catalog's metadata say."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol

from clm_ler import __version__
from clm_ler.files.location import dataset_location
from clm_ler.hooks.current import current_run

if TYPE_CHECKING:
    import wandb


@dataclass
class Tracking:
    """What is being recorded of one run.

    Attributes:
        run: The open W&B run.
        recorded: Names of the datasets that are artifacts of it.
        inputs: Checksums of what it read, where W&B is offline.
    """

    run: wandb.Run
    recorded: set[str] = field(default_factory=set)
    inputs: dict[str, str] = field(default_factory=dict)


class WandbHooks:
    """Open one W&B run for each Kedro run and record what it read and wrote.

    A catalog entry takes part by ``metadata: {wandb: KIND}``: ``metrics`` (a dictionary) goes into
    the summary and ``figure`` (plotly) into the charts; ``dataset`` and ``model`` become artifacts
    by reference: address, sizes and checksums are recorded, the content stays where it is.
    """

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Open the run, unless tracking is off.

        Raises:
            ValueError: If the mode is none, or the parameters name a person.
            RuntimeError: If W&B is missing, or begins no run.
        """
        run = current_run()
        options = dict(run.context.config_loader["wandb"]) if run else {"mode": "disabled"}
        if run is None or options["mode"] == "disabled":
            return
        if options["mode"] not in ("offline", "online"):
            raise ValueError(f"wandb must be disabled, offline or online, not {options['mode']!r}.")
        # W&B takes the parameters, and the command line as it stands.
        if (run.parameters.get("explain") or {}).get("person") is not None:
            raise ValueError(
                "explain.person is the id of a person: give it in a run without wandb."
            )
        try:
            import wandb
        except ImportError as error:
            raise RuntimeError("Tracking needs W&B: pip install 'clm-ler[wandb]'") from error
        try:
            opened = wandb.init(
                job_type=",".join(_in_order(run_params["pipeline_names"] or ["__default__"])),
                resume="allow",
                settings=wandb.Settings(console="off"),
                **options,
            )
        except wandb.Error as error:  # no login, no server
            raise RuntimeError(
                f"W&B begins no run: {error} --params=wandb=offline needs none."
            ) from error
        told = {"environment": run_params["env"], "clm_ler": __version__}
        # Values may change where an earlier run goes on.
        opened.config.update({**run.parameters, **told}, allow_val_change=True)
        run.tracking = Tracking(opened)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Record an output."""
        if (run := current_run()) and run.tracking:
            _record_output(run.tracking, run.catalog, dataset_name, data)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Record an input that an earlier run made, so that a model leads back to its data."""
        if data is not None and (run := current_run()) and run.tracking:
            _record_input(run.tracking, run.catalog, dataset_name)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the run."""
        _close(0)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Close the run as failed."""
        _close(1)


def _in_order(names: list[str]) -> list[str]:
    """Return pipelines in the order of the registry; Kedro gives them in any."""
    return sorted(names, key=[*pipelines, *names].index)


def _close(exit_code: int) -> None:
    if (run := current_run()) and run.tracking:
        run.tracking.run.finish(exit_code=exit_code)
        run.tracking = None


def _record_output(tracking: Tracking, catalog: CatalogProtocol, name: str, data: Any) -> None:
    kind = _kind(catalog, name)
    if kind == "metrics":
        tracking.run.summary.update({name: data})
    elif kind == "figure":
        import wandb

        tracking.run.log({name: wandb.Plotly(data)})
    elif kind:
        tracking.recorded.add(name)
        tracking.run.log_artifact(_reference(catalog, name, kind))


def _record_input(tracking: Tracking, catalog: CatalogProtocol, name: str) -> None:
    kind = _kind(catalog, name)
    if kind not in ("dataset", "model") or name in tracking.recorded:
        return
    tracking.recorded.add(name)
    artifact = _reference(catalog, name, kind)
    if tracking.run.offline:  # W&B resolves inputs on its server only
        tracking.inputs[name] = artifact.digest
        tracking.run.config.update({"inputs": tracking.inputs}, allow_val_change=True)
    else:
        tracking.run.use_artifact(artifact)


def _kind(catalog: CatalogProtocol, name: str) -> str | None:
    metadata = getattr(catalog[name], "metadata", None) if name in catalog else None
    return (metadata or {}).get("wandb")


def _reference(catalog: CatalogProtocol, name: str, kind: str) -> wandb.Artifact:
    import wandb

    address = dataset_location(catalog[name])
    if address is None:
        raise ValueError(f"{name} lies nowhere that W&B could refer to")
    artifact = wandb.Artifact(name, type=kind)
    # Without limit: a table of many persons has many files.
    artifact.add_reference(
        address if "://" in address else f"file://{address}", max_objects=sys.maxsize
    )
    return artifact
