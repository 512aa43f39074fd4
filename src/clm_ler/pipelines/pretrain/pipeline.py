"""The wiring of ``pretrain``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.pretrain.nodes import (
    fit_targets,
    measure_model,
    publish_model,
    train_model,
)
from clm_ler.pipelines.pretrain.report import plot_curves


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(
                fit_targets,
                inputs=["encoded_sequences", "tokenizer", "params:pretrain"],
                outputs="pretrain_targets",
                name="fit_targets",
            ),
            Node(
                train_model,
                inputs=[
                    "encoded_sequences",
                    "tokenizer",
                    "pretrain_targets",
                    "parent_model",
                    "parent_tokenizer",
                    "pretrain_workspace",
                    "params:pretrain",
                    "params:seed",
                ],
                outputs=["trained_model", "training_speed", "pretrain_history"],
                name="train_model",
            ),
            Node(
                measure_model,
                inputs=[
                    "trained_model",
                    "training_speed",
                    "encoded_sequences",
                    "tokenizer",
                    "pretrain_targets",
                    "params:pretrain",
                    "params:seed",
                ],
                outputs="pretrain_metrics",
                name="measure_model",
            ),
            Node(
                publish_model,
                inputs=[
                    "trained_model",
                    "tokenizer",
                    "pretrain_metrics",
                    "encoded_sequences",
                    "params:pretrain",
                ],
                outputs="pretrained_model",
                name="publish_model",
            ),
            Node(
                plot_curves,
                inputs=["pretrain_history", "pretrain_metrics", "params:pretrain"],
                outputs="pretrain_curves",
                name="plot_curves",
            ),
        ]
    )
