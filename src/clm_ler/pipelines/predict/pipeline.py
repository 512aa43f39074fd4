"""The wiring of ``predict``: raw tables of new persons and a trained model's artifacts to risks."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.predict.nodes import convert_new_units, mark_new, predict_persons
from clm_ler.pipelines.preprocess.nodes import select_demographics
from clm_ler.pipelines.preprocess.pipeline import OPTIONS, READING, read_events
from clm_ler.pipelines.vocab.nodes import encode_sequences
from clm_ler.tables.sequences import build_sequences


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    predict = Pipeline(
        [
            Node(
                select_demographics,
                inputs=["patient", *READING],
                outputs="new_demographics",
                name="select_new_demographics",
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
                inputs=["new_encoded", "trained_tokenizer", "trained_finetuned_model"],
                outputs="predictions",
                name="predict_persons",
            ),
        ]
    )
    return read_events("new_") + predict
