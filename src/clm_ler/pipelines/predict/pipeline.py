"""The wiring of ``predict``: raw tables of new persons and a trained model's artifacts to risks."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.predict.nodes import convert_new_units, mark_new, predict_persons
from clm_ler.pipelines.preprocess import nodes as preprocess
from clm_ler.pipelines.vocab.nodes import encode_sequences
from clm_ler.tables.sequences import build_sequences

OPTIONS = "params:preprocess"
READING = [OPTIONS, "given_translations"]


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(
                preprocess.select_demographics,
                inputs=["patient", *READING],
                outputs="new_demographics",
                name="select_new_demographics",
            ),
            Node(
                preprocess.screen_coded_events,
                inputs=["diagnosis", "prescription", "procedure", "new_demographics", OPTIONS],
                outputs="new_screened_coded_events",
                name="screen_new_coded_events",
            ),
            Node(
                preprocess.screen_lab_events,
                inputs=["lab", "new_demographics", OPTIONS],
                outputs="new_screened_lab_events",
                name="screen_new_lab_events",
            ),
            Node(
                preprocess.name_events,
                inputs=["new_screened_coded_events", *READING],
                outputs="new_named_coded_events",
                name="name_new_coded_events",
            ),
            Node(
                preprocess.name_events,
                inputs=["new_screened_lab_events", *READING],
                outputs="new_named_lab_events",
                name="name_new_lab_events",
            ),
            Node(
                preprocess.count_raw_rows,
                inputs=["patient", "new_named_coded_events", "new_named_lab_events", OPTIONS],
                outputs="new_raw_row_counts",
                name="count_new_raw_rows",
            ),
            Node(
                preprocess.keep_coded_events,
                inputs=["new_named_coded_events", "new_raw_row_counts", OPTIONS],
                outputs="new_coded_events",
                name="keep_new_coded_events",
            ),
            Node(
                preprocess.keep_lab_events,
                inputs=["new_named_lab_events", "new_raw_row_counts", OPTIONS],
                outputs="new_lab_events",
                name="keep_new_lab_events",
            ),
            Node(
                convert_new_units,
                inputs=["trained_unit_conversions", "new_lab_events", OPTIONS],
                outputs="new_unit_conversions",
                name="convert_new_units",
            ),
            Node(mark_new, inputs="new_demographics", outputs="new_persons", name="mark_new"),
            Node(
                build_sequences,
                inputs=[
                    "new_demographics",
                    "new_coded_events",
                    "new_lab_events",
                    "new_unit_conversions",
                    "trained_lab_percentiles",
                    "new_persons",
                ],
                outputs="new_sequences",
                name="build_new_sequences",
            ),
            Node(
                encode_sequences,
                inputs=["new_sequences", "trained_tokenizer"],
                outputs="new_encoded",
                name="encode_new_sequences",
            ),
            Node(
                predict_persons,
                inputs=["new_encoded", "trained_tokenizer", "trained_model"],
                outputs="predictions",
                name="predict_persons",
            ),
        ]
    )
