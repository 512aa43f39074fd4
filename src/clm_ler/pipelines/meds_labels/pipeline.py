"""The wiring of ``meds_labels``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

meds = Functions("clm_ler.tables.meds")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [Node(meds.meds_labels, inputs="labels", outputs="meds_labels", name="meds_labels")]
    )
