"""The wiring of ``ehrshot_eval``: the benchmark's persons through the corridor, then the protocol."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import OPTIONS, encode, keep_events, named_events, sequences_of

corridor = Functions("clm_ler.corridor.nodes")
nodes = Functions("clm_ler.pipelines.ehrshot_eval.nodes")
site = Functions("clm_ler.pipelines.ehrshot_eval.site")
ancestors = Functions("clm_ler.tables.ehrshot.ancestors")

FITTED = ("extended_unit_conversions", "lab_percentiles")
EVENTS = ("ehrshot_coded_events", "ehrshot_lab_events")
CELLS = ("ehrshot_cells", "ehrshot_choices")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    return (
        _read_persons()
        + keep_events("ehrshot_", "code_translations")
        + sequences_of("ehrshot_", *FITTED, "ehrshot_person_splits")
        + encode("ehrshot_")
        + _account()
        + _make_features()
        + _evaluate()
    )


def _read_persons() -> Pipeline:
    """Return what only this site has before the steps of the corridor."""
    return Pipeline(
        [
            Node(
                site.select_demographics,
                inputs=["ehrshot_timeline", "code_translations", OPTIONS],
                outputs="ehrshot_demographics",
                name="select_ehrshot_demographics",
            ),
            Node(
                site.screen_coded_events,
                inputs=["ehrshot_timeline", "ehrshot_demographics", OPTIONS],
                outputs="ehrshot_screened_coded_events",
                name="screen_ehrshot_coded_events",
            ),
            Node(
                site.screen_lab_events,
                inputs=["ehrshot_timeline", "ehrshot_demographics", OPTIONS],
                outputs="ehrshot_screened_lab_events",
                name="screen_ehrshot_lab_events",
            ),
            Node(
                corridor.extend_units,
                inputs=["unit_conversions", "ehrshot_lab_events", OPTIONS],
                outputs="extended_unit_conversions",
                name="extend_ehrshot_units",
            ),
        ]
    )


def _account() -> Pipeline:
    """Return the counts of what each step loses."""
    return Pipeline(
        [
            Node(
                site.count_rows,
                inputs=["ehrshot_timeline", *named_events("ehrshot_"), OPTIONS],
                outputs="ehrshot_raw_row_counts",
                name="count_ehrshot_raw_rows",
            ),
            Node(
                corridor.count_lab_tokens,
                inputs=["ehrshot_lab_events", *FITTED],
                outputs="ehrshot_lab_token_counts",
                name="count_ehrshot_lab_tokens",
            ),
            Node(
                corridor.measure_persons,
                inputs=[
                    *EVENTS,
                    *FITTED,
                    "ehrshot_lab_token_counts",
                    "ehrshot_person_splits",
                    OPTIONS,
                ],
                outputs="ehrshot_person_spans",
                name="measure_ehrshot_persons",
            ),
            Node(
                site.account_for_events,
                inputs=[
                    "ehrshot_raw_row_counts",
                    "ehrshot_lab_token_counts",
                    "ehrshot_person_spans",
                    "ehrshot_sequences",
                ],
                outputs="ehrshot_ledger",
                name="account_for_ehrshot_events",
            ),
        ]
    )


def _make_features() -> Pipeline:
    """Return what classifiers are fitted on: embeddings of the model, and counts."""
    return Pipeline(
        [
            Node(
                nodes.find_seen_events,
                inputs=["ehrshot_samples", "ehrshot_sequences", "params:ehrshot_eval"],
                outputs="ehrshot_seen",
                name="find_seen_events",
            ),
            Node(
                nodes.embed_samples,
                inputs=[
                    "ehrshot_encoded",
                    "ehrshot_seen",
                    "tokenizer",
                    "pretrained_model",
                    "params:ehrshot_eval",
                ],
                outputs="ehrshot_embeddings",
                name="embed_ehrshot_samples",
            ),
            Node(
                nodes.embed_untrained,
                inputs=[
                    "ehrshot_encoded",
                    "ehrshot_seen",
                    "tokenizer",
                    "pretrained_model",
                    "params:ehrshot_eval",
                    "params:seed",
                ],
                outputs="ehrshot_untrained_embeddings",
                name="embed_with_untrained_model",
            ),
            Node(
                site.fit_native_labs,
                inputs=["ehrshot_timeline", "ehrshot_person_splits", OPTIONS],
                outputs=["ehrshot_unit_conversions", "ehrshot_lab_percentiles"],
                name="fit_native_labs",
            ),
            Node(
                site.collect_count_tokens,
                inputs=[
                    "ehrshot_timeline",
                    "ehrshot_unit_conversions",
                    "ehrshot_lab_percentiles",
                ],
                outputs="ehrshot_count_tokens",
                name="collect_count_tokens",
            ),
            Node(
                site.collect_valued_events,
                inputs=["ehrshot_timeline", "ehrshot_unit_conversions"],
                outputs="ehrshot_valued_events",
                name="collect_valued_events",
            ),
            Node(
                ancestors.token_ancestors,
                inputs=["ehrshot_count_tokens", "omop_concept", "omop_concept_ancestor"],
                outputs="ehrshot_token_ancestors",
                name="find_token_ancestors",
            ),
        ]
    )


def _evaluate() -> Pipeline:
    """Return the classifiers and what they are worth."""
    return Pipeline(
        [
            Node(
                nodes.fit_cells,
                inputs=[
                    "ehrshot_samples",
                    "ehrshot_shots",
                    "ehrshot_seen",
                    "ehrshot_embeddings",
                    "ehrshot_untrained_embeddings",
                    "ehrshot_count_tokens",
                    "ehrshot_token_ancestors",
                    "ehrshot_valued_events",
                    "ehrshot_demographics",
                    "ehrshot_encoded",
                    "tokenizer",
                    "pretrained_model",
                    "ehrshot_workspace",
                    "params:ehrshot_eval",
                ],
                outputs="ehrshot_cells",
                name="fit_cells",
            ),
            Node(
                nodes.choose_classifiers,
                inputs=[
                    "ehrshot_cells",
                    "ehrshot_samples",
                    "params:ehrshot_eval",
                    "ehrshot_other_cells",
                    "ehrshot_other_choices",
                ],
                outputs="ehrshot_choices",
                name="choose_classifiers",
            ),
            Node(
                nodes.collect_predictions,
                inputs=[*CELLS, "ehrshot_samples"],
                outputs="ehrshot_predictions",
                name="collect_predictions",
            ),
            Node(
                nodes.tabulate_results,
                inputs=[
                    *CELLS,
                    "ehrshot_samples",
                    "ehrshot_truth",
                    "ehrshot_ceiling",
                    "params:ehrshot_eval",
                ],
                outputs=["ehrshot_results", "ehrshot_summary", "ehrshot_differences"],
                name="tabulate_results",
            ),
            Node(
                nodes.judge_model,
                inputs=[*CELLS, "ehrshot_samples", "params:ehrshot_eval"],
                outputs="ehrshot_verdict",
                name="judge_model",
            ),
            Node(
                nodes.split_by_task,
                inputs="ehrshot_results",
                outputs="ehrshot_results_by_task",
                name="split_results_by_task",
            ),
            Node(
                nodes.plot_results,
                inputs=["ehrshot_summary", "ehrshot_verdict"],
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
