"""The wiring of ``cohort_omop``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

nodes = Functions("clm_ler.pipelines.cohort_omop.nodes")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline; it only ever writes simulated data."""
    cdm = Node(
        nodes.simulate_cdm,
        inputs=["params:cohort", "params:seed"],
        outputs="simulated_cdm",
        name="simulate_cdm",
    )
    return Pipeline([cdm], tags="simulation")
