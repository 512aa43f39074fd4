"""The wiring of ``report``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions

nodes = Functions("clm_ler.pipelines.report.nodes")


# What the page tells of, where it was made.
TABLES = (
    "contribution_summary",
    "cutflow",
    "ehrshot_verdict",
    "loss_ledger",
    "task_attrition",
    "task_prevalence",
    "unit_conversions",
)
DOCUMENTS = (
    "explanation_checks",
    "finetune_metrics",
    "leakage_report",
    "pretrain_metrics",
    "run_record",
    "vocabulary_report",
)
FIGURES = (
    "contribution_figure",
    "counterfactual_figure",
    "ehrshot_figure_differences",
    "ehrshot_figure_groups",
    "ehrshot_figure_tasks",
    "finetune_calibration",
    "finetune_decision_curve",
    "finetune_precision_recall",
    "finetune_roc",
    "finetune_subgroups",
    "loss_figure",
    "pretrain_curves",
    "task_figure",
    "vocabulary_figure",
)


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline; its inputs may be absent, see ``hooks/report.py``."""
    inputs = {name: name for name in (*TABLES, *DOCUMENTS, *FIGURES)}
    settings = {"parameters": "parameters", "options": "params:report"}
    return Pipeline(
        [
            Node(
                nodes.write_report,
                inputs=settings | inputs,
                outputs="report",
                name="write_report",
                tags="may-lack-inputs",
            )
        ]
    )
