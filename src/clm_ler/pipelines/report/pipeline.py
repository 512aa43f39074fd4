"""The wiring of ``report``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import MAY_LACK_INPUTS
from clm_ler.pipelines.report.artifacts import ARTIFACTS

nodes = Functions("clm_ler.pipelines.report.nodes")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline; its inputs may be absent, see ``hooks/absent.py``."""
    return Pipeline(
        [
            Node(
                nodes.write_report,
                inputs=["parameters", "params:report", *ARTIFACTS],
                outputs="report",
                name="write_report",
                tags=MAY_LACK_INPUTS,
            )
        ]
    )
