"""What the page tells of, where it was made."""

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
ARTIFACTS = (*TABLES, *DOCUMENTS, *FIGURES)
