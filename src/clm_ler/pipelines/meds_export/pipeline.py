"""The wiring of ``meds_export``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.tables.meds import meds_codes, meds_description, meds_events, meds_subject_splits


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(meds_events, inputs="sequences", outputs="meds_sequences", name="meds_events"),
            Node(
                meds_subject_splits,
                inputs="sequences",
                outputs="meds_subject_splits",
                name="meds_subject_splits",
            ),
            Node(meds_codes, inputs="meds_sequences", outputs="meds_codes", name="meds_codes"),
            Node(meds_description, inputs=None, outputs="meds_dataset", name="meds_description"),
        ]
    )
