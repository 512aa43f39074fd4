"""The wiring of ``preprocess``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import OPTIONS, named_events, read_events

corridor = Functions("clm_ler.corridor.nodes")
nodes = Functions("clm_ler.pipelines.preprocess.nodes")
results = Functions("clm_ler.tables.labs.results")
screening = Functions("clm_ler.tables.screening")

EVENTS = ["coded_events", "lab_events"]
FITTED = ["unit_conversions", "lab_percentiles"]


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    fit_and_build = Pipeline(
        [
            Node(
                screening.count_years,
                inputs=named_events(""),
                outputs="rows_by_year",
                name="count_years",
            ),
            Node(
                results.count_lab_values,
                inputs=["lab_events", "person_splits", OPTIONS],
                outputs="lab_value_counts",
                name="count_lab_values",
            ),
            Node(
                nodes.provide_unit_conversions,
                inputs=["lab_value_counts", "given_unit_conversions", OPTIONS],
                outputs="unit_conversions",
                name="provide_unit_conversions",
            ),
            Node(
                nodes.provide_lab_percentiles,
                inputs=[
                    "lab_value_counts",
                    "unit_conversions",
                    "lab_events",
                    "person_splits",
                    "given_lab_percentiles",
                    OPTIONS,
                ],
                outputs="lab_percentiles",
                name="provide_lab_percentiles",
            ),
            Node(
                corridor.count_lab_tokens,
                inputs=["lab_events", *FITTED],
                outputs="lab_token_counts",
                name="count_lab_tokens",
            ),
            Node(
                corridor.measure_persons,
                inputs=[*EVENTS, *FITTED, "lab_token_counts", "person_splits", OPTIONS],
                outputs="person_spans",
                name="measure_persons",
            ),
            Node(
                nodes.build_pretraining_sequences,
                inputs=["demographics", *EVENTS, *FITTED, "person_splits", "person_spans", OPTIONS],
                outputs="sequences",
                name="build_pretraining_sequences",
            ),
            Node(
                nodes.account_for_rows,
                inputs=[
                    "raw_row_counts",
                    "lab_token_counts",
                    "person_spans",
                    "sequences",
                    OPTIONS,
                    "params:vocab",
                ],
                outputs=["loss_ledger", "cutflow", "loss_figure"],
                name="account_for_rows",
            ),
        ]
    )
    return read_events() + fit_and_build
