"""The wiring of ``preprocess``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.pipelines.preprocess import nodes
from clm_ler.tables.labs.results import count_lab_values

EVENTS = ["coded_events", "lab_events"]
FITTED = ["unit_conversions", "lab_percentiles"]
OPTIONS = "params:preprocess"
READING = [OPTIONS, "given_translations"]


def read_events(whose: str = "") -> Pipeline:
    """Return the nodes from raw tables to ``coded_events`` and ``lab_events``.

    Args:
        whose: What their names begin with, such as ``new_`` for the persons of ``predict``.
    """
    screened = [f"{whose}screened_coded_events", f"{whose}screened_lab_events"]
    named = [f"{whose}named_coded_events", f"{whose}named_lab_events"]
    counts, demographics = f"{whose}raw_row_counts", f"{whose}demographics"
    return Pipeline(
        [
            Node(
                nodes.screen_coded_events,
                inputs=["diagnosis", "prescription", "procedure", demographics, OPTIONS],
                outputs=screened[0],
                name=f"screen_{whose}coded_events",
            ),
            Node(
                nodes.screen_lab_events,
                inputs=["lab", demographics, OPTIONS],
                outputs=screened[1],
                name=f"screen_{whose}lab_events",
            ),
            Node(
                nodes.name_events,
                inputs=[screened[0], *READING],
                outputs=named[0],
                name=f"name_{whose}coded_events",
            ),
            Node(
                nodes.name_events,
                inputs=[screened[1], *READING],
                outputs=named[1],
                name=f"name_{whose}lab_events",
            ),
            Node(
                nodes.count_raw_rows,
                inputs=["patient", *named, OPTIONS],
                outputs=counts,
                name=f"count_{whose}raw_rows",
            ),
            Node(
                nodes.keep_coded_events,
                inputs=[named[0], counts, OPTIONS],
                outputs=f"{whose}coded_events",
                name=f"keep_{whose}coded_events",
            ),
            Node(
                nodes.keep_lab_events,
                inputs=[named[1], counts, OPTIONS],
                outputs=f"{whose}lab_events",
                name=f"keep_{whose}lab_events",
            ),
        ]
    )


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    fit_and_build = Pipeline(
        [
            Node(
                count_lab_values,
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
                inputs=["lab_value_counts", "unit_conversions", "given_lab_percentiles", OPTIONS],
                outputs="lab_percentiles",
                name="provide_lab_percentiles",
            ),
            Node(
                nodes.count_lab_tokens,
                inputs=["lab_events", *FITTED],
                outputs="lab_token_counts",
                name="count_lab_tokens",
            ),
            Node(
                nodes.measure_persons,
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
                ],
                outputs=["loss_ledger", "cutflow", "loss_figure"],
                name="account_for_rows",
            ),
        ]
    )
    return read_events() + fit_and_build
