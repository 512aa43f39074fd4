"""What a kit is made of, where it was made."""

ARTIFACTS = (
    "code_translations",
    "concept_sets",
    "contribution_summary",
    "encoded_sequences",
    "finetune_metrics",
    "finetuned_model",
    "hybrid_head",
    "lab_events",
    "lab_percentiles",
    "pretrained_model",
    "run_record",
    "source_codes",
    "token_counts",
    "tokenizer",
    "unit_conversions",
)
