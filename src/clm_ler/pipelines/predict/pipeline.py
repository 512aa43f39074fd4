"""The wiring of ``predict``: raw tables of new persons and a trained model's artifacts to risks."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import OPTIONS, encode, read_events, select_persons, sequences_of

corridor = Functions("clm_ler.corridor.nodes")
nodes = Functions("clm_ler.pipelines.predict.nodes")
reasons = Functions("clm_ler.pipelines.predict.reasons")

# Of whom and when something is predicted, and by which model.
ASKED = [
    "new_encoded",
    "new_sequences",
    "new_person_ids",
    "prediction_times",
    "trained_tokenizer",
    "trained_finetuned_model",
]


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    predict = Pipeline(
        [
            Node(
                corridor.extend_units,
                inputs=["trained_unit_conversions", "new_lab_events", OPTIONS],
                outputs="new_unit_conversions",
                name="convert_new_units",
            ),
            Node(
                nodes.mark_new,
                inputs=["new_demographics", "prediction_times"],
                outputs="new_persons",
                name="mark_new",
            ),
            Node(
                nodes.predict_persons,
                inputs=[*ASKED, OPTIONS],
                outputs="predictions",
                name="predict_persons",
            ),
            Node(
                nodes.predict_hybrid,
                inputs=[*ASKED, "trained_hybrid_head", OPTIONS],
                outputs="hybrid_predictions",
                name="predict_hybrid",
            ),
            Node(
                reasons.give_reasons,
                inputs=[*ASKED, "code_names", OPTIONS, "params:predict"],
                outputs="prediction_reasons",
                name="give_reasons",
            ),
            Node(
                nodes.list_skipped,
                inputs=[
                    "new_demographics",
                    "predictions",
                    "new_person_ids",
                    "prediction_times",
                    OPTIONS,
                ],
                outputs="skipped_predictions",
                name="list_skipped",
            ),
            Node(
                nodes.export_predictions,
                inputs=["prediction_times", "predictions", "hybrid_predictions", OPTIONS],
                outputs="meds_predictions",
                name="export_predictions",
            ),
        ]
    )
    sequences = sequences_of(
        "new_", "new_unit_conversions", "trained_lab_percentiles", "new_persons"
    )
    read = select_persons("new_") + read_events("new_")
    return read + sequences + encode("new_", "trained_tokenizer") + predict
