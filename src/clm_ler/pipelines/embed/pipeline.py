"""The wiring of ``embed``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.embed.nodes import embed_samples


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(
                embed_samples,
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
