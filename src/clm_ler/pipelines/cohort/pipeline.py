"""The wiring of ``cohort``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

nodes = Functions("clm_ler.pipelines.cohort.nodes")

# What each node makes, with its size and its seed, and what needs neither.
DRAWN: dict[str, str | list[str]] = {
    "simulate_patients": "patient",
    "simulate_diagnoses": "diagnosis",
    "simulate_prescriptions": "prescription",
    "simulate_procedures": "procedure",
    "simulate_labs": "lab",
    "simulate_visits": "visit",
    "simulate_deaths": "death",
    "simulate_labels": "raw_labels",
    "simulate_truth": "cohort_truth",
    "simulate_ehrshot_events": "ehrshot_events",
    "simulate_ehrshot_splits": "ehrshot_splits",
    "simulate_ehrshot_benchmark": ["ehrshot_labels", "ehrshot_shots", "ehrshot_truth"],
}
FIXED: dict[str, str | list[str]] = {
    "simulate_causes": "cohort_causes",
    "simulate_code_names": "code_names",
    "simulate_umls": ["umls_conso", "umls_sat", "umls_rel", "umls_files"],
}


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline; every node only ever writes simulated data."""
    drawing = ["params:cohort", "params:seed"]
    parts = [(name, drawing, made) for name, made in DRAWN.items()]
    parts += [(name, [], made) for name, made in FIXED.items()]
    return Pipeline(
        [Node(getattr(nodes, name), inputs, made, name=name) for name, inputs, made in parts],
        tags="simulation",
    )
