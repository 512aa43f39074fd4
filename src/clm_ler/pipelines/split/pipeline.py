"""The wiring of ``split``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.preprocess.nodes import select_demographics
from clm_ler.pipelines.split.nodes import assign_splits


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(
                select_demographics,
                inputs=["patient", "params:preprocess", "given_translations"],
                outputs="demographics",
                name="select_demographics",
            ),
            Node(
                assign_splits,
                inputs=[
                    "demographics",
                    "predefined_splits",
                    "pretraining_persons",
                    "params:split",
                ],
                outputs="person_splits",
                name="assign_splits",
            ),
        ]
    )
