"""Track Kedro runs in Weights & Biases, as the catalog's metadata say."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from clm_ler import __version__
from clm_ler.files.location import dataset_location

if TYPE_CHECKING:
    from wandb import Artifact, Run


class WandbHooks:
    """Open one W&B run for each Kedro run and record what it read and wrote.

    A catalog entry takes part by ``metadata: {wandb: KIND}``: ``metrics`` (a dictionary) goes into
    the summary and ``figure`` (plotly) into the charts; ``dataset`` and ``model`` become artifacts
    by reference: address, sizes and checksums are recorded, the content stays where it is.
    """

    def __init__(self) -> None:
        self._run: Run | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read the settings of ``wandb.yml`` and the parameters that a run records."""
        self._settings = dict(context.config_loader["wandb"])
        self._parameters = context.config_loader["parameters"]

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: CatalogProtocol) -> None:
        """Open the run, unless tracking is off."""
        if self._settings["mode"] == "disabled":
            return
        try:
            import wandb
        except ImportError as error:
            raise RuntimeError("Tracking needs W&B: pip install 'clm-ler[wandb]'") from error
        self._catalog = catalog
        self._seen: set[str] = set()
        self._inputs: dict[str, str] = {}
        self._run = wandb.init(
            job_type=",".join(run_params["pipeline_names"] or ["__default__"]),
            resume="allow",
            settings=wandb.Settings(console="off"),
            **self._settings,
        )
        told = {"environment": run_params["env"], "clm_ler": __version__}
        # Values may change where an earlier run goes on.
        self._run.config.update({**self._parameters, **told}, allow_val_change=True)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Record an output."""
        kind = self._kind(dataset_name)
        if self._run is None or kind is None:
            return
        if kind == "metrics":
            self._run.summary.update({dataset_name: data})
        elif kind == "figure":
            import wandb

            self._run.log({dataset_name: wandb.Plotly(data)})
        else:
            self._seen.add(dataset_name)
            self._run.log_artifact(self._reference(dataset_name, kind))

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Record an input that an earlier run made, so that a model leads back to its data."""
        kind = self._kind(dataset_name)
        if self._run is None or kind not in ("dataset", "model") or dataset_name in self._seen:
            return
        self._seen.add(dataset_name)
        artifact = self._reference(dataset_name, kind)
        if self._run.offline:  # W&B resolves inputs on its server only
            self._inputs[dataset_name] = artifact.digest
            self._run.config.update({"inputs": self._inputs}, allow_val_change=True)
        else:
            self._run.use_artifact(artifact)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Close the run."""
        self._close(0)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Close the run as failed."""
        self._close(1)

    def _close(self, exit_code: int) -> None:
        if self._run is not None:
            self._run.finish(exit_code=exit_code)
            self._run = None

    def _kind(self, dataset_name: str) -> str | None:
        if self._run is None or dataset_name not in self._catalog:
            return None
        metadata = getattr(self._catalog[dataset_name], "metadata", None) or {}
        return metadata.get("wandb")

    def _reference(self, dataset_name: str, kind: str) -> Artifact:
        import wandb

        address = dataset_location(self._catalog[dataset_name])
        if address is None:
            raise ValueError(f"{dataset_name} lies nowhere that W&B could refer to")
        artifact = wandb.Artifact(dataset_name, type=kind)
        # Without limit: a table of many persons has many files.
        artifact.add_reference(
            address if "://" in address else f"file://{address}", max_objects=sys.maxsize
        )
        return artifact
