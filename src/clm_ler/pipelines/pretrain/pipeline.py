"""The wiring of ``pretrain``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

figures = Functions("clm_ler.pipelines.pretrain.figures")
nodes = Functions("clm_ler.pipelines.pretrain.nodes")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return Pipeline(
        [
            Node(
                nodes.fit_targets,
                inputs=["encoded_sequences", "tokenizer", "params:pretrain"],
                outputs="pretrain_targets",
                name="fit_targets",
            ),
            Node(
                nodes.train_model,
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
                nodes.measure_model,
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
                nodes.publish_model,
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
                figures.plot_curves,
                inputs=["pretrain_history", "pretrain_metrics", "params:pretrain"],
                outputs="pretrain_curves",
                name="plot_curves",
            ),
        ]
    )
