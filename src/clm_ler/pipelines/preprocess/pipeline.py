"""The wiring of ``preprocess``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.preprocess.nodes import (
    select_coded_events,
    select_for_pretraining,
    select_lab_events,
)
from clm_ler.tables.labs import count_lab_values, fit_lab_percentiles, fit_unit_conversions
from clm_ler.tables.sequences import build_sequences


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    options = "params:preprocess"
    return Pipeline(
        [
            Node(
                select_coded_events,
                inputs=["diagnosis", "prescription", "procedure", "demographics", options],
                outputs="coded_events",
                name="select_coded_events",
            ),
            Node(
                select_lab_events,
                inputs=["lab", "demographics", options],
                outputs="lab_events",
                name="select_lab_events",
            ),
            Node(
                count_lab_values,
                inputs=["lab_events", "person_splits", options],
                outputs="lab_value_counts",
                name="count_lab_values",
            ),
            Node(
                fit_unit_conversions,
                inputs=["lab_value_counts", options],
                outputs="unit_conversions",
                name="fit_unit_conversions",
            ),
            Node(
                fit_lab_percentiles,
                inputs=["lab_value_counts", "unit_conversions", options],
                outputs="lab_percentiles",
                name="fit_lab_percentiles",
            ),
            Node(
                build_sequences,
                inputs=[
                    "demographics",
                    "coded_events",
                    "lab_events",
                    "unit_conversions",
                    "lab_percentiles",
                    "person_splits",
                ],
                outputs="all_sequences",
                name="build_sequences",
            ),
            Node(
                select_for_pretraining,
                inputs=["all_sequences", options],
                outputs="sequences",
                name="select_for_pretraining",
            ),
        ]
    )
