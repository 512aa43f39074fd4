"""The wiring of ``fhir_read``: the resources of a bulk export to a site's raw tables."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

fhir = Functions("clm_ler.tables.fhir")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    medications = ("request", "statement", "administration")
    return Pipeline(
        [
            Node(fhir.patients, "fhir_patient", "patient", name="take_fhir_patients"),
            Node(
                fhir.diagnoses,
                inputs=["fhir_condition", "fhir_patient"],
                outputs="diagnosis",
                name="take_fhir_diagnoses",
            ),
            Node(
                fhir.prescriptions,
                inputs=[
                    *(f"fhir_medication_{kind}" for kind in medications),
                    "fhir_immunization",
                    "fhir_medication",
                    "fhir_patient",
                ],
                outputs="prescription",
                name="take_fhir_prescriptions",
            ),
            Node(
                fhir.procedures,
                inputs=[
                    "fhir_procedure",
                    "fhir_encounter",
                    "fhir_diagnostic_report",
                    "fhir_observation",
                    "fhir_patient",
                ],
                outputs="procedure",
                name="take_fhir_procedures",
            ),
            Node(
                fhir.results,
                inputs=["fhir_observation", "fhir_patient"],
                outputs="lab",
                name="take_fhir_results",
            ),
        ]
    )
