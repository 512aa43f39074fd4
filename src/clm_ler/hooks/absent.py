"""Inputs that are not there: those that a pipeline can do without, and those that have to be made first."""

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from clm_ler.corridor.wiring import MAY_LACK_INPUTS
from clm_ler.datasets.optional import OptionalDataset
from clm_ler.files.location import dataset_location

TRAINED = "trained_"  # entries of the storage whose model is applied


class AbsentInputHooks:
    """Let what only nodes tagged :data:`MAY_LACK_INPUTS` read, and this run does not make, be absent.

    The report tells of whatever was made, by this run or by earlier ones. Its inputs are the entries that
    the other pipelines write, so that in a run of both it comes after them.
    """

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Take each such entry for an optional one."""
        tagged = pipeline.only_nodes_with_tags(MAY_LACK_INPUTS)
        others = Pipeline([node for node in pipeline.nodes if node not in tagged.nodes])
        for name in tagged.inputs() & pipeline.inputs() - others.inputs():
            if name in catalog and not name.startswith("param"):
                catalog[name] = OptionalDataset.around(catalog[name])


class MissingInputHooks:
    """Say before the first node which input is not there, and which pipeline makes it.

    Raw tables are not looked for here: what may lack of them is for the parameters to say.
    """

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Look for what earlier runs have to have made.

        Raises:
            ValueError: If something is not there, or if this run makes it under another name, that is, in no
                order: it might be read before, as an earlier run has left it.
        """
        _check_order(pipeline, catalog)
        for name in sorted(pipeline.inputs()):
            absent = _is_kept(name, catalog) and not catalog.exists(name)
            if absent and (makers := _makers(name)):
                raise ValueError(f"{name} is not there: run {' or '.join(makers)} first.")


def _check_order(pipeline: Pipeline, catalog: CatalogProtocol) -> None:
    """Raise ``ValueError`` where a pipeline would apply what another one of this run is to train."""
    makers = {
        dataset_location(catalog.get(name)): node.namespace
        for node in pipeline.nodes
        for name in node.outputs
    }
    for name in sorted(name for name in pipeline.inputs() if name.startswith(TRAINED)):
        maker = makers.get(dataset_location(catalog.get(name)) or "")
        for reader in pipeline.only_nodes_with_inputs(name).nodes:
            if maker and maker != reader.namespace:
                raise ValueError(
                    f"{reader.namespace} reads {name}, which {maker} writes: run {reader.namespace} "
                    "afterwards, in a run of its own, or it may take what an earlier run has left."
                )


def _makers(name: str) -> list[str]:
    """Return the pipelines that make an entry: of all, while a run loads only those that it was asked for."""
    pipelines.set_requested(None)
    named = (one for one in sorted(pipelines) if one != "__default__")
    return [one for one in named if name in pipelines[one].all_outputs()]


def _is_kept(name: str, catalog: CatalogProtocol) -> bool:
    """Return whether an entry lies somewhere after a run, and is neither raw nor optional."""
    dataset = catalog.get(name)
    about = getattr(dataset, "metadata", None) or {}
    return (
        dataset_location(dataset) is not None
        and not isinstance(dataset, OptionalDataset)
        and about.get("kedro-viz", {}).get("layer") not in (None, "raw")
    )
