"""The wiring of ``vocab``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import encode

nodes = Functions("clm_ler.pipelines.vocab.nodes")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    fit = Pipeline(
        [
            Node(
                nodes.count_tokens,
                inputs=["sequences", "params:vocab"],
                outputs="token_counts",
                name="count_tokens",
            ),
            Node(
                nodes.build_tokenizer,
                inputs=["token_counts", "lab_percentiles", "params:vocab", "parent_tokenizer"],
                outputs="tokenizer",
                name="build_tokenizer",
            ),
            Node(
                nodes.report_vocabulary,
                inputs=["sequences", "tokenizer", "params:vocab"],
                outputs="vocabulary_report",
                name="report_vocabulary",
            ),
            Node(
                nodes.plot_coverage,
                inputs="vocabulary_report",
                outputs="vocabulary_figure",
                name="plot_coverage",
            ),
        ]
    )
    return fit + encode()
