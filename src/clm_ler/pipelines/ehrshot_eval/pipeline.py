"""The wiring of ``ehrshot_eval``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.wiring import encode
from clm_ler.pipelines.ehrshot_eval import nodes
from clm_ler.tables.ehrshot.events import read_events, token_ancestors

# Shared with ``ehrshot_native``.
SEQUENCE_NODES = (
    Node(
        read_events,
        inputs="ehrshot_events",
        outputs="ehrshot_timeline",
        name="read_ehrshot_events",
    ),
    Node(
        nodes.read_splits,
        inputs="ehrshot_splits",
        outputs="ehrshot_person_splits",
        name="read_ehrshot_splits",
    ),
    Node(
        nodes.extend_units,
        inputs=["ehrshot_timeline", "code_translations", "unit_conversions", "params:preprocess"],
        outputs="extended_unit_conversions",
        name="extend_ehrshot_units",
    ),
    Node(
        nodes.build_ehrshot_sequences,
        inputs=[
            "ehrshot_timeline",
            "code_translations",
            "extended_unit_conversions",
            "lab_percentiles",
            "ehrshot_person_splits",
        ],
        outputs="ehrshot_sequences",
        name="build_ehrshot_sequences",
    ),
)


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    options = "params:ehrshot_eval"
    protocol = Pipeline(
        [
            *SEQUENCE_NODES,
            Node(
                nodes.read_samples,
                inputs=["ehrshot_labels", "ehrshot_splits", options],
                outputs="ehrshot_samples",
                name="read_ehrshot_samples",
            ),
            Node(
                nodes.count_events_left,
                inputs=["ehrshot_timeline", "code_translations"],
                outputs="ehrshot_ledger",
                name="count_ehrshot_events",
            ),
            Node(
                nodes.embed_samples,
                inputs=[
                    "ehrshot_encoded",
                    "ehrshot_sequences",
                    "ehrshot_samples",
                    "tokenizer",
                    "pretrained_model",
                    options,
                ],
                outputs="ehrshot_embeddings",
                name="embed_ehrshot_samples",
            ),
            Node(
                nodes.fit_native_labs,
                inputs=["ehrshot_timeline", "ehrshot_person_splits", "params:preprocess"],
                outputs=["ehrshot_unit_conversions", "ehrshot_lab_percentiles"],
                name="fit_native_labs",
            ),
            Node(
                nodes.collect_count_tokens,
                inputs=[
                    "ehrshot_timeline",
                    "ehrshot_unit_conversions",
                    "ehrshot_lab_percentiles",
                ],
                outputs="ehrshot_count_tokens",
                name="collect_count_tokens",
            ),
            Node(
                token_ancestors,
                inputs=["ehrshot_count_tokens", "omop_concept", "omop_concept_ancestor"],
                outputs="ehrshot_token_ancestors",
                name="find_token_ancestors",
            ),
            Node(
                nodes.fit_cells,
                inputs=[
                    "ehrshot_samples",
                    "ehrshot_shots",
                    "ehrshot_embeddings",
                    "ehrshot_count_tokens",
                    "ehrshot_token_ancestors",
                    "ehrshot_encoded",
                    "tokenizer",
                    "pretrained_model",
                    options,
                ],
                outputs="ehrshot_cells",
                name="fit_cells",
            ),
            Node(
                nodes.collect_predictions,
                inputs=["ehrshot_cells", "ehrshot_samples"],
                outputs="ehrshot_predictions",
                name="collect_predictions",
            ),
            Node(
                nodes.tabulate_results,
                inputs=["ehrshot_cells", "ehrshot_samples", "ehrshot_truth", options],
                outputs=["ehrshot_results", "ehrshot_summary", "ehrshot_differences"],
                name="tabulate_results",
            ),
            Node(
                nodes.split_by_task,
                inputs="ehrshot_results",
                outputs="ehrshot_results_by_task",
                name="split_results_by_task",
            ),
            Node(
                nodes.plot_results,
                inputs=["ehrshot_summary", "ehrshot_differences"],
                outputs=[
                    "ehrshot_figure_groups",
                    "ehrshot_figure_tasks",
                    "ehrshot_figure_differences",
                    "ehrshot_figure_table",
                ],
                name="plot_results",
            ),
        ]
    )
    return encode("ehrshot_") + protocol
