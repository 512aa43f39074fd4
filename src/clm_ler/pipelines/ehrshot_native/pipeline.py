"""The wiring of ``ehrshot_native``.

It hands the benchmark's events on as a site's raw tables: a model is then trained on the benchmark's
own train split, in its own codes, so that visits and care sites are kept.
"""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

nodes = Functions("clm_ler.pipelines.ehrshot_native.nodes")
events = Functions("clm_ler.tables.ehrshot.events")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(events.patient_rows, "ehrshot_timeline", "patient", name="take_patients"),
            Node(events.coded_rows, "ehrshot_timeline", "diagnosis", name="take_codes"),
            Node(events.lab_rows, "ehrshot_timeline", "lab", name="take_labs"),
            Node(
                nodes.adopt_splits, "ehrshot_person_splits", "predefined_splits", name="take_splits"
            ),
            Node(
                nodes.keep_codes,
                inputs=["source_codes", "params:preprocess", "given_translations"],
                outputs="code_translations",
                name="keep_codes",
            ),
        ]
    )
