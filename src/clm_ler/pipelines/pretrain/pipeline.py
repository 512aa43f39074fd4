"""The wiring of ``pretrain``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.pretrain.nodes import plot_curves, pretrain_model


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(
                pretrain_model,
                inputs=["encoded_sequences", "tokenizer", "params:pretrain", "params:seed"],
                outputs=["pretrained_model", "pretrain_metrics", "pretrain_history"],
                name="pretrain_model",
            ),
            Node(
                plot_curves,
                inputs=["pretrain_history", "pretrain_metrics"],
                outputs="pretrain_curves",
                name="plot_curves",
            ),
        ]
    )
