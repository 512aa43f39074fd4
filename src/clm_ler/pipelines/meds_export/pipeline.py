"""The wiring of ``meds_export``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

meds = Functions("clm_ler.tables.meds")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(
                meds.meds_events, inputs="sequences", outputs="meds_sequences", name="meds_events"
            ),
            Node(
                meds.meds_subject_splits,
                inputs="sequences",
                outputs="meds_subject_splits",
                name="meds_subject_splits",
            ),
            Node(meds.meds_codes, inputs="meds_sequences", outputs="meds_codes", name="meds_codes"),
            Node(
                meds.meds_description, inputs=None, outputs="meds_dataset", name="meds_description"
            ),
        ]
    )
