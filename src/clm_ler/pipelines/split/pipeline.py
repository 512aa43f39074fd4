"""The wiring of ``split``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.wiring import select_persons
from clm_ler.pipelines.split.nodes import assign_splits


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    assign = Pipeline(
        [
            Node(
                assign_splits,
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
