"""The wiring of ``split``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import select_persons

nodes = Functions("clm_ler.pipelines.split.nodes")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    assign = Pipeline(
        [
            Node(
                nodes.assign_splits,
                inputs=[
                    "demographics",
                    "predefined_splits",
                    "pretraining_persons",
                    "person_ids",
                    "params:split",
                ],
                outputs="person_splits",
                name="assign_splits",
            ),
        ]
    )
    return select_persons() + assign
