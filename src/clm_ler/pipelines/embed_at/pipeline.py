"""The wiring of ``embed_at``: a table of persons and times to vectors, without any labels."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import OPTIONS, sequences_at

corridor = Functions("clm_ler.corridor.nodes")
samples = Functions("clm_ler.corridor.samples")
tables = Functions("clm_ler.tables.samples")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    embed = Pipeline(
        [
            Node(
                corridor.select_prediction_times,
                inputs=["prediction_times", "person_ids", OPTIONS],
                outputs="timed_persons",
                name="select_prediction_times",
            ),
            Node(
                tables.label_samples,
                inputs=["timed_persons", "timed_sequences"],
                outputs="timed_candidates",
                name="look_at_times",
            ),
            Node(
                corridor.visible_times,
                inputs="timed_candidates",
                outputs="timed_samples",
                name="select_visible_times",
            ),
            Node(
                samples.export_embeddings,
                inputs=[
                    "timed_samples",
                    "timed_encoded",
                    "tokenizer",
                    "pretrained_model",
                    "params:finetune",
                ],
                outputs="timed_embeddings",
                name="embed_times",
            ),
        ]
    )
    return embed + sequences_at("timed_persons", "timed_")
