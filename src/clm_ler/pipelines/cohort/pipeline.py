"""The wiring of ``cohort``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

nodes = Functions("clm_ler.pipelines.cohort.nodes")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline; every node only ever writes simulated data."""
    parameters = ["params:cohort", "params:seed"]
    return Pipeline(
        [
            Node(nodes.simulate_patients, parameters, "patient", name="simulate_patients"),
            Node(nodes.simulate_diagnoses, parameters, "diagnosis", name="simulate_diagnoses"),
            Node(
                nodes.simulate_prescriptions,
                parameters,
                "prescription",
                name="simulate_prescriptions",
            ),
            Node(nodes.simulate_procedures, parameters, "procedure", name="simulate_procedures"),
            Node(nodes.simulate_labs, parameters, "lab", name="simulate_labs"),
            Node(nodes.simulate_visits, parameters, "visit", name="simulate_visits"),
            Node(nodes.simulate_deaths, parameters, "death", name="simulate_deaths"),
            Node(nodes.simulate_labels, parameters, "raw_labels", name="simulate_labels"),
            Node(nodes.simulate_truth, parameters, "cohort_truth", name="simulate_truth"),
            Node(nodes.simulate_causes, None, "cohort_causes", name="simulate_causes"),
            Node(nodes.simulate_code_names, None, "code_names", name="simulate_code_names"),
            Node(
                nodes.simulate_ehrshot_events,
                parameters,
                "ehrshot_events",
                name="simulate_ehrshot_events",
            ),
            Node(
                nodes.simulate_ehrshot_splits,
                parameters,
                "ehrshot_splits",
                name="simulate_ehrshot_splits",
            ),
            Node(
                nodes.simulate_ehrshot_benchmark,
                parameters,
                ["ehrshot_labels", "ehrshot_shots", "ehrshot_truth"],
                name="simulate_ehrshot_benchmark",
            ),
            Node(
                nodes.simulate_umls,
                None,
                ["umls_conso", "umls_sat", "umls_rel", "umls_files"],
                name="simulate_umls",
            ),
        ],
        tags="simulation",
    )
