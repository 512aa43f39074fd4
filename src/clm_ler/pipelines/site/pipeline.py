"""The wiring of ``site``: what goes around the translation of codes and ``predict``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import OPTIONS, count_site_codes

corridor = Functions("clm_ler.corridor.nodes")
nodes = Functions("clm_ler.pipelines.site.nodes")
report = Functions("clm_ler.pipelines.site.report")
summary = Functions("clm_ler.pipelines.site.summary")

EVENTS = ["new_coded_events", "new_lab_events"]
EVALUATED = ["predictions", "site_labels", "new_demographics"]
SITE = "params:site"
# What `umls_mapping` and `predict` call what they take; here it is the kit's, or made on the way.
MAPPED = {"tokenizer": "trained_tokenizer"}
PREDICTED = {"given_translations": "site_translations", "prediction_times": "site_times"}


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline without ``umls_mapping`` and ``predict``, which the registry adds."""
    ask = Pipeline(
        [
            Node(
                nodes.add_translations,
                inputs=["code_translations", "trained_code_translations", "source_codes"],
                outputs="site_translations",
                name="add_translations",
            ),
            Node(
                nodes.select_label_rows,
                inputs=["raw_labels", "task_candidates", "params:task", "params:finetune", OPTIONS],
                outputs="site_label_rows",
                name="select_site_label_rows",
            ),
            Node(
                nodes.find_labels,
                inputs=[
                    "site_label_rows",
                    "task_candidates",
                    "new_person_ids",
                    *EVENTS,
                    "params:task",
                ],
                outputs="site_labels",
                name="find_labels",
            ),
            Node(
                nodes.ask_times,
                inputs=["site_labels", "prediction_times", *EVENTS],
                outputs="site_times",
                name="ask_times",
            ),
        ]
    )
    tell = Pipeline(
        [
            Node(
                corridor.count_lab_tokens,
                inputs=["new_lab_events", "new_unit_conversions", "trained_lab_percentiles"],
                outputs="site_lab_token_counts",
                name="count_site_lab_tokens",
            ),
            Node(
                nodes.count_persons_by_code,
                inputs=EVENTS,
                outputs="site_tokens",
                name="count_site_tokens",
            ),
            Node(
                summary.recalibrate_site,
                inputs=[*EVALUATED, SITE],
                outputs="site_recalibration",
                name="recalibrate_site",
            ),
            Node(
                nodes.recalibrate_predictions,
                inputs=["predictions", "site_recalibration"],
                outputs="site_predictions",
                name="recalibrate_predictions",
            ),
            Node(
                summary.summarise_site,
                inputs=[
                    *EVALUATED,
                    "site_recalibration",
                    "new_raw_row_counts",
                    "site_lab_token_counts",
                    "site_tokens",
                    "trained_contribution_summary",
                    "kit_inventory",
                    "kit_calibration",
                    "params:finetune",
                    OPTIONS,
                    SITE,
                ],
                outputs="site_summary",
                name="summarise_site",
            ),
            Node(
                report.write_site_report,
                inputs=["site_summary", SITE],
                outputs="site_report",
                name="write_site_report",
            ),
        ]
    )
    return count_site_codes() + ask + tell
