"""The wiring of ``embed``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

samples = Functions("clm_ler.corridor.samples")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(
                samples.export_embeddings,
                inputs=[
                    "samples",
                    "labelled_encoded",
                    "tokenizer",
                    "pretrained_model",
                    "params:finetune",
                ],
                outputs="embeddings",
                name="embed_samples",
            ),
        ]
    )
