"""Inputs that a pipeline can do without, whichever of them there are."""

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from clm_ler.datasets.optional import OptionalDataset

TAG = "may-lack-inputs"


class AbsentInputHooks:
    """Let what only nodes tagged ``may-lack-inputs`` read, and this run does not make, be absent.

    The report tells of whatever was made, by this run or by earlier ones. Its inputs are the entries that
    the other pipelines write, so that in a run of both it comes after them.
    """

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Take each such entry for an optional one."""
        tagged = pipeline.only_nodes_with_tags(TAG)
        others = Pipeline([node for node in pipeline.nodes if node not in tagged.nodes])
        for name in tagged.inputs() & pipeline.inputs() - others.inputs():
            if name in catalog and not name.startswith("param"):
                catalog[name] = OptionalDataset.around(catalog[name])
