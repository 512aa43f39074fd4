"""The wiring of ``vocab``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.wiring import encode
from clm_ler.pipelines.vocab.nodes import (
    build_tokenizer,
    count_tokens,
    plot_coverage,
    report_vocabulary,
)


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    fit = Pipeline(
        [
            Node(
                count_tokens,
                inputs=["sequences", "params:vocab"],
                outputs="token_counts",
                name="count_tokens",
            ),
            Node(
                build_tokenizer,
                inputs=["token_counts", "lab_percentiles", "params:vocab"],
                outputs="tokenizer",
                name="build_tokenizer",
            ),
            Node(
                report_vocabulary,
                inputs=["sequences", "tokenizer", "params:vocab"],
                outputs="vocabulary_report",
                name="report_vocabulary",
            ),
            Node(
                plot_coverage,
                inputs="vocabulary_report",
                outputs="vocabulary_figure",
                name="plot_coverage",
            ),
        ]
    )
    return fit + encode()
