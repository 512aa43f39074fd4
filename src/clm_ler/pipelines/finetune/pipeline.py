"""The wiring of ``finetune``."""

from kedro.pipeline import Node, Pipeline

from clm_ler.corridor.deferred import Functions
from clm_ler.corridor.wiring import selected_labels, sequences_at

evaluation = Functions("clm_ler.pipelines.finetune.evaluation")
figures = Functions("clm_ler.pipelines.finetune.figures")
leakage = Functions("clm_ler.pipelines.finetune.leakage")
nodes = Functions("clm_ler.pipelines.finetune.nodes")
tables = Functions("clm_ler.tables.samples")


def create_pipeline(**kwargs: object) -> Pipeline:
    """Return the pipeline."""
    finetune = Pipeline(
        [
            Node(
                tables.label_samples,
                inputs=["labels", "labelled_sequences"],
                outputs="sample_candidates",
                name="label_samples",
            ),
            Node(
                nodes.usable_samples,
                inputs=["sample_candidates", "params:finetune"],
                outputs="samples",
                name="usable_samples",
            ),
            Node(
                nodes.train_classifier,
                inputs=[
                    "samples",
                    "labelled_encoded",
                    "tokenizer",
                    "pretrained_model",
                    "finetune_workspace",
                    "params:finetune",
                    "params:seed",
                ],
                outputs=["trained_classifier", "finetune_grid"],
                name="train_classifier",
            ),
            Node(
                nodes.predict_samples,
                inputs=["samples", "labelled_encoded", "tokenizer", "trained_classifier"],
                outputs="finetune_predictions",
                name="predict_samples",
            ),
            Node(
                nodes.predict_baselines,
                inputs=[
                    "samples",
                    "labelled_encoded",
                    "tokenizer",
                    "params:finetune",
                ],
                outputs="baseline_predictions",
                name="predict_baselines",
            ),
            Node(
                nodes.train_hybrid,
                inputs=[
                    "samples",
                    "labelled_encoded",
                    "tokenizer",
                    "trained_classifier",
                    "params:finetune",
                ],
                outputs=["hybrid_head", "finetune_hybrid_predictions"],
                name="train_hybrid",
            ),
            Node(
                evaluation.evaluate_predictions,
                inputs=[
                    "finetune_predictions",
                    "baseline_predictions",
                    "finetune_hybrid_predictions",
                    "demographics",
                    "known_probabilities",
                    "finetune_grid",
                    "params:finetune",
                ],
                outputs="finetune_metrics",
                name="evaluate_predictions",
            ),
            Node(
                nodes.publish_classifier,
                inputs=[
                    "trained_classifier",
                    "tokenizer",
                    "samples",
                    "finetune_metrics",
                    "params:finetune",
                ],
                outputs="finetuned_model",
                name="publish_classifier",
            ),
            Node(
                leakage.report_leakage,
                inputs=[
                    "sample_candidates",
                    "samples",
                    "sequences",
                    "coded_events",
                    "lab_events",
                    "labelled_encoded",
                    "tokenizer",
                    "params:finetune",
                    "params:preprocess",
                    "params:vocab",
                ],
                outputs="leakage_report",
                name="report_leakage",
            ),
            Node(
                figures.plot_roc,
                inputs=["finetune_predictions", "baseline_predictions", "finetune_metrics"],
                outputs="finetune_roc",
                name="plot_roc",
            ),
            Node(
                figures.plot_precision_recall,
                inputs=["finetune_predictions", "baseline_predictions", "finetune_metrics"],
                outputs="finetune_precision_recall",
                name="plot_precision_recall",
            ),
            Node(
                figures.plot_calibration,
                inputs="finetune_metrics",
                outputs="finetune_calibration",
                name="plot_calibration",
            ),
            Node(
                figures.plot_decision_curve,
                inputs="finetune_metrics",
                outputs="finetune_decision_curve",
                name="plot_decision_curve",
            ),
            Node(
                figures.plot_subgroups,
                inputs="finetune_metrics",
                outputs="finetune_subgroups",
                name="plot_subgroups",
            ),
        ]
    )
    return selected_labels() + finetune + sequences_at("labels", "labelled_")
