"""The wiring of ``package``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import MAY_LACK_INPUTS, OPTIONS
from clm_ler.pipelines.package.artifacts import ARTIFACTS

floor = Functions("clm_ler.pipelines.package.floor")
labels = Functions("clm_ler.corridor.labels")
nodes = Functions("clm_ler.pipelines.package.nodes")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline; what was not made is absent, see ``hooks/absent.py``."""
    settings = ["params:task", OPTIONS, "params:package"]
    return Pipeline(
        [
            Node(
                floor.count_lab_persons,
                inputs=[
                    "lab_events",
                    "person_splits",
                    "unit_conversions",
                    "lab_percentiles",
                    OPTIONS,
                ],
                outputs="lab_persons",
                name="count_lab_persons",
                tags=MAY_LACK_INPUTS,
            ),
            Node(
                labels.count_label_persons,
                inputs="samples",
                outputs="label_persons",
                name="count_label_persons",
                tags=MAY_LACK_INPUTS,
            ),
            Node(
                nodes.package_kit,
                inputs=[*settings, "lab_persons", "label_persons", *ARTIFACTS],
                outputs="kit",
                name="package_kit",
                tags=MAY_LACK_INPUTS,
            ),
        ]
    )
